//! `tidegate worker`.

use tidegate_worker::{Mode, WorkerSettings};

use crate::arguments::Worker;
use crate::error::CliError;
use crate::worker_process::AtStart;
use crate::{logging, properties, worker_process};

pub(crate) fn run(options: &Worker) -> Result<(), CliError> {
    logging::start(&options.logging)?;
    let raw = properties::properties(&options.worker_properties)?;
    let settings = WorkerSettings::parse(&raw, Mode::Distributed)?;
    if raw.contains_key("scheduled.rebalance.max.delay.ms") {
        tracing::warn!(
            "scheduled.rebalance.max.delay.ms is ignored: the tasks of a lost worker move as soon as its session \
             ends; group.instance.id keeps them in place over a restart"
        );
    }
    let start = AtStart {
        plugins: &[],
        connectors: &[],
        distributed: true,
    };
    worker_process::run(settings, &start, |addresses| {
        // It is a member a moment later, which GET /health tells.
        tracing::info!(
            "REST at {}; the worker joins its cluster",
            addresses.join(", ")
        );
    })
}
