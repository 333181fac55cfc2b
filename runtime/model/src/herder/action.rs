//! What the herder hears and what it says.

use std::collections::{BTreeMap, BTreeSet};

use super::WorkerRecord;
use crate::config::ConfigMap;
use crate::config_log::ConfigRecord;
use crate::names::TaskId;
use crate::state::{RemoteStatus, State, Wait};

/// Everything a task is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// Which task.
    pub id: TaskId,
    /// How many tasks the connector has.
    pub tasks: u32,
    /// The place in the log of the task configurations.
    pub generation: u64,
    /// The revision of the connector's configuration.
    pub revision: u64,
    /// Whether it writes with transactions (D8).
    pub exactly_once: bool,
    /// The shard that it runs under; none in standalone.
    pub shard: Option<u32>,
    /// The connector's configuration.
    pub connector_config: ConfigMap,
    /// What `plan` answered for this task.
    pub task_config: ConfigMap,
}

/// The answer of a plugin's `plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOutcome {
    /// Task configurations.
    pub tasks: Vec<ConfigMap>,
    /// After how long to ask again.
    pub again_after_ms: Option<u32>,
    /// Whether the tasks shall write with transactions.
    pub exactly_once: bool,
}

/// `plan` of a connector answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The connector.
    pub connector: String,
    /// The revision that was planned.
    pub revision: u64,
    /// The answer; or the trace.
    pub outcome: Result<PlanOutcome, String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record was appended to (or read from) the config log at this place.
    Log(u64, ConfigRecord),
    /// `plan` of a connector answered.
    Planned(Planned),
    /// The task's instance started, or it changed between working and pausing.
    TaskState {
        /// The task.
        id: TaskId,
        /// Which start of it.
        epoch: u64,
        /// RUNNING or PAUSED.
        state: State,
    },
    /// What a task waits for, or none: it goes on.
    TaskWaits {
        /// The task.
        id: TaskId,
        /// Which start of it.
        epoch: u64,
        /// For what.
        waiting: Option<Wait>,
    },
    /// The task's loop ended: none if it was asked to, else the trace.
    TaskEnded {
        /// The task.
        id: TaskId,
        /// Which start of it.
        epoch: u64,
        /// Why it failed.
        trace: Option<String>,
    },
    /// Time passed.
    Tick,
    /// The worker is to end: stop everything, start nothing.
    Shutdown,
    /// These shards are this worker's, and the state topics have been read to their ends since.
    Gained(BTreeSet<u32>),
    /// These shards are not this worker's any more, or will not be as soon as their tasks ended.
    Lost(BTreeSet<u32>),
    /// Whether this worker leads: it alone can append to the log, and has read it to its end since.
    Leading(bool),
    /// What a worker says of itself; none: its record was deleted.
    Worker(String, Option<WorkerRecord>),
    /// A task has been let go, by the move ordered at this place.
    Released(TaskId, u64),
    /// What another worker says of a task.
    TaskStatus(TaskId, Option<RemoteStatus>),
    /// What a worker that leads, or led, says of a connector.
    ConnectorStatus(String, Option<RemoteStatus>),
    /// What this worker's tasks weigh.
    Weights(BTreeMap<TaskId, u32>),
    /// The transactional ids of generations before this one are fenced, or cannot be.
    Fenced {
        /// The connector.
        connector: String,
        /// For which generation.
        generation: u64,
        /// Why they cannot be.
        outcome: Result<(), String>,
    },
}

/// What shall be done. Records for the log are asked for with `next_append`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the plugin for task configurations; answer with [`Event::Planned`].
    Plan {
        /// The connector.
        connector: String,
        /// The revision of `config`.
        revision: u64,
        /// The connector's configuration.
        config: ConfigMap,
    },
    /// Start a task; answer with [`Event::TaskState`] and, sooner or later, [`Event::TaskEnded`].
    Start {
        /// Which start of it: answers carry it, so that those of an earlier start are known.
        epoch: u64,
        /// Whether it starts paused.
        paused: bool,
        /// With what.
        spec: Box<TaskSpec>,
    },
    /// Ask a task to end; answered by [`Event::TaskEnded`].
    Stop(TaskId, u64),
    /// Ask a task to pause or to go on.
    SetPaused(TaskId, u64, bool),
    /// Tell the others that the task has been let go, by the move ordered at this place.
    Release(TaskId, u64),
    /// Delete what a worker said of itself that has been gone for long.
    ForgetWorker(String),
    /// Fence the connector's transactional ids from 0 to `ids` - 1; answer with [`Event::Fenced`].
    Fence {
        /// The connector.
        connector: String,
        /// For which generation.
        generation: u64,
        /// How many.
        ids: u32,
    },
}
