//! The config log: every change of what a cluster shall run, in order, and the state that
//! reading it from the start gives. In standalone it lies in sled, later in a compacted topic;
//! the records and their keys are Kafka Connect's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ConfigMap;
use crate::state::TargetState;

/// One entry of the config log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ConfigRecord {
    /// A connector's configuration; none: deleted, with everything that belongs to it.
    Connector {
        /// The connector.
        name: String,
        /// What the user wrote.
        config: Option<ConfigMap>,
    },
    /// What the user wants of it.
    Target {
        /// The connector.
        name: String,
        /// Running, paused, stopped.
        state: TargetState,
    },
    /// One task's configuration; counts only when a commit record follows (D5).
    Task {
        /// The connector.
        name: String,
        /// The task's number.
        task: u32,
        /// What `plan` answered.
        config: ConfigMap,
    },
    /// The last `tasks` task configurations apply, all at once (D5).
    Commit {
        /// The connector.
        name: String,
        /// How many tasks it has now.
        tasks: u32,
        /// The revision of the connector's configuration that they were planned from.
        revision: u64,
    },
}

impl ConfigRecord {
    /// Under which key the record replaces an earlier one, spelled as in Kafka Connect.
    pub fn key(&self) -> String {
        match self {
            Self::Connector { name, .. } => format!("connector-{name}"),
            Self::Target { name, .. } => format!("target-state-{name}"),
            Self::Task { name, task, .. } => format!("task-{name}-{task}"),
            Self::Commit { name, .. } => format!("commit-{name}"),
        }
    }
}

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
    pending: BTreeMap<u32, ConfigMap>,
}

/// The log, read from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigState {
    connectors: BTreeMap<String, ConnectorEntry>,
    early_targets: BTreeMap<String, TargetState>,
}

impl ConfigState {
    /// Reads one more record, which stands at `place` in the log. Places grow.
    pub fn apply(&mut self, place: u64, record: ConfigRecord) {
        match record {
            ConfigRecord::Connector { name, config: None } => {
                self.connectors.remove(&name);
                self.early_targets.remove(&name);
            }
            ConfigRecord::Connector {
                name,
                config: Some(config),
            } => {
                // Connect writes the target of a new connector before its configuration, so that
                // nobody starts what was created paused.
                let early = self.early_targets.remove(&name);
                match self.connectors.get_mut(&name) {
                    Some(entry) => {
                        entry.config = config;
                        entry.revision = place;
                    }
                    None => {
                        let entry = ConnectorEntry {
                            config,
                            revision: place,
                            target: early.unwrap_or_default(),
                            tasks: Vec::new(),
                            generation: 0,
                            planned_revision: 0,
                            pending: BTreeMap::new(),
                        };
                        self.connectors.insert(name, entry);
                    }
                }
            }
            ConfigRecord::Target { name, state } => match self.connectors.get_mut(&name) {
                Some(entry) => entry.target = state,
                None => {
                    self.early_targets.insert(name, state);
                }
            },
            ConfigRecord::Task { name, task, config } => {
                if let Some(entry) = self.connectors.get_mut(&name) {
                    entry.pending.insert(task, config);
                }
            }
            ConfigRecord::Commit {
                name,
                tasks,
                revision,
            } => {
                if let Some(entry) = self.connectors.get_mut(&name) {
                    entry.commit(place, tasks, revision);
                }
            }
        }
    }

    /// All connectors, by name.
    pub fn connectors(&self) -> &BTreeMap<String, ConnectorEntry> {
        &self.connectors
    }

    /// One connector.
    pub fn connector(&self, name: &str) -> Option<&ConnectorEntry> {
        self.connectors.get(name)
    }
}

impl ConnectorEntry {
    fn commit(&mut self, place: u64, tasks: u32, revision: u64) {
        let pending = std::mem::take(&mut self.pending);
        let complete: Option<Vec<ConfigMap>> =
            (0..tasks).map(|task| pending.get(&task).cloned()).collect();
        // An incomplete set (lost to compaction or a torn write) does not apply at all (D5); the
        // revision stays behind, so the connector is planned again.
        if let Some(complete) = complete {
            self.tasks = complete;
            self.generation = place;
            self.planned_revision = revision;
        }
    }
}

/// The records that set the task configurations of a connector.
pub fn task_records(name: &str, revision: u64, tasks: &[ConfigMap]) -> Vec<ConfigRecord> {
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let mut records: Vec<ConfigRecord> = (0..count)
        .zip(tasks)
        .map(|(task, config)| ConfigRecord::Task {
            name: name.to_owned(),
            task,
            config: config.clone(),
        })
        .collect();
    records.push(ConfigRecord::Commit {
        name: name.to_owned(),
        tasks: count,
        revision,
    });
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: &str) -> ConfigMap {
        [("k".to_owned(), value.to_owned())].into()
    }

    fn connector(value: &str) -> ConfigRecord {
        ConfigRecord::Connector {
            name: "c".into(),
            config: Some(config(value)),
        }
    }

    fn read(records: Vec<ConfigRecord>) -> ConfigState {
        let mut state = ConfigState::default();
        for (place, record) in (1..).zip(records) {
            state.apply(place, record);
        }
        state
    }

    #[test]
    fn task_configs_apply_all_or_not_at_all() {
        let mut records = vec![connector("1")];
        records.extend(task_records("c", 1, &[config("a"), config("b")]));
        let state = read(records.clone());
        assert_eq!(
            state.connector("c").unwrap().tasks,
            [config("a"), config("b")]
        );

        // Cut anywhere inside the second set: the first stays whole.
        let second = task_records("c", 1, &[config("x"), config("y"), config("z")]);
        for cut in 0..second.len() {
            let mut torn = records.clone();
            torn.extend(second.iter().take(cut).cloned());
            assert_eq!(
                read(torn).connector("c").unwrap().tasks,
                [config("a"), config("b")],
                "cut after {cut}"
            );
        }
        // A commit whose task records were lost does not apply either.
        records.extend(second.into_iter().skip(1));
        assert_eq!(
            read(records).connector("c").unwrap().tasks,
            [config("a"), config("b")]
        );
    }

    #[test]
    fn target_may_come_before_the_connector() {
        let target = ConfigRecord::Target {
            name: "c".into(),
            state: TargetState::Paused,
        };
        let state = read(vec![target, connector("1")]);
        assert_eq!(state.connector("c").unwrap().target, TargetState::Paused);
    }

    #[test]
    fn delete_forgets_tasks_and_target() {
        let mut records = vec![connector("1")];
        records.extend(task_records("c", 1, &[config("a")]));
        records.push(ConfigRecord::Target {
            name: "c".into(),
            state: TargetState::Stopped,
        });
        records.push(ConfigRecord::Connector {
            name: "c".into(),
            config: None,
        });
        records.push(connector("2"));
        let state = read(records);
        let entry = state.connector("c").unwrap();
        assert_eq!((entry.tasks.len(), entry.target), (0, TargetState::Started));
    }
}
