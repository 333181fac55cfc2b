//! The cluster as seen from one of its workers, and sending a worker away for good.

use std::collections::BTreeMap;

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::Herder;
use tidegate_model::names::TaskId;

use crate::error::WorkerError;
use crate::worker::Worker;

/// Who is there and what runs where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The cluster's `group.id`.
    pub group: String,
    /// The id of the worker that leads.
    pub leader: Option<String>,
    /// How many shards there are.
    pub shards: usize,
    /// The workers, by id.
    pub workers: Vec<WorkerStatus>,
    /// Tasks that are on their way.
    pub moves: Vec<TaskMove>,
}

/// One worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its id.
    pub id: String,
    /// Its REST address.
    pub url: String,
    /// The version of its program.
    pub version: String,
    /// Whether it leads.
    pub leads: bool,
    /// Whether it is to go for good.
    pub leaving: bool,
    /// How many shards it owns.
    pub shards: usize,
    /// The tasks placed on them.
    pub tasks: Vec<TaskId>,
    /// What they weigh together, as measured.
    pub weight: u64,
}

/// A task between two workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMove {
    /// Which.
    pub task: TaskId,
    /// From which worker; none: nobody has its shard.
    pub from: Option<String>,
    /// To which worker; none: nobody has its shard.
    pub to: Option<String>,
}

impl Worker {
    /// Who is there and what runs where.
    ///
    /// # Errors
    /// In standalone, where there is nobody else.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, WorkerError> {
        let Some(cluster) = &self.environment().cluster else {
            return Err(WorkerError::Standalone);
        };
        let group = cluster.settings().group.clone();
        let look = move |herder: &Herder| look(herder, group);
        self.herder()
            .inspect(look)
            .await?
            .ok_or(WorkerError::Standalone)
    }

    /// Has a worker give everything away and go.
    ///
    /// # Errors
    /// If there is no such worker, or no other one.
    pub async fn remove_worker(&self, id: &str) -> Result<(), WorkerError> {
        if self.is_standalone() {
            return Err(WorkerError::Standalone);
        }
        let worker = id.to_owned();
        let decide = move |herder: &Herder| {
            let Some(directory) = herder.directory() else {
                return (Err(WorkerError::Standalone), Vec::new());
            };
            let live = directory.live();
            let known = directory
                .worker(&worker)
                .filter(|_| live.contains(worker.as_str()));
            let Some(record) = known else {
                let all: Vec<&str> = live.into_iter().collect();
                let error = WorkerError::NoWorker {
                    worker: worker.clone(),
                    known: all.join(", "),
                };
                return (Err(error), Vec::new());
            };
            let stays = |id: &&str| {
                let other = directory.worker(id);
                **id != *worker
                    && other.is_some_and(|o| !herder.log().cluster().is_removed(id, &o.incarnation))
            };
            if !live.iter().any(|id| stays(id)) {
                return (Err(WorkerError::LastWorker(worker.clone())), Vec::new());
            }
            let removed = ConfigRecord::Removed {
                worker: worker.clone(),
                incarnation: record.incarnation.clone(),
            };
            (Ok(()), vec![removed])
        };
        self.herder().change(decide).await??;
        tracing::info!(worker = id, "worker shall leave the cluster");
        Ok(())
    }
}

fn look(herder: &Herder, group: String) -> Option<ClusterStatus> {
    let directory = herder.directory()?;
    let log = herder.log();
    let leader = log.cluster().leader().map(|leader| leader.worker.clone());
    let mut workers: BTreeMap<String, WorkerStatus> = BTreeMap::new();
    for owner in directory.owners().values() {
        let worker = workers.entry(owner.clone()).or_insert_with(|| {
            let record = directory.worker(owner).cloned().unwrap_or_default();
            WorkerStatus {
                leads: leader.as_deref() == Some(owner),
                leaving: log.cluster().is_removed(owner, &record.incarnation),
                weight: record.weights.iter().map(|(_, w)| u64::from(*w)).sum(),
                id: owner.clone(),
                url: record.url,
                version: record.version,
                ..WorkerStatus::default()
            }
        });
        worker.shards += 1;
    }
    let mut moves = Vec::new();
    for (task, placement) in log.cluster().placements() {
        let entry = log.connector(&task.connector);
        if entry.is_none_or(|entry| task.task as usize >= entry.tasks.len()) {
            continue;
        }
        let to = directory.owner(placement.shard).map(str::to_owned);
        if let Some(worker) = to.as_ref().and_then(|id| workers.get_mut(id)) {
            worker.tasks.push(task.clone());
        }
        if let Some(from) = placement.from
            && !herder.is_move_done(task)
        {
            moves.push(TaskMove {
                task: task.clone(),
                from: directory.owner(from).map(str::to_owned),
                to,
            });
        }
    }
    Some(ClusterStatus {
        group,
        leader,
        shards: directory.owners().len(),
        workers: workers.into_values().collect(),
        moves,
    })
}
