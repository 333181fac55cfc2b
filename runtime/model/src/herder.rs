//! The herder as a pure state machine: the config log and what happened to tasks, shards and other
//! workers go in, what shall be done comes out. The driver in `runtime/worker` does it and reports
//! back; a test or a simulation can stand in for the driver. Standalone is the case in which one
//! worker leads and owns everything.

mod action;
mod balance;
mod cluster_view;
mod connector_run;
mod directory;
mod leader;
mod task_run;

use std::collections::{BTreeMap, BTreeSet};

pub use action::{Action, Event, PlanOutcome, Planned, TaskSpec};
use cluster_view::ClusterView;
use connector_run::ConnectorRun;
pub use connector_run::RestartPolicy;
pub use directory::{Directory, WorkerRecord};
use task_run::TaskRun;

use crate::config_log::{ConfigRecord, ConfigState, ConnectorEntry, RestartRequest};
use crate::names::TaskId;
use crate::state::{PlacedStatus, RemoteStatus, State, Status, TargetState};

/// What the herder knows beyond the log.
#[derive(Debug)]
pub struct Herder {
    me: String,
    log: ConfigState,
    connectors: BTreeMap<String, ConnectorRun>,
    tasks: BTreeMap<TaskId, TaskRun>,
    /// None in standalone: everything is this worker's.
    cluster: Option<ClusterView>,
    last_epoch: u64,
    ending: bool,
}

impl Herder {
    /// Of a worker that is alone: it leads, and every task is its own.
    pub fn standalone(me: impl Into<String>) -> Self {
        Self {
            me: me.into(),
            log: ConfigState::default(),
            connectors: BTreeMap::new(),
            tasks: BTreeMap::new(),
            cluster: None,
            last_epoch: 0,
            ending: false,
        }
    }

    /// Of a worker of a cluster with so many shards. It owns none and leads nobody until it hears
    /// otherwise. `incarnation` tells this start of the worker from others.
    pub fn of_cluster(
        me: impl Into<String>,
        url: impl Into<String>,
        incarnation: impl Into<String>,
        shards: u32,
    ) -> Self {
        Self {
            cluster: Some(ClusterView::new(url.into(), incarnation.into(), shards)),
            ..Self::standalone(me)
        }
    }

    /// The config log as read so far.
    pub fn log(&self) -> &ConfigState {
        &self.log
    }

    /// The workers of the cluster and their shards; none in standalone.
    pub fn directory(&self) -> Option<&Directory> {
        self.cluster.as_ref().map(|cluster| &cluster.directory)
    }

    /// What this worker tells the others of itself; none in standalone.
    pub fn own_record(&self) -> Option<WorkerRecord> {
        self.cluster.as_ref().map(ClusterView::own_record)
    }

