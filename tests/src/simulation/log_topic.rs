//! The config topic: transactions of the one writer whose epoch is the last, compaction, and the
//! state that the whole log gives, against which everybody's is held.

use std::collections::BTreeMap;

use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, ConfigState};

/// What a deletion's record may be compacted away after.
const TOMBSTONE_MS: u64 = 15_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Committed,
    Aborted,
    /// Taken away by compaction.
    Compacted,
}

pub(super) struct Entry {
    pub(super) place: u64,
    pub(super) record: ConfigRecord,
    pub(super) fate: Fate,
    at_ms: u64,
}

/// A committed set of task configurations, by the place of its commit.
pub(super) struct TaskSet {
    pub(super) connector: String,
    pub(super) tasks: Vec<ConfigMap>,
    pub(super) revision: u64,
    pub(super) exactly_once: bool,
}

#[derive(Default)]
pub(super) struct LogTopic {
    pub(super) entries: Vec<Entry>,
    next_place: u64,
    pub(super) epoch: u32,
    /// Where the open transaction begins, and its number.
    pub(super) open: Option<(usize, u64)>,
    transactions: u64,
    /// The whole log, read without compaction.
    pub(super) whole: ConfigState,
    /// The whole state after each transaction, by the place of its last record.
    pub(super) states: BTreeMap<u64, ConfigState>,
    pub(super) sets: BTreeMap<u64, TaskSet>,
}

impl LogTopic {
    /// How far readers of committed records get.
    pub(super) fn stable_end(&self) -> usize {
        self.open.map_or(self.entries.len(), |(first, _)| first)
    }

    /// A new writer, which ends what the former left open.
    pub(super) fn init(&mut self) -> u32 {
        self.end(Fate::Aborted);
        self.epoch += 1;
        self.epoch
    }

    /// Begins a transaction and writes; answers its number and the last place.
    pub(super) fn write(&mut self, now_ms: u64, records: &[ConfigRecord]) -> (u64, u64) {
        self.end(Fate::Aborted);
        let first = self.entries.len();
        for record in records {
            self.next_place += 1;
            self.entries.push(Entry {
                place: self.next_place,
                record: record.clone(),
                fate: Fate::Open,
                at_ms: now_ms,
            });
        }
        let last = self.next_place;
        self.transactions += 1;
        self.open = Some((first, self.transactions));
        (self.transactions, last)
    }

    pub(super) fn commit(&mut self) {
        let first = self.open.map_or(self.entries.len(), |(first, _)| first);
        let mut pending: BTreeMap<(String, u32), ConfigMap> = BTreeMap::new();
        for entry in &self.entries[first..] {
            match &entry.record {
                ConfigRecord::Task { name, task, config } => {
                    pending.insert((name.clone(), *task), config.clone());
                }
                ConfigRecord::Commit {
                    name,
                    tasks,
                    revision,
                    exactly_once,
                } => {
                    let of = |task| pending.get(&(name.clone(), task)).cloned();
                    let set = TaskSet {
                        connector: name.clone(),
                        tasks: (0..*tasks).filter_map(of).collect(),
                        revision: *revision,
                        exactly_once: *exactly_once,
                    };
                    self.sets.insert(entry.place, set);
                }
                _ => {}
            }
            self.whole.apply(entry.place, entry.record.clone());
        }
        self.end(Fate::Committed);
        self.states
            .insert(self.whole.last_place(), self.whole.clone());
    }

    /// Ends the open transaction, if there is one. Its marker takes a place, too.
    pub(super) fn end(&mut self, fate: Fate) {
        if let Some((first, _)) = self.open.take() {
            self.next_place += 1;
            for entry in &mut self.entries[first..] {
                entry.fate = fate;
            }
        }
    }

    /// Compacts what is before `until`: of each key only the last record there stays.
    pub(super) fn compact(&mut self, now_ms: u64, until: usize) {
        let mut last: BTreeMap<String, usize> = BTreeMap::new();
        let committed = |entry: &Entry| entry.fate == Fate::Committed;
        for (index, entry) in self.entries[..until].iter().enumerate() {
            if committed(entry) {
                last.insert(entry.record.key(), index);
            }
        }
        for (index, entry) in self.entries[..until].iter_mut().enumerate() {
            let is_tombstone = matches!(entry.record, ConfigRecord::Connector { config: None, .. });
            let is_old = is_tombstone && entry.at_ms + TOMBSTONE_MS < now_ms;
            if committed(entry) && (is_old || last.get(&entry.record.key()) != Some(&index)) {
                entry.fate = Fate::Compacted;
            }
        }
    }

    /// How much of the log may be compacted: what is at least this old.
    pub(super) fn older_than(&self, at_ms: u64) -> usize {
        self.entries[..self.stable_end()].partition_point(|entry| entry.at_ms < at_ms)
    }
}
