//! The records of the config log.

use serde::{Deserialize, Serialize};

use super::SessionKey;
use crate::config::ConfigMap;
use crate::names::TaskId;
use crate::plugin::PluginInfo;
use crate::state::TargetState;

/// The version of what workers write to each other through state topics. A worker that finds a
/// greater one does not join.
pub const PROTOCOL_VERSION: u32 = 1;

/// One entry of the config log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ConfigRecord {
    /// A connector's configuration; none: deleted, with everything that belongs to it.
    Connector {
        /// The connector.
        name: String,
        /// What the user wrote.
        config: Option<ConfigMap>,
    },
    /// What the user wants of it.
    Target {
        /// The connector.
        name: String,
        /// Running, paused, stopped.
        state: TargetState,
    },
    /// One task's configuration; counts only when a commit record follows (D5).
    Task {
        /// The connector.
        name: String,
        /// The task's number.
        task: u32,
        /// What `plan` answered.
        config: ConfigMap,
    },
    /// The last `tasks` task configurations apply, all at once (D5).
    Commit {
        /// The connector.
        name: String,
        /// How many tasks it has now.
        tasks: u32,
        /// The revision of the connector's configuration that they were planned from.
        revision: u64,
        /// Whether they write with transactions.
        #[serde(default)]
        exactly_once: bool,
    },
    /// Every transactional id that tasks of earlier generations may hold is fenced (KIP-618).
    Fence {
        /// The connector.
        name: String,
        /// How many ids the generation that may run now has.
        tasks: u32,
    },
    /// Somebody wants a connector or tasks of it to start afresh (KIP-745).
    Restart(RestartRequest),
    /// Which shard a task belongs to; with `from`, it moves there and the owner of that shard has
    /// to let it go first.
    Placement {
        /// The task.
        task: TaskId,
        /// Its shard.
        shard: u32,
        /// The shard it comes from.
        from: Option<u32>,
    },
    /// A task that is no more needs no shard any longer.
    Unplaced {
        /// The task.
        task: TaskId,
    },
    /// Who leads from here on.
    Leader {
        /// The worker's id.
        worker: String,
        /// Its REST address.
        url: String,
        /// Which start of it.
        incarnation: String,
    },
    /// A worker shall give everything away and go, for good.
    Removed {
        /// The worker's id.
        worker: String,
        /// Which start of it: one that is started again is welcome.
        incarnation: String,
    },
    /// A plugin; none: deleted.
    Plugin {
        /// Its digest.
        digest: String,
        /// What is known of it.
        entry: Option<Box<PluginEntry>>,
    },
    /// The key with which workers sign what they ask of each other (KIP-507).
    SessionKey(SessionKey),
    /// The version of the protocol that the log is written in.
    Feature {
        /// [`PROTOCOL_VERSION`] of who wrote it.
        version: u32,
    },
}

/// What to start afresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestartRequest {
    /// The connector.
    pub name: String,
    /// Its tasks too.
    pub include_tasks: bool,
    /// Only what is FAILED.
    pub only_failed: bool,
    /// Nothing but this task.
    pub task: Option<u32>,
}

/// A plugin, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginEntry {
    /// What it says of itself.
    pub info: PluginInfo,
    /// Where the store keeps its bytes: offsets of a topic, or nothing where the digest suffices.
    #[serde(default)]
    pub offsets: Vec<i64>,
}

impl ConfigRecord {
    /// Under which key the record replaces an earlier one, spelled as in Kafka Connect.
    pub fn key(&self) -> String {
        match self {
            Self::Connector { name, .. } => format!("connector-{name}"),
            Self::Target { name, .. } => format!("target-state-{name}"),
            Self::Task { name, task, .. } => format!("task-{name}-{task}"),
            Self::Commit { name, .. } => format!("commit-{name}"),
            Self::Fence { name, .. } => format!("tasks-fencing-{name}"),
            Self::Restart(restart) => format!("restart-connector-{}", restart.name),
            Self::Placement { task, .. } | Self::Unplaced { task } => {
                format!("tidegate-placement-{task}")
            }
            Self::Leader { .. } => "tidegate-leader".to_owned(),
            Self::Removed { worker, .. } => format!("tidegate-removed-{worker}"),
            Self::Plugin { digest, .. } => format!("tidegate-plugin-{digest}"),
            Self::SessionKey(_) => "session-key".to_owned(),
            Self::Feature { .. } => "tidegate-feature".to_owned(),
        }
    }
}

/// The records that set the task configurations of a connector.
pub fn task_records(
    name: &str,
    revision: u64,
    tasks: &[ConfigMap],
    exactly_once: bool,
) -> Vec<ConfigRecord> {
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let mut records: Vec<ConfigRecord> = (0..count)
        .zip(tasks)
        .map(|(task, config)| ConfigRecord::Task {
            name: name.to_owned(),
            task,
            config: config.clone(),
        })
        .collect();
    records.push(ConfigRecord::Commit {
        name: name.to_owned(),
        tasks: count,
        revision,
        exactly_once,
    });
    records
}

/// The records that delete a connector. The empty plan goes first: compaction could else leave the
/// tasks of this life to one that is created with the same name.
pub fn deletion_records(name: &str) -> Vec<ConfigRecord> {
    let mut records = task_records(name, 0, &[], false);
    let name = name.to_owned();
    records.push(ConfigRecord::Connector { name, config: None });
    records
}
