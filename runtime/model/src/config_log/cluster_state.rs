//! What the config log says beyond single connectors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{ConfigRecord, PluginEntry};
use crate::names::TaskId;

/// Where a task belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Its shard: whoever owns it runs the task.
    pub shard: u32,
    /// The shard it comes from, if it is a move.
    pub from: Option<u32>,
    /// The place in the log that ordered it; a release repeats it.
    pub place: u64,
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The worker's id.
    pub worker: String,
    /// Its REST address.
    pub url: String,
    /// Which start of it.
    pub incarnation: String,
}

/// The key with which workers sign what they ask of each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SessionKey {
    /// Sealed with the worker's secret key, in base64 (D10).
    pub key: String,
    /// As in Connect: HmacSHA256.
    pub algorithm: String,
    /// Milliseconds since 1970.
    pub creation_timestamp: i64,
}

/// Placements, leader, plugins and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    placements: BTreeMap<TaskId, Placement>,
    leader: Option<Leader>,
    removed: BTreeMap<String, String>,
    plugins: BTreeMap<String, PluginEntry>,
    session_keys: Vec<SessionKey>,
    feature: Option<u32>,
}

impl ClusterState {
    pub(super) fn apply(&mut self, place: u64, record: ConfigRecord) {
        match record {
            ConfigRecord::Placement { task, shard, from } => {
                self.placements
                    .insert(task, Placement { shard, from, place });
            }
            ConfigRecord::Unplaced { task } => drop(self.placements.remove(&task)),
            ConfigRecord::Leader {
                worker,
                url,
                incarnation,
            } => {
                self.leader = Some(Leader {
                    worker,
                    url,
                    incarnation,
                });
            }
            ConfigRecord::Removed {
                worker,
                incarnation,
            } => drop(self.removed.insert(worker, incarnation)),
            ConfigRecord::Plugin { digest, entry } => match entry {
                Some(entry) => drop(self.plugins.insert(digest, *entry)),
                None => drop(self.plugins.remove(&digest)),
            },
            ConfigRecord::SessionKey(key) => {
                // The one before stays good for requests that are under way.
                self.session_keys.insert(0, key);
                self.session_keys.truncate(2);
            }
            ConfigRecord::Feature { version } => self.feature = Some(version),
            _ => {}
        }
    }

    /// Where a task belongs; none: nobody has decided yet.
    pub fn placement(&self, task: &TaskId) -> Option<Placement> {
        self.placements.get(task).copied()
    }

    /// All placements, for some time also of tasks that are no more: one that comes back goes where it
    /// was, so that what is left of its last life there ends first.
    pub fn placements(&self) -> &BTreeMap<TaskId, Placement> {
        &self.placements
    }

    /// Who said last that it leads.
    pub fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref()
    }

    /// Whether this start of a worker shall go.
    pub fn is_removed(&self, worker: &str, incarnation: &str) -> bool {
        self.removed.get(worker).is_some_and(|r| r == incarnation)
    }

    /// All plugins, by digest.
    pub fn plugins(&self) -> &BTreeMap<String, PluginEntry> {
        &self.plugins
    }

    /// The keys that signatures may be made with, the newest first.
    pub fn session_keys(&self) -> &[SessionKey] {
        &self.session_keys
    }

    /// The protocol version of the log; none: a Kafka Connect wrote it, or nobody has.
    pub fn feature(&self) -> Option<u32> {
        self.feature
    }
}
