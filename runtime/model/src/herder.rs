//! The herder as a pure state machine: the config log and what happened to tasks go in, what
//! shall be done comes out. The driver in `runtime/worker` does it and reports back; a test or a
//! simulation can stand in for the driver.

mod connector_run;
mod task_run;

use std::collections::BTreeMap;

use connector_run::ConnectorRun;
pub use connector_run::RestartPolicy;
use task_run::TaskRun;

use crate::config::ConfigMap;
use crate::config_log::{ConfigRecord, ConfigState, task_records};
use crate::names::TaskId;
use crate::state::{State, Status, TargetState};

/// Everything a task is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// Which task.
    pub id: TaskId,
    /// How many tasks the connector has.
    pub tasks: u32,
    /// The place in the log of the task configurations.
    pub generation: u64,
    /// The revision of the connector's configuration.
    pub revision: u64,
    /// The connector's configuration.
    pub connector_config: ConfigMap,
    /// What `plan` answered for this task.
    pub task_config: ConfigMap,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record was appended to (or read from) the config log at this place.
    Log(u64, ConfigRecord),
    /// `plan` of this connector answered.
    Planned {
        /// The connector.
        connector: String,
        /// The revision that was planned.
        revision: u64,
        /// Task configurations, and after how long to ask again; or the trace.
        outcome: Result<(Vec<ConfigMap>, Option<u32>), String>,
    },
    /// The task's instance started, or it changed between working and pausing.
    TaskState {
        /// The task.
        id: TaskId,
        /// Which start of it.
        epoch: u64,
        /// RUNNING or PAUSED.
        state: State,
    },
    /// The task's loop ended: none if it was asked to, else the trace.
    TaskEnded {
        /// The task.
        id: TaskId,
        /// Which start of it.
        epoch: u64,
        /// Why it failed.
        trace: Option<String>,
    },
    /// The user wants the connector planned afresh and the tasks named started afresh.
    Restart {
        /// The connector.
        connector: String,
        /// Whether the connector itself shall be planned again.
        replan: bool,
        /// Its tasks to restart.
        tasks: Vec<u32>,
    },
    /// Time passed.
    Tick,
    /// The worker is to end: stop everything, start nothing.
    Shutdown,
}

/// What shall be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the plugin for task configurations; answer with [`Event::Planned`].
    Plan {
        /// The connector.
        connector: String,
        /// The revision of `config`.
        revision: u64,
        /// The connector's configuration.
        config: ConfigMap,
    },
    /// Append to the config log, then report each record with [`Event::Log`].
    Append(Vec<ConfigRecord>),
    /// Start a task; answer with [`Event::TaskState`] and, sooner or later, [`Event::TaskEnded`].
    Start {
        /// Which start of it: answers carry it, so that those of an earlier start are known.
        epoch: u64,
        /// Whether it starts paused.
        paused: bool,
        /// With what.
        spec: Box<TaskSpec>,
    },
    /// Ask a task to end; answered by [`Event::TaskEnded`].
    Stop(TaskId, u64),
    /// Ask a task to pause or to go on.
    SetPaused(TaskId, u64, bool),
}

/// What the herder knows beyond the log.
#[derive(Debug, Default)]
pub struct Herder {
    log: ConfigState,
    connectors: BTreeMap<String, ConnectorRun>,
    tasks: BTreeMap<TaskId, TaskRun>,
    last_epoch: u64,
    ending: bool,
}

impl Herder {
    /// The config log as read so far.
    pub fn log(&self) -> &ConfigState {
        &self.log
    }

    /// Whether every task has ended.
    pub fn is_idle(&self) -> bool {
        self.tasks.values().all(|task| !task.is_live())
    }

    /// When the next [`Event::Tick`] is due, in the same milliseconds as `handle`'s.
    pub fn next_tick_ms(&self) -> Option<u64> {
        let plans = self.connectors.values().filter_map(ConnectorRun::due_ms);
        let restarts = self.tasks.values().filter_map(TaskRun::restart_due_ms);
        plans.chain(restarts).min()
    }

    /// What the connector is doing; none if there is no such connector.
    pub fn connector_status(&self, name: &str) -> Option<Status> {
        let entry = self.log.connector(name)?;
        let planned = entry.planned_revision == entry.revision;
        Some(
            match (
                entry.target,
                self.connectors.get(name).and_then(ConnectorRun::failure),
            ) {
                (TargetState::Stopped, _) => Status::of(State::Stopped),
                (_, Some(trace)) => Status::failed(trace),
                (TargetState::Paused, None) => Status::of(State::Paused),
                (TargetState::Started, None) if planned => Status::of(State::Running),
                (TargetState::Started, None) => Status::of(State::Unassigned),
            },
        )
    }

