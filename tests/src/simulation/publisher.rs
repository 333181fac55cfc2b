//! What a process says in the status topic, by the rules of `tidegate-worker`'s publisher.

use std::collections::{BTreeMap, VecDeque};

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::WorkerRecord;
use tidegate_model::names::TaskId;
use tidegate_model::state::{PlacedStatus, RemoteStatus, Status};

use super::happening::{Inside, Outside, ProcessId};
use super::status_topic::StatusRecord;
use super::world::World;

/// Before what could not be written is tried again.
const PAUSE_MS: u64 = 200;

#[derive(Default)]
pub(super) struct Publisher {
    queue: VecDeque<StatusRecord>,
    batch: Vec<StatusRecord>,
    is_writing: bool,
    worker: Option<WorkerRecord>,
    tasks: BTreeMap<TaskId, Status>,
    connectors: BTreeMap<String, PlacedStatus>,
    /// The lease lapsed under a record: everything has to be said again.
    is_lost: bool,
}

impl Publisher {
    pub(super) fn release(&mut self, id: TaskId, place: u64) {
        self.queue.push_back(StatusRecord::Released(id, place));
    }

    pub(super) fn forget_worker(&mut self, id: String) {
        self.queue.push_back(StatusRecord::Worker(id, None));
    }

    /// What is said of a connector has been overwritten.
    pub(super) fn say_again(&mut self, name: &str) {
        self.connectors.remove(name);
    }

    /// A new leader says all of it.
    pub(super) fn forget_connectors(&mut self) {
        self.connectors.clear();
    }

    fn forget(&mut self, name: &str, tasks: usize) {
        for task in (0..).take(tasks) {
            let id = TaskId::new(name, task);
            self.queue.push_back(StatusRecord::Task(id, None));
        }
        self.connectors.remove(name);
        let record = StatusRecord::Connector(name.to_owned(), None);
        self.queue.push_back(record);
    }
}

impl World {
    /// Statuses of a connector that is no more, for who leads to delete.
    pub(super) fn forget_deleted(&mut self, process: ProcessId, record: &ConfigRecord) {
        let ConfigRecord::Connector { name, config: None } = record else {
            return;
        };
        let state = &mut self.processes[process];
        if state.herder.is_leading() && state.herder.log().connector(name).is_some() {
            let tasks = state.herder.task_statuses(name).len();
            state.publisher.forget(name, tasks);
        }
    }

    /// Says what has changed.
    pub(super) fn publish(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        let (me, publisher) = (&state.worker_name, &mut state.publisher);
        let Some(own) = state.herder.own_record() else {
            return;
        };
        if std::mem::take(&mut publisher.is_lost) {
            publisher.worker = None;
            publisher.tasks.clear();
            publisher.connectors.clear();
        }
        let remote = |status: &Status| RemoteStatus {
            status: status.clone(),
            worker: me.clone(),
            incarnation: own.incarnation.clone(),
            epoch: own.epoch,
        };
        let is_new_epoch = publisher
            .worker
            .as_ref()
            .is_none_or(|w| w.epoch != own.epoch);
        if publisher.worker.as_ref() != Some(&own) {
            let record = StatusRecord::Worker(me.clone(), Some(own.clone()));
            publisher.queue.push_back(record);
            publisher.worker = Some(own.clone());
        }
        let tasks = state.herder.own_task_statuses();
        for (id, status) in &tasks {
            if is_new_epoch || publisher.tasks.get(id) != Some(status) {
                let record = StatusRecord::Task(id.clone(), Some(remote(status)));
                publisher.queue.push_back(record);
            }
        }
        publisher.tasks = tasks;
        if state.herder.is_leading() {
            let names: Vec<&String> = state.herder.log().connectors().keys().collect();
            for name in names {
                let Some(placed) = state.herder.connector_status(name) else {
                    continue;
                };
                if publisher.connectors.get(name) != Some(&placed) {
                    let status = Some(remote(&placed.status));
                    let record = StatusRecord::Connector(name.clone(), status);
                    publisher.queue.push_back(record);
                    publisher.connectors.insert(name.clone(), placed);
                }
            }
        }
        self.publish_next(process);
    }

    fn publish_next(&mut self, process: ProcessId) {
        let publisher = &mut self.processes[process].publisher;
        if !publisher.is_writing && !publisher.queue.is_empty() {
            publisher.is_writing = true;
            publisher.batch = publisher.queue.drain(..).collect();
            self.soon(process, Inside::PublishCheck);
        }
    }

    pub(super) fn publish_check(&mut self, process: ProcessId) {
        if self.is_lease_valid(process) {
            self.soon(process, Inside::PublishSend);
        } else {
            self.published(process, false);
        }
    }

    pub(super) fn publish_send(&mut self, process: ProcessId) {
        let records = self.processes[process].publisher.batch.clone();
        let luck = if self.is_chaos {
            self.rng.u32(0..100)
        } else {
            100
        };
        match luck {
            // It does not get through.
            0..3 => self.answer(process, Inside::Published(false)),
            // It does, and the answer does not.
            3..6 => self.send(process, Outside::StatusWrite(process, records, false)),
            _ => self.send(process, Outside::StatusWrite(process, records, true)),
        }
    }

    pub(super) fn status_write(
        &mut self,
        process: ProcessId,
        records: Vec<StatusRecord>,
        answered: bool,
    ) {
        for record in records {
            if let StatusRecord::Released(id, place) = &record {
                self.check_release(id, *place);
                self.step(|_| format!("status: {id} is released by {place}"));
                self.released.insert((id.clone(), *place));
                self.tally.releases += 1;
            }
            let key = record.key();
            let number = self.status.append(record);
            for follower in 0..self.processes.len() {
                if self.processes[follower].alive {
                    self.show_status(follower, key.clone(), number);
                }
            }
        }
        self.answer(process, Inside::Published(answered));
    }

    pub(super) fn published(&mut self, process: ProcessId, written: bool) {
        let valid = self.is_lease_valid(process);
        let publisher = &mut self.processes[process].publisher;
        if !written && valid {
            return self.later(process, PAUSE_MS, Inside::PublishCheck);
        }
        publisher.is_lost |= !written;
        publisher.batch.clear();
        publisher.is_writing = false;
        self.publish_next(process);
    }
}
