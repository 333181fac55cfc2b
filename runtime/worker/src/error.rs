//! How a task's loop ends badly, and what a request to the worker can end in.

use tidegate_cluster::{AppendError, ClusterError, StoreError};
use tidegate_kafka::{KafkaError, TransactionError};
use tidegate_model::connector_config::KeyProblem;
use tidegate_model::names::TaskId;
use tidegate_sandbox::{CallError, LoadError};

/// Why a task's loop ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The task is FAILED with this trace until somebody restarts it.
    #[error("{0}")]
    Failed(String),
    /// Starting again from the last committed position can help; the worker does so by itself.
    #[error("{0}")]
    Recoverable(String),
    /// As [`Self::Recoverable`]: what the guest reaches, such as a database, does not answer.
    #[error("{0}")]
    Target(String),
    /// Kafka refused a whole batch of records for a topic: they are sent again in smaller ones.
    #[error("{reason}")]
    BatchRefused {
        /// Where to.
        topic: String,
        /// Whether it was too large; else a record in it was at fault.
        is_large: bool,
        /// Kafka's words.
        reason: String,
    },
    /// Kafka refused records in a transaction, and the user wants them skipped: the transaction is
    /// repeated without them.
    #[error("{reason}")]
    RecordsRefused {
        /// What they are known by.
        digests: Vec<u64>,
        /// Kafka's words about one of them.
        reason: String,
    },
    /// Somebody else has opened the task's transactional id. It may be the rightful owner, so the
    /// worker starts the task again only after a while, if it is then still its own (D4).
    #[error("{0}")]
    Fenced(String),
    /// The task is not this worker's any more: it ends here and starts nowhere but at its owner (D4).
    #[error("this worker does not own task {0} any more")]
    NotOwner(TaskId),
}

impl From<CallError> for TaskError {
    fn from(error: CallError) -> Self {
        match error {
            // Where the call itself cannot be repeated (open, close), starting afresh repeats it.
            CallError::Retriable { reason, .. } => Self::Target(reason),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<KafkaError> for TaskError {
    fn from(error: KafkaError) -> Self {
        match error {
            // An outage is not a reason to fail a task.
            KafkaError::Unreachable { .. } | KafkaError::OpenTransaction { .. } => {
                Self::Recoverable(error.to_string())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<TransactionError> for TaskError {
    fn from(error: TransactionError) -> Self {
        let text = error.to_string();
        match error {
            TransactionError::Fenced { .. } => Self::Fenced(text),
            TransactionError::Unknown { .. } | TransactionError::Abortable { .. } => {
                Self::Recoverable(text)
            }
            TransactionError::Failed { .. } => Self::Failed(text),
            TransactionError::Client(error) => error.into(),
        }
    }
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        Self::Recoverable(error.to_string())
    }
}

/// Why a request to the worker is refused.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There is no such connector.
    #[error("Connector {0} not found")]
    NoConnector(String),
    /// There is no such connector to steer; Connect words it differently here.
    #[error("Unknown connector {0}")]
    UnknownConnector(String),
    /// There is no such connector to restart; and differently again.
    #[error("Unknown connector: {0}")]
    UnknownRestart(String),
    /// There is no such task.
    #[error("Task {0} not found")]
    NoTask(String),
    /// There is no status yet.
    #[error("No status found for {0}")]
    NoStatus(String),
    /// There is no such plugin.
    #[error("no plugin {0:?} is uploaded; GET /plugins lists those that are")]
    NoPlugin(String),
    /// The name is taken.
    #[error("Connector {0} already exists")]
    ConnectorExists(String),
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration is wrong.
    #[error("{}", invalid(.0))]
    Invalid(Vec<KeyProblem>),
    /// No plugin answers to the class.
    #[error(
        "Failed to find any plugin that answers to connector.class {class:?}; uploaded are: {known}. \
         Upload it with curl --data-binary @plugin.wasm URL/plugins, or tidegate plugin push"
    )]
    UnknownClass {
        /// What was asked for.
        class: String,
        /// What there is.
        known: String,
    },
    /// The bytes are no plugin.
    #[error("{0}")]
    BadPlugin(#[from] LoadError),
    /// More bytes than allowed.
    #[error(
        "the component is larger than {limit_bytes} bytes (tidegate.plugin.max.bytes): build it in \
         release mode and strip it, or raise the limit"
    )]
    PluginTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Same name and version, other bytes.
    #[error(
        "plugin {name} {version} is already uploaded with other bytes (sha-256 {digest}): give the \
         new one another version"
    )]
    PluginConflict {
        /// The plugin.
        name: String,
        /// Its version.
        version: String,
        /// What is there.
        digest: String,
    },
    /// Connectors use it.
    #[error(
        "plugin {name} is used by {connectors}: delete those connectors, or give them another class, first"
    )]
    PluginUsed {
        /// The plugin.
        name: String,
        /// Who uses it.
        connectors: String,
    },
    /// State could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker cannot join its cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The change is not in the config log.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Kafka does not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// There is no cluster.
    #[error("this worker is standalone; start it with tidegate worker to make it one of many")]
    Standalone,
    /// There is no such worker.
    #[error("no worker {worker:?} is in the cluster; there are: {known}")]
    NoWorker {
        /// Who was meant.
        worker: String,
        /// Who is there.
        known: String,
    },
    /// Nobody would be left.
    #[error(
        "{0} is the last worker that stays, and its tasks would have nowhere to go: start another one first"
    )]
    LastWorker(String),
    /// Nobody leads, or nobody knows who.
    #[error(
        "no worker leads the cluster at the moment (one was lost, or the cluster is starting); ask again in a few \
         seconds"
    )]
    NoLeader,
    /// The worker is on its way out.
    #[error("the worker is shutting down")]
    Stopping,
    /// Something else went wrong.
    #[error("{0}")]
    Internal(String),
}

fn invalid(problems: &[KeyProblem]) -> String {
    let list: String = problems
        .iter()
        .map(|p| format!("\n{}", p.message))
        .collect();
    format!(
        "Connector configuration is invalid and contains the following {} error(s):{list}\n\
         You can also find the above list of errors at the endpoint \
         `/connector-plugins/{{connectorType}}/config/validate`",
        problems.len()
    )
}
