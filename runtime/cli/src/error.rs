//! What a command can end in, and with which exit code.

use std::process::ExitCode;

use tidegate_cluster::StoreError;
use tidegate_kafka::KafkaError;
use tidegate_sandbox::SandboxError;
use tidegate_worker::{SettingsError, WorkerError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A file.
    #[error("read {path}: {reason}")]
    Read { path: String, reason: String },
    /// A value on the command line.
    #[error("{0}")]
    Usage(String),
    /// The worker's configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A port.
    #[error("listen on {address}: {reason}; another process may have the port (listeners, --port)")]
    Listen { address: String, reason: String },
    /// Threads, signals.
    #[error("start the worker: {0}")]
    Start(std::io::Error),
    /// The worker cannot be reached.
    #[error(
        "no worker answers at {url}: {reason}; start one with tidegate dev or tidegate worker, or give its address with --url"
    )]
    Unreachable { url: String, reason: String },
    /// The worker refused.
    #[error("{message} (HTTP {code})")]
    Refused { code: u16, message: String },
    /// The worker lost its place in the cluster for good.
    #[error("this worker cannot be a member of the cluster any more: {0}")]
    NotAMember(String),
    /// Something is not running.
    #[error("{0}")]
    Unhealthy(String),
}

impl CliError {
    /// 1: it failed. 2: it was asked wrongly. 3: no worker answers. 4: something is FAILED.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::Read { .. } | Self::Settings(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Unhealthy(_) => 4,
            _ => 1,
        })
    }
}
