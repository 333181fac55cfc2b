//! What a user wants of a connector, and what a connector or task is doing.

use serde::{Deserialize, Serialize};

/// What the user wants of a connector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// Tasks run.
    #[default]
    #[serde(rename = "STARTED")]
    Started,
    /// Tasks exist and hold their resources, but move nothing.
    Paused,
    /// No tasks.
    Stopped,
}

/// What a connector or task is doing, in Kafka Connect's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Nobody has started it yet.
    Unassigned,
    /// At work.
    Running,
    /// Alive, moving nothing.
    Paused,
    /// Ended with a trace; stays so until restarted.
    Failed,
    /// A restart was asked for and has not happened yet.
    Restarting,
    /// Connectors only: no tasks, by the user's wish.
    Stopped,
}

impl State {
    /// As in a REST answer.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unassigned => "UNASSIGNED",
            State::Running => "RUNNING",
            State::Paused => "PAUSED",
            State::Failed => "FAILED",
            State::Restarting => "RESTARTING",
            State::Stopped => "STOPPED",
        }
    }
}

/// What a task or a worker waits for: nothing has failed, and nothing moves until somebody, perhaps a
/// person, does something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What is wrong, in the words of whoever refuses. Never a secret (D10), and nothing that differs from
    /// one attempt to the next: each change is a record of the status topic.
    pub reason: String,
    /// The keys, as the user writes them, that say what is waited for.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What to do.
    pub remedy: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// A state and, where it is FAILED, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// The whole story of a failure: message, export, backtrace.
    pub trace: Option<String>,
    /// What it waits for, if it does.
    pub waiting: Option<Wait>,
}

impl Status {
    /// A state without a trace.
    pub fn of(state: State) -> Self {
        Self {
            state,
            trace: None,
            waiting: None,
        }
    }

    /// FAILED, and why.
    pub fn failed(trace: impl Into<String>) -> Self {
        Self {
            trace: Some(trace.into()),
            ..Self::of(State::Failed)
        }
    }
}

/// A status and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedStatus {
    /// What it is doing.
    pub status: Status,
    /// On which worker.
    pub worker: String,
}

/// What a worker of a cluster tells the others of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteStatus {
    /// What the task is doing.
    pub status: Status,
    /// Who says so.
    pub worker: String,
    /// Which start of that worker.
    pub incarnation: String,
    /// The epoch in which it claimed its shards: what is said in an older one does not count.
    pub epoch: u64,
}