    /// Whether this worker decides for all.
    pub fn is_leading(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| cluster.leading)
    }

    /// Whether every task has ended.
    pub fn is_idle(&self) -> bool {
        self.tasks.values().all(|task| !task.is_live())
    }

    /// Whether every task that was started on one of these shards has ended.
    pub fn is_quiet(&self, shards: &BTreeSet<u32>) -> bool {
        let on = |task: &TaskRun| {
            task.spec()
                .shard
                .is_some_and(|shard| shards.contains(&shard))
        };
        !self.tasks.values().any(|task| task.is_live() && on(task))
    }

    /// Whether this worker was told to go for good and has nothing left.
    pub fn may_leave(&self) -> bool {
        let Some(cluster) = &self.cluster else {
            return false;
        };
        let placed_here = |(task, placement): (&TaskId, &crate::config_log::Placement)| {
            let exists = self.exists(task);
            exists && cluster.owned.contains(&placement.shard)
        };
        self.log
            .cluster()
            .is_removed(&self.me, cluster.incarnation())
            && self.is_idle()
            && !self.log.cluster().placements().iter().any(placed_here)
    }

    /// Whether no move of the task is under way.
    pub fn is_move_done(&self, id: &TaskId) -> bool {
        let placement = self.log.cluster().placement(id);
        let settled = |placement| {
            self.cluster
                .as_ref()
                .is_none_or(|c| c.is_settled(id, &placement))
        };
        placement.is_none_or(settled)
    }

    /// When the next [`Event::Tick`] is due, in the same milliseconds as `handle`'s.
    pub fn next_tick_ms(&self) -> Option<u64> {
        let plans = self.connectors.values().filter_map(ConnectorRun::due_ms);
        let restarts = self.tasks.values().filter_map(TaskRun::restart_due_ms);
        let balance = self.cluster.as_ref().and_then(ClusterView::balance_due_ms);
        plans.chain(restarts).chain(balance).min()
    }

    /// What the connector is doing; none if there is no such connector.
    pub fn connector_status(&self, name: &str) -> Option<PlacedStatus> {
        let entry = self.log.connector(name)?;
        let planned = entry.planned_revision == entry.revision;
        let failure = if self.is_leading() {
            let run = self.connectors.get(name);
            let failure = run.and_then(ConnectorRun::failure);
            let fence = || self.cluster.as_ref()?.fence_failure(name);
            failure.or_else(fence).map(str::to_owned)
        } else {
            let leader = self.log.cluster().leader();
            self.cluster
                .as_ref()
                .and_then(|c| c.failure_of(name, leader))
        };
        let status = match (entry.target, failure) {
            (TargetState::Stopped, _) => Status::of(State::Stopped),
            (_, Some(trace)) => Status::failed(trace),
            (TargetState::Paused, None) => Status::of(State::Paused),
            (TargetState::Started, None) if planned => Status::of(State::Running),
            (TargetState::Started, None) => Status::of(State::Unassigned),
        };
        let leader = self.log.cluster().leader();
        let worker = leader.map_or(&self.me, |leader| &leader.worker);
        Some(PlacedStatus {
            status,
            worker: worker.clone(),
        })
    }

    /// What the connector's tasks are doing, in order.
    pub fn task_statuses(&self, name: &str) -> Vec<PlacedStatus> {
        let tasks = self
            .log
            .connector(name)
            .map_or(0, |entry| entry.tasks.len());
        (0..u32::try_from(tasks).unwrap_or(u32::MAX))
            .map(|task| self.task_status(&TaskId::new(name, task)))
            .collect()
    }

    fn task_status(&self, id: &TaskId) -> PlacedStatus {
        if let Some(task) = self.tasks.get(id) {
            return PlacedStatus {
                status: task.status(),
                worker: self.me.clone(),
            };
        }
        let elsewhere = self.cluster.as_ref();
        let placement = self.log.cluster().placement(id);
        elsewhere
            .and_then(|cluster| cluster.status_of(&self.me, id, placement))
            .unwrap_or_else(|| PlacedStatus {
                status: Status::of(State::Unassigned),
                worker: self.me.clone(),
            })
    }

    /// What this worker's own tasks are doing, for the others to know.
    pub fn own_task_statuses(&self) -> BTreeMap<TaskId, Status> {
        let tasks = self.tasks.iter();
        tasks
            .map(|(id, task)| (id.clone(), task.status()))
            .collect()
    }

    /// Why connectors could not be planned, by name; known to who leads.
    pub fn plan_failures(&self) -> BTreeMap<String, String> {
        let fence = |name: &str| self.cluster.as_ref()?.fence_failure(name);
        let failures = self.connectors.iter();
        failures
            .filter_map(|(name, run)| {
                let trace = run.failure().or_else(|| fence(name))?;
                Some((name.clone(), trace.to_owned()))
            })
            .collect()
    }

    /// Reads a record of the log before anything is started; what it would set going waits for the
    /// first event.
    pub fn replay(&mut self, place: u64, record: ConfigRecord) {
        self.log.apply(place, record);
    }

    /// Takes one event and answers what shall be done. `now_ms` only grows.
    pub fn handle(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        match event {
            Event::Log(place, record) => {
                let is_new = place > self.log.last_place();
                if let (true, ConfigRecord::Restart(request)) = (is_new, &record) {
                    self.restart(request);
                }
                self.log.apply(place, record);
            }
            Event::Planned(planned) => self.planned(now_ms, planned),
            Event::TaskState { id, epoch, state } => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.reported(epoch, state);
                }
            }
            Event::TaskWaits { id, epoch, waiting } => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.waits(epoch, waiting);
                }
            }
            Event::TaskEnded { id, epoch, trace } => self.task_ended(now_ms, id, epoch, trace),
            Event::Tick => {}
            Event::Shutdown => self.ending = true,
            Event::TaskStatus(id, status) => self.heard_of_task(now_ms, id, status),
            other => {
                if let Some(cluster) = &mut self.cluster {
                    cluster.handle(now_ms, &self.me, other);
                }
            }
        }
        self.reconcile(now_ms)
    }

    /// A late word of a former owner stands last in the topic now, and is all that a worker that comes
    /// later reads of the task. Whoever runs it says it again, in a new epoch.
    fn heard_of_task(&mut self, now_ms: u64, id: TaskId, status: Option<RemoteStatus>) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        let placement = self.log.cluster().placement(&id);
        let is_own = placement.is_some_and(|placement| cluster.owned.contains(&placement.shard));
        let is_mine = |status: &RemoteStatus| status.incarnation == cluster.incarnation();
        if is_own && self.tasks.contains_key(&id) && !status.as_ref().is_some_and(is_mine) {
            cluster.say_again(now_ms, &self.me);
        }
        cluster.set_status(id, status);
    }

    fn restart(&mut self, request: &RestartRequest) {
        let wanted = |status: &Status| !request.only_failed || status.state == State::Failed;
        let name = &request.name;
        if let Some(task) = request.task {
            if let Some(run) = self.tasks.get_mut(&TaskId::new(name, task)) {
                run.ask_restart();
            }
            return;
        }
        let status = self.connector_status(name);
        if self.is_leading() && status.is_some_and(|placed| wanted(&placed.status)) {
            self.connectors.entry(name.clone()).or_default().ask();
            if let Some(cluster) = &mut self.cluster {
                cluster.forget_fence(name);
            }
        }
        let own = self.tasks.iter_mut();
        for (_, run) in own.filter(|(id, _)| request.include_tasks && id.connector == *name) {
            if wanted(&run.status()) {
                run.ask_restart();
            }
        }
    }

    fn planned(&mut self, now_ms: u64, planned: Planned) {
        if let Some(run) = self.connectors.get_mut(&planned.connector) {
            run.answered(now_ms, planned.revision, planned.outcome);
        }
    }

    fn task_ended(&mut self, now_ms: u64, id: TaskId, epoch: u64, trace: Option<String>) {
        let policy = self
            .log
            .connector(&id.connector)
            .map_or_else(RestartPolicy::default, |entry| {
                RestartPolicy::of(&entry.config)
            });
        if let Some(task) = self.tasks.get_mut(&id)
            && task.ended(now_ms, epoch, trace, policy)
        {
            self.tasks.remove(&id);
        }
    }

    fn reconcile(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        self.connectors
            .retain(|name, _| self.log.connector(name).is_some());
        self.stop_unwanted(&mut actions);
        self.start_wanted(now_ms, &mut actions);
        self.release(&mut actions);
        self.plan_and_fence(now_ms, &mut actions);
        self.forget_workers(now_ms, &mut actions);
        actions
    }

    fn stop_unwanted(&mut self, actions: &mut Vec<Action>) {
        let gone: Vec<TaskId> = self
            .tasks
            .keys()
            .filter(|id| !self.is_steady(id) && self.wanted(id).is_none())
            .cloned()
            .collect();
        for id in gone {
            match self.tasks.get_mut(&id) {
                Some(task) if task.is_live() => actions.extend(task.stop()),
                _ => drop(self.tasks.remove(&id)),
            }
        }
    }

    fn start_wanted(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        for (spec, paused) in self.all_wanted() {
            match self.tasks.get_mut(&spec.id) {
                Some(task) => {
                    let (action, startable) = task.reconcile(now_ms, &spec, paused);
                    actions.extend(action);
                    if startable {
                        actions.push(self.start(now_ms, spec, paused));
                    }
                }
                None => actions.push(self.start(now_ms, spec, paused)),
            }
        }
    }

    fn start(&mut self, now_ms: u64, spec: TaskSpec, paused: bool) -> Action {
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        let attempts = self
            .tasks
            .remove(&spec.id)
            .map_or(0, |task| task.restarts());
        self.tasks.insert(
            spec.id.clone(),
            TaskRun::starting(now_ms, epoch, spec.clone(), paused, attempts),
        );
        Action::Start {
            epoch,
            paused,
            spec: Box::new(spec),
        }
    }

    /// Tasks that leave a shard of this worker's and have ended here: their next owner waits for
    /// the word. Only the owner of the shard gives it, and only past the place that ordered the move;
    /// whoever owns the shard later has read that far before it starts anything.
    fn release(&mut self, actions: &mut Vec<Action>) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        for (id, placement) in self.log.cluster().placements() {
            let is_here = self.tasks.get(id).is_some_and(TaskRun::is_live);
            if !is_here && cluster.must_release(id, placement) {
                actions.push(Action::Release(id.clone(), placement.place));
            }
        }
    }

    fn all_wanted(&self) -> Vec<(TaskSpec, bool)> {
        if self.ending {
            return Vec::new();
        }
        self.log
            .connectors()
            .iter()
            .flat_map(|(name, entry)| {
                let ids = 0..u32::try_from(entry.tasks.len()).unwrap_or(u32::MAX);
                let ids = ids.map(|task| TaskId::new(name.as_str(), task));
                ids.filter(|id| !self.is_steady(id))
                    .filter_map(|id| self.wanted(&id))
            })
            .collect()
    }

    /// Whether the task runs just as the log wants it. That is so of nearly all at any time, and what
    /// [`Self::wanted`] copies would be most of what an event costs.
    fn is_steady(&self, id: &TaskId) -> bool {
        let Some(entry) = self.log.connector(&id.connector) else {
            return false;
        };
        let paused = entry.target == TargetState::Paused;
        let steady = |task: &TaskRun| {
            task.is_steady(entry.revision, entry.generation, paused)
                && self.shard_of(id) == Some(task.spec().shard)
        };
        !self.ending
            && entry.target != TargetState::Stopped
            && entry.planned_revision == entry.revision
            && entry.may_run()
            && (id.task as usize) < entry.tasks.len()
            && self.tasks.get(id).is_some_and(steady)
    }

    /// With what the task shall run here, and whether paused; none if it shall not.
    fn wanted(&self, id: &TaskId) -> Option<(TaskSpec, bool)> {
        let entry = self.log.connector(&id.connector)?;
        if self.ending || entry.target == TargetState::Stopped {
            return None;
        }
        let task_config = entry.tasks.get(id.task as usize)?;
        let shard = self.shard_of(id)?;
        let paused = entry.target == TargetState::Paused;
        if !entry.may_run() {
            return None;
        }
        // Until the new configuration is planned, what runs goes on as it is, and nothing starts: the
        // configuration that the tasks were planned from is gone.
        if entry.planned_revision != entry.revision {
            let task = self.tasks.get(id).filter(|task| task.is_live())?;
            return (task.spec().shard == shard).then(|| (task.spec().clone(), paused));
        }
        Some((spec_of(id, entry, task_config.clone(), shard), paused))
    }

    /// The shard under which the task may run on this worker: none inside in standalone, none at
    /// all if it may not.
    fn shard_of(&self, id: &TaskId) -> Option<Option<u32>> {
        let Some(cluster) = &self.cluster else {
            return Some(None);
        };
        let placement = self.log.cluster().placement(id)?;
        cluster
            .may_run(id, &placement)
            .then_some(Some(placement.shard))
    }

    fn exists(&self, id: &TaskId) -> bool {
        let entry = self.log.connector(&id.connector);
        entry.is_some_and(|entry| (id.task as usize) < entry.tasks.len())
    }
}

fn spec_of(
    id: &TaskId,
    entry: &ConnectorEntry,
    task_config: crate::config::ConfigMap,
    shard: Option<u32>,
) -> TaskSpec {
    TaskSpec {
        id: id.clone(),
        tasks: u32::try_from(entry.tasks.len()).unwrap_or(u32::MAX),
        generation: entry.generation,
        revision: entry.revision,
        exactly_once: entry.exactly_once,
        shard,
        connector_config: entry.config.clone(),
        task_config,
    }
}

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod tests;
