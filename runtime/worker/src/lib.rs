//! The worker: runs the loops of tasks, keeps them in the states the herder wants, and answers
//! what REST and the command line ask.
#![forbid(unsafe_code)]

mod backoff;
mod cluster_settings;
mod cluster_status;
mod connection_keys;
mod connector_list;
mod dead_letters;
mod error;
mod exactly_once_problems;
mod fencing;
mod grants;
mod herder;
mod inflight;
mod metric_names;
mod offsets;
mod pipeline;
mod plugin_requests;
mod plugins;
mod producing;
mod protection;
mod rest;
mod settings;
mod sink_batches;
mod sink_delivery;
mod sink_ledger;
mod sink_loop;
mod sink_positions;
mod sink_topics;
mod source_boundaries;
mod source_delivery;
mod source_exactly_once;
mod source_intake;
mod source_loop;
mod source_transaction;
mod task;
mod undelivered;
mod uploads;
mod validation;
mod waits;
mod worker;

pub use cluster_settings::cluster_settings;
pub use cluster_status::{ClusterStatus, TaskMove, WorkerStatus};
pub use error::{TaskError, WorkerError};
pub use herder::{Coordination, Ended};
pub use offsets::ConnectorOffsets;
pub use plugins::Uploaded;
pub use settings::{Mode, SettingsError, WorkerSettings};
pub use validation::{KeyReport, ValidationReport};
pub use worker::{ConnectorInfo, ConnectorStatus, Leadership, TaskInfo, Worker};
