//! The status topic: the last record of each key stays.

use std::collections::BTreeMap;

use tidegate_model::herder::WorkerRecord;
use tidegate_model::names::TaskId;
use tidegate_model::state::RemoteStatus;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatusRecord {
    Task(TaskId, Option<RemoteStatus>),
    Connector(String, Option<RemoteStatus>),
    Worker(String, Option<WorkerRecord>),
    Released(TaskId, u64),
}

impl StatusRecord {
    pub(super) fn key(&self) -> String {
        match self {
            Self::Task(id, _) => format!("task-{id}"),
            Self::Connector(name, _) => format!("connector-{name}"),
            Self::Worker(id, _) => format!("worker-{id}"),
            Self::Released(id, _) => format!("released-{id}"),
        }
    }
}

#[derive(Default)]
pub(super) struct StatusTopic {
    pub(super) records: Vec<StatusRecord>,
    /// Where the last record of each key is: what a process that starts finds.
    pub(super) last: BTreeMap<String, usize>,
}

impl StatusTopic {
    /// Answers where it is now.
    pub(super) fn append(&mut self, record: StatusRecord) -> usize {
        self.last.insert(record.key(), self.records.len());
        self.records.push(record);
        self.records.len() - 1
    }
}
