//! Who is in the cluster and which shards each worker says it owns. It serves placement, addresses
//! and statuses; that a task runs once is the leases' business, not this one's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::TaskId;

/// What a worker tells the others of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerRecord {
    /// Its REST address.
    pub url: String,
    /// Which start of it.
    pub incarnation: String,
    /// The version of its program.
    pub version: String,
    /// Its shards.
    pub shards: BTreeSet<u32>,
    /// Grows past all that it knew of whenever it gains shards: of two that claim a shard, the
    /// greater one has it.
    pub epoch: u64,
    /// What its tasks weigh.
    pub weights: Vec<(TaskId, u32)>,
}

/// The workers of a cluster, as they say themselves.
#[derive(Debug, Default)]
pub struct Directory {
    workers: BTreeMap<String, WorkerRecord>,
    owners: BTreeMap<u32, String>,
    changed_ms: u64,
    changes: u64,
}

impl Directory {
    /// Takes what a worker says now.
    pub(super) fn set(&mut self, now_ms: u64, worker: &str, record: Option<WorkerRecord>) {
        let claim = |record: &WorkerRecord| (record.epoch, record.shards.clone());
        let before = self.workers.get(worker).map(claim);
        let changed = before != record.as_ref().map(claim);
        match record {
            Some(record) => drop(self.workers.insert(worker.to_owned(), record)),
            None => drop(self.workers.remove(worker)),
        }
        if changed {
            self.changed_ms = now_ms;
            self.changes += 1;
            self.find_owners();
        }
    }

    fn find_owners(&mut self) {
        let mut claims: BTreeMap<u32, (u64, &String)> = BTreeMap::new();
        for (id, record) in &self.workers {
            for shard in &record.shards {
                let claim = (record.epoch, id);
                let best = claims.entry(*shard).or_insert(claim);
                *best = claim.max(*best);
            }
        }
        let owners = claims.into_iter();
        self.owners = owners.map(|(shard, (_, id))| (shard, id.clone())).collect();
    }

    /// Who owns a shard.
    pub fn owner(&self, shard: u32) -> Option<&str> {
        self.owners.get(&shard).map(String::as_str)
    }

    /// All shards that somebody owns, and who.
    pub fn owners(&self) -> &BTreeMap<u32, String> {
        &self.owners
    }

    /// The workers that own a shard, which all do that are alive.
    pub fn live(&self) -> BTreeSet<&str> {
        self.owners.values().map(String::as_str).collect()
    }

    /// Workers without a shard: they have gone, or have just come.
    pub fn idle(&self) -> Vec<&str> {
        let live = self.live();
        let all = self.workers.keys().map(String::as_str);
        all.filter(|id| !live.contains(id)).collect()
    }

    /// What a worker says of itself.
    pub fn worker(&self, id: &str) -> Option<&WorkerRecord> {
        self.workers.get(id)
    }

    /// When somebody's shards last changed.
    pub(super) fn changed_ms(&self) -> u64 {
        self.changed_ms
    }

    /// How often somebody's shards have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn max_epoch(&self) -> u64 {
        let epochs = self.workers.values().map(|record| record.epoch);
        epochs.max().unwrap_or(0)
    }
}
