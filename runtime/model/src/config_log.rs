//! The config log: every change of what a cluster shall run, in order, and the state that
//! reading it from the start gives. In standalone it lies in sled, in a cluster in a compacted
//! topic; the records and their keys are Kafka Connect's, those that Connect has not begin with
//! `tidegate-`.

mod cluster_state;
mod record;

use std::collections::BTreeMap;

pub use cluster_state::{ClusterState, Leader, Placement, SessionKey};
pub use record::{
    ConfigRecord, PROTOCOL_VERSION, PluginEntry, RestartRequest, deletion_records, task_records,
};

use crate::config::ConfigMap;
use crate::state::TargetState;

/// A connector as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorEntry {
    /// What the user wrote.
    pub config: ConfigMap,
    /// The place in the log of the configuration: grows with each change.
    pub revision: u64,
    /// What the user wants.
    pub target: TargetState,
    /// Committed task configurations.
    pub tasks: Vec<ConfigMap>,
    /// The place in the log of the commit; 0: never planned.
    pub generation: u64,
    /// The revision the tasks were planned from.
    pub planned_revision: u64,
    /// Whether the tasks write with transactions, so that a new generation has to fence the old.
    pub exactly_once: bool,
    /// The place in the log of the last fencing: tasks of generations before it may run.
    pub fenced: u64,
    /// How many transactional ids the generation that was fenced for may have used.
    pub fenced_tasks: u32,
}

impl ConnectorEntry {
    /// Whether every transactional id of earlier generations is fenced, so that this one may run.
    pub fn may_run(&self) -> bool {
        !self.exactly_once || self.fenced > self.generation
    }
}

/// The log, read from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigState {
    connectors: BTreeMap<String, ConnectorEntry>,
    early: BTreeMap<String, Early>,
    pending: BTreeMap<String, BTreeMap<u32, ConfigMap>>,
    cluster: ClusterState,
    last_place: u64,
}

/// What the log says of a connector before its configuration: Connect writes the target of a new
/// one first, so that nobody starts what was created paused; and compaction leaves the tasks of an
/// earlier configuration before the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Early {
    target: Option<TargetState>,
    plan: Option<Plan>,
    fenced: Option<(u64, u32)>,
}

/// A committed set of task configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    tasks: Vec<ConfigMap>,
    generation: u64,
    revision: u64,
    exactly_once: bool,
}

impl ConfigState {
    /// Reads one more record, which stands at `place` in the log. Places grow; a record that was
    /// read before is left out.
    pub fn apply(&mut self, place: u64, record: ConfigRecord) {
        if place <= self.last_place {
            return;
        }
        self.last_place = place;
        match record {
            ConfigRecord::Connector { name, config: None } => {
                let gone = self.connectors.remove(&name);
                self.pending.remove(&name);
                // Its transactional ids outlive it: whoever has the name next fences them.
                let fenced = gone.map(|entry| (entry.fenced, entry.fenced_tasks));
                let early = self.early.remove(&name).unwrap_or_default();
                if let Some(fenced) = fenced.or(early.fenced).filter(|(_, tasks)| *tasks > 0) {
                    let early = Early {
                        fenced: Some(fenced),
                        ..Early::default()
                    };
                    self.early.insert(name, early);
                }
            }
            ConfigRecord::Connector {
                name,
                config: Some(config),
            } => self.configure(place, name, config),
            ConfigRecord::Target { name, state } => match self.connectors.get_mut(&name) {
                Some(entry) => entry.target = state,
                None => self.early.entry(name).or_default().target = Some(state),
            },
            ConfigRecord::Task { name, task, config } => {
                self.pending.entry(name).or_default().insert(task, config);
            }
            ConfigRecord::Commit {
                name,
                tasks,
                revision,
                exactly_once,
            } => {
                let plan = self.plan(&name, place, tasks, revision, exactly_once);
                match (plan, self.connectors.get_mut(&name)) {
                    (Some(plan), Some(entry)) => entry.set_plan(plan),
                    (Some(plan), None) => self.early.entry(name).or_default().plan = Some(plan),
                    (None, _) => {}
                }
            }
            ConfigRecord::Fence { name, tasks } => match self.connectors.get_mut(&name) {
                Some(entry) => (entry.fenced, entry.fenced_tasks) = (place, tasks),
                None => self.early.entry(name).or_default().fenced = Some((place, tasks)),
            },
            // An event: whoever hears of it acts, nobody remembers it.
            ConfigRecord::Restart(_) => {}
            other => self.cluster.apply(place, other),
        }
    }

    fn configure(&mut self, place: u64, name: String, config: ConfigMap) {
        if let Some(entry) = self.connectors.get_mut(&name) {
            entry.config = config;
            entry.revision = place;
            return;
        }
        let early = self.early.remove(&name).unwrap_or_default();
        let mut entry = ConnectorEntry {
            config,
            revision: place,
            target: early.target.unwrap_or_default(),
            tasks: Vec::new(),
            generation: 0,
            planned_revision: 0,
            exactly_once: false,
            fenced: 0,
            fenced_tasks: 0,
        };
        if let Some(plan) = early.plan {
            entry.set_plan(plan);
        }
        (entry.fenced, entry.fenced_tasks) = early.fenced.unwrap_or_default();
        self.connectors.insert(name, entry);
    }

    /// An incomplete set (lost to compaction or a torn write) does not apply at all (D5); the
    /// revision stays behind, so the connector is planned again.
    fn plan(
        &mut self,
        name: &str,
        generation: u64,
        tasks: u32,
        revision: u64,
        exactly_once: bool,
    ) -> Option<Plan> {
        let pending = self.pending.remove(name).unwrap_or_default();
        let tasks = (0..tasks)
            .map(|task| pending.get(&task).cloned())
            .collect::<Option<Vec<ConfigMap>>>()?;
        Some(Plan {
            tasks,
            generation,
            revision,
            exactly_once,
        })
    }

    /// All connectors, by name.
    pub fn connectors(&self) -> &BTreeMap<String, ConnectorEntry> {
        &self.connectors
    }

    /// One connector.
    pub fn connector(&self, name: &str) -> Option<&ConnectorEntry> {
        self.connectors.get(name)
    }

    /// What is not about one connector: placements, leader, plugins.
    pub fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// Up to where the log is read.
    pub fn last_place(&self) -> u64 {
        self.last_place
    }

    /// How many transactional ids a connector may have in use: those of the generation it was last
    /// fenced for.
    pub fn transactional_ids(&self, name: &str) -> u32 {
        self.connector(name).map_or(0, |entry| entry.fenced_tasks)
    }
}

impl ConnectorEntry {
    fn set_plan(&mut self, plan: Plan) {
        self.tasks = plan.tasks;
        self.generation = plan.generation;
        self.planned_revision = plan.revision;
        self.exactly_once = plan.exactly_once;
    }
}

#[cfg(test)]
mod tests;