    /// What the connector's tasks are doing, in order.
    pub fn task_statuses(&self, name: &str) -> Vec<Status> {
        let tasks = self
            .log
            .connector(name)
            .map_or(0, |entry| entry.tasks.len());
        (0..u32::try_from(tasks).unwrap_or(u32::MAX))
            .map(|task| {
                self.tasks
                    .get(&TaskId::new(name, task))
                    .map_or_else(|| Status::of(State::Unassigned), TaskRun::status)
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
        let mut actions = Vec::new();
        match event {
            Event::Log(place, record) => self.log.apply(place, record),
            Event::Planned {
                connector,
                revision,
                outcome,
            } => {
                actions.extend(self.planned(now_ms, &connector, revision, outcome));
            }
            Event::TaskState { id, epoch, state } => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.reported(epoch, state);
                }
            }
            Event::TaskEnded { id, epoch, trace } => self.task_ended(now_ms, id, epoch, trace),
            Event::Restart {
                connector,
                replan,
                tasks,
            } => {
                if replan {
                    self.connectors.entry(connector.clone()).or_default().ask();
                }
                for task in tasks {
                    if let Some(run) = self.tasks.get_mut(&TaskId::new(&connector, task)) {
                        run.ask_restart();
                    }
                }
            }
            Event::Tick => {}
            Event::Shutdown => self.ending = true,
        }
        actions.extend(self.reconcile(now_ms));
        actions
    }

    fn planned(
        &mut self,
        now_ms: u64,
        connector: &str,
        revision: u64,
        outcome: Result<(Vec<ConfigMap>, Option<u32>), String>,
    ) -> Option<Action> {
        let entry = self.log.connector(connector)?;
        let run = self.connectors.get_mut(connector)?;
        if !run.answered(now_ms, revision, &outcome) {
            return None;
        }
        let (tasks, _) = outcome.ok()?;
        let same_plan = entry.planned_revision == revision && same_set(&entry.tasks, &tasks);
        // A stop while the plugin was planning has emptied the task list; leave it so.
        if same_plan || entry.target == TargetState::Stopped {
            return None;
        }
        Some(Action::Append(task_records(connector, revision, &tasks)))
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
        let gone: Vec<TaskId> = self
            .tasks
            .keys()
            .filter(|id| self.wanted(id).is_none())
            .cloned()
            .collect();
        for id in gone {
            match self.tasks.get_mut(&id) {
                Some(task) if task.is_live() => actions.extend(task.stop()),
                _ => drop(self.tasks.remove(&id)),
            }
        }
        let wanted: Vec<(TaskSpec, bool)> = self.all_wanted();
        for (spec, paused) in wanted {
            let id = spec.id.clone();
            match self.tasks.get_mut(&id) {
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
        if !self.ending {
            for (name, entry) in self.log.connectors() {
                let run = self.connectors.entry(name.clone()).or_default();
                if entry.target == TargetState::Stopped {
                    // A stop took the tasks away: the next start has to plan them again.
                    run.ask();
                }
                if entry.target != TargetState::Started {
                    continue;
                }
                if run.should_plan(now_ms, entry.revision) {
                    actions.push(Action::Plan {
                        connector: name.clone(),
                        revision: entry.revision,
                        config: entry.config.clone(),
                    });
                }
            }
        }
        actions
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

    fn all_wanted(&self) -> Vec<(TaskSpec, bool)> {
        if self.ending {
            return Vec::new();
        }
        self.log
            .connectors()
            .iter()
            .flat_map(|(name, entry)| {
                (0..u32::try_from(entry.tasks.len()).unwrap_or(u32::MAX))
                    .filter_map(|task| self.wanted(&TaskId::new(name.as_str(), task)))
            })
            .collect()
    }

    /// With what the task shall run, and whether paused; none if it shall not.
    fn wanted(&self, id: &TaskId) -> Option<(TaskSpec, bool)> {
        let entry = self.log.connector(&id.connector)?;
        if self.ending || entry.target == TargetState::Stopped {
            return None;
        }
        let task_config = entry.tasks.get(id.task as usize)?;
        // Until the new configuration is planned, what runs goes on as it is.
        if entry.planned_revision != entry.revision {
            let task = self.tasks.get(id).filter(|task| task.is_live())?;
            return Some((task.spec().clone(), entry.target == TargetState::Paused));
        }
        let spec = TaskSpec {
            id: id.clone(),
            tasks: u32::try_from(entry.tasks.len()).unwrap_or(u32::MAX),
            generation: entry.generation,
            revision: entry.revision,
            connector_config: entry.config.clone(),
            task_config: task_config.clone(),
        };
        Some((spec, entry.target == TargetState::Paused))
    }
}

fn same_set(a: &[ConfigMap], b: &[ConfigMap]) -> bool {
    let sorted = |configs: &[ConfigMap]| {
        let mut configs: Vec<ConfigMap> = configs.to_vec();
        configs.sort();
        configs
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests;
