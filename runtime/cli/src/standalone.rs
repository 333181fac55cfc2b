//! `tidegate standalone`.

use tidegate_worker::{Mode, WorkerSettings};

use crate::arguments::Standalone;
use crate::error::CliError;
use crate::worker_process::AtStart;
use crate::{logging, properties, worker_process};

pub(crate) fn run(options: &Standalone) -> Result<(), CliError> {
    logging::start(&options.logging)?;
    let raw = properties::properties(&options.worker_properties)?;
    let settings = WorkerSettings::parse(&raw, Mode::Standalone)?;
    let start = AtStart {
        plugins: &options.plugins,
        connectors: &options.connectors,
        distributed: false,
    };
    worker_process::run(settings, &start, |addresses| {
        tracing::info!("worker ready at {}", addresses.join(", "));
    })
}
