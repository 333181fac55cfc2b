//! `tidegate standalone`.

use tidegate_worker::WorkerSettings;

use crate::arguments::Standalone;
use crate::error::CliError;
use crate::{logging, properties, worker_process};

pub(crate) fn run(options: &Standalone) -> Result<(), CliError> {
    logging::start(&options.logging)?;
    let raw = properties::properties(&options.worker_properties)?;
    let settings = WorkerSettings::parse(&raw, None)?;
    worker_process::run(settings, &options.connectors, |addresses| {
        tracing::info!("worker ready at {}", addresses.join(", "));
    })
}
