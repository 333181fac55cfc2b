//! What this worker tells the others through the status topic: what its tasks do, which it let go,
//! and itself. Written by a loop of its own, in order; what could not be written is said again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_cluster::{Cluster, StatusRecord};
use tidegate_model::herder::{Event, Herder, WorkerRecord};
use tidegate_model::names::TaskId;
use tidegate_model::state::{PlacedStatus, RemoteStatus, Status};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Driver;

/// How long to wait before what could not be written is tried again.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Publisher {
    records: mpsc::UnboundedSender<StatusRecord>,
    worker: Option<WorkerRecord>,
    tasks: BTreeMap<TaskId, Status>,
    connectors: BTreeMap<String, PlacedStatus>,
    /// Whether something happened that connectors' statuses may depend on.
    connectors_due: bool,
    /// Set when the lease lapsed under a record: everything has to be said again.
    lost: Arc<AtomicBool>,
}

impl Publisher {
    pub(super) fn start(cluster: Arc<Cluster>) -> Self {
        let (records, incoming) = mpsc::unbounded_channel();
        let lost = Arc::<AtomicBool>::default();
        tokio::spawn(write(cluster, incoming, Arc::clone(&lost)));
        Self {
            records,
            worker: None,
            tasks: BTreeMap::new(),
            connectors: BTreeMap::new(),
            connectors_due: true,
            lost,
        }
    }

    pub(super) fn release(&self, task: TaskId, place: u64) {
        self.send(StatusRecord::Released(task, place));
    }

    /// A connector that is deleted.
    pub(super) fn forget(&mut self, name: &str, tasks: usize) {
        for task in 0..u32::try_from(tasks).unwrap_or(u32::MAX) {
            self.send(StatusRecord::Task(TaskId::new(name, task), None));
        }
        self.connectors.remove(name);
        self.send(StatusRecord::Connector(name.to_owned(), None));
    }

    /// What is said of a connector has been overwritten.
    pub(super) fn say_again(&mut self, name: &str) {
        self.connectors.remove(name);
        self.connectors_due = true;
    }

    /// A worker that has been gone for long.
    pub(super) fn forget_worker(&self, id: String) {
        self.send(StatusRecord::Worker(id, None));
    }

    /// A new leader says all of it.
    pub(super) fn forget_connectors(&mut self) {
        self.connectors.clear();
        self.connectors_due = true;
    }

    /// The statuses of connectors may have changed.
    pub(super) fn look_at_connectors(&mut self) {
        self.connectors_due = true;
    }

    fn send(&self, record: StatusRecord) {
        let _ = self.records.send(record);
    }

    /// Whether records were lost since the last look. Then everything is said again.
    fn has_lost(&mut self) -> bool {
        let lost = self.lost.swap(false, Ordering::AcqRel);
        if lost {
            self.worker = None;
            self.tasks.clear();
            self.forget_connectors();
        }
        lost
    }

    /// Says what has changed.
    fn publish(&mut self, herder: &Herder, me: &str) {
        let Some(own) = herder.own_record() else {
            return;
        };
        let remote = |status: &Status| RemoteStatus {
            status: status.clone(),
            worker: me.to_owned(),
            incarnation: own.incarnation.clone(),
            epoch: own.epoch,
        };
        let is_new_epoch = self.worker.as_ref().is_none_or(|w| w.epoch != own.epoch);
        if self.worker.as_ref() != Some(&own) {
            self.send(StatusRecord::Worker(me.to_owned(), Some(own.clone())));
            self.worker = Some(own.clone());
        }
        let tasks = herder.own_task_statuses();
        for (id, status) in &tasks {
            // Said in an older epoch it would not count against a former owner's word.
            if is_new_epoch || self.tasks.get(id) != Some(status) {
                self.send(StatusRecord::Task(id.clone(), Some(remote(status))));
            }
        }
        self.tasks = tasks;
        if herder.is_leading() && std::mem::take(&mut self.connectors_due) {
            self.publish_connectors(herder, &remote);
        }
    }

    fn publish_connectors(&mut self, herder: &Herder, remote: &impl Fn(&Status) -> RemoteStatus) {
        let names: BTreeSet<&String> = herder.log().connectors().keys().collect();
        for name in names {
            let Some(placed) = herder.connector_status(name) else {
                continue;
            };
            if self.connectors.get(name) != Some(&placed) {
                let status = Some(remote(&placed.status));
                self.send(StatusRecord::Connector(name.clone(), status));
                self.connectors.insert(name.clone(), placed);
            }
        }
    }
}

impl Driver {
    pub(super) fn publish(&mut self) {
        if self.publisher.as_mut().is_some_and(Publisher::has_lost) {
            // Releases among them: the herder has to ask for them again.
            self.handle(Event::Lost(BTreeSet::new()));
        }
        let me = &self.environment.settings.worker_id;
        if let Some(publisher) = &mut self.publisher {
            publisher.publish(&self.herder, me);
        }
    }
}

async fn write(
    cluster: Arc<Cluster>,
    mut incoming: mpsc::UnboundedReceiver<StatusRecord>,
    lost: Arc<AtomicBool>,
) {
    const MOST: usize = 1_000;
    let mut batch = Vec::new();
    while incoming.recv_many(&mut batch, MOST).await > 0 {
        while let Err(error) = cluster.write_statuses(batch.clone()).await {
            if !cluster.lease().is_valid() {
                lost.store(true, Ordering::Release);
                break;
            }
            tracing::warn!("write the status topic, and try again: {error}");
            sleep(PAUSE).await;
        }
        batch.clear();
    }
}
