//! A worker as REST and the command line see it.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::StateStore;
use tidegate_kafka::Kafka;
use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, task_records};
use tidegate_model::herder::{Event, Herder};
use tidegate_model::names::{TaskId, connector_name};
use tidegate_model::plugin::PluginInfo;
use tidegate_model::state::{State, Status, TargetState};
use tidegate_sandbox::Sandbox;

use crate::error::WorkerError;
use crate::herder::{self, HerderHandle};
use crate::plugins::{Plugins, Uploaded};
use crate::settings::WorkerSettings;
use crate::task::TaskEnvironment;
use crate::validation::{self, ValidationReport};

/// A connector as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: String,
    /// As the user wrote it, with the name.
    pub config: ConfigMap,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
    /// `source`, `sink`, or `unknown` when its plugin is gone.
    pub kind: &'static str,
}

/// What a connector and its tasks are doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// The connector's own state.
    pub connector: Status,
    /// Its tasks' states, in order.
    pub tasks: Vec<Status>,
    /// Which worker they are on.
    pub worker_id: String,
    /// `source`, `sink` or `unknown`.
    pub kind: &'static str,
    /// The plugin's version, if it is there.
    pub version: Option<String>,
}

/// A task and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// Which.
    pub id: TaskId,
    /// What `plan` answered.
    pub config: ConfigMap,
}

/// A worker. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    environment: TaskEnvironment,
    herder: HerderHandle,
}

impl Worker {
    /// Reads its state and starts what it says.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub async fn start(
        settings: WorkerSettings,
        store: Arc<dyn StateStore>,
        sandbox: Sandbox,
        kafka: Kafka,
    ) -> Result<Self, WorkerError> {
        let plugins = Plugins::open(Arc::clone(&store), sandbox, settings.plugin_max_bytes).await?;
        let environment = TaskEnvironment {
            settings: Arc::new(settings),
            plugins: Arc::new(plugins),
            kafka,
            store,
            pools: Arc::default(),
        };
        let herder = herder::start(environment.clone()).await?;
        Ok(Self {
            environment,
            herder,
        })
    }

    pub(crate) fn environment(&self) -> &TaskEnvironment {
        &self.environment
    }

    pub(crate) fn herder(&self) -> &HerderHandle {
        &self.herder
    }

    /// Stops every task and waits for them, at most the graceful time-out and a bit.
    pub async fn shut_down(&self) {
        self.herder.shut_down().await;
    }

    /// The worker's settings.
    pub fn settings(&self) -> &WorkerSettings {
        &self.environment.settings
    }

    /// The id of the Kafka cluster; none if nobody answers in time.
    pub async fn cluster_id(&self) -> Option<String> {
        let kafka = self.environment.kafka.clone();
        let asked = tokio::task::spawn_blocking(move || kafka.cluster_id(Duration::from_secs(5)));
        asked.await.ok()?.ok()
    }

    /// Returns when the herder answers.
    ///
    /// # Errors
    /// While shutting down.
    pub async fn probe(&self) -> Result<(), WorkerError> {
        self.herder.inspect(|_| ()).await
    }

    /// The names of all connectors.
    ///
    /// # Errors
    /// While shutting down.
    pub async fn connectors(&self) -> Result<Vec<String>, WorkerError> {
        self.herder
            .inspect(|herder| herder.log().connectors().keys().cloned().collect())
            .await
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// If it names no plugin, or the plugin does not answer.
    pub async fn validate(&self, config: &ConfigMap) -> Result<ValidationReport, WorkerError> {
        validation::validate(&self.environment, config).await
    }

    /// Creates a connector.
    ///
    /// # Errors
    /// If the name is taken or illegal, or the configuration is invalid.
    pub async fn create(
        &self,
        name: &str,
        config: ConfigMap,
        initial: TargetState,
    ) -> Result<ConnectorInfo, WorkerError> {
        let (name, config) = named(name, config)?;
        self.check(&config).await?;
        let records = vec![
            ConfigRecord::Target {
                name: name.clone(),
                state: initial,
            },
            ConfigRecord::Connector {
                name: name.clone(),
                config: Some(config),
            },
        ];
        let key = name.clone();
        let created = move |herder: &Herder| match herder.log().connector(&key) {
            Some(_) => (Err(WorkerError::ConnectorExists(key)), Vec::new()),
            None => (Ok(()), records),
        };
        self.herder.change(created).await??;
        tracing::info!(connector = name, "connector created");
        self.info(&name).await
    }

    /// Sets a connector's configuration; answers whether it is new.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub async fn put_config(
        &self,
        name: &str,
        config: ConfigMap,
    ) -> Result<(ConnectorInfo, bool), WorkerError> {
        let (name, config) = named(name, config)?;
        self.check(&config).await?;
        let record = ConfigRecord::Connector {
            name: name.clone(),
            config: Some(config),
        };
        let key = name.clone();
        let change = move |herder: &Herder| match herder.log().connector(&key) {
            Some(_) => (false, vec![record]),
            None => {
                // A deleted namesake's target is still in the log: read again, it would count (D9).
                let state = TargetState::default();
                (
                    true,
                    vec![ConfigRecord::Target { name: key, state }, record],
                )
            }
        };
        let created = self.herder.change(change).await?;
        tracing::info!(connector = name, created, "connector configured");
        Ok((self.info(&name).await?, created))
    }

    async fn check(&self, config: &ConfigMap) -> Result<(), WorkerError> {
        let problems = self.validate(config).await?.problems();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(WorkerError::Invalid(problems))
        }
    }

    /// A connector as configured.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn info(&self, name: &str) -> Result<ConnectorInfo, WorkerError> {
        let (config, tasks) = self
            .of(name, |herder, name| {
                let entry = herder.log().connector(name)?;
                Some((entry.config.clone(), entry.tasks.len()))
            })
            .await?;
        let tasks = 0..u32::try_from(tasks).unwrap_or(u32::MAX);
        Ok(ConnectorInfo {
            tasks: tasks.map(|task| TaskId::new(name, task)).collect(),
            kind: self
                .plugin_of(&config)
                .map_or("unknown", |plugin| plugin.kind.as_str()),
            name: name.to_owned(),
            config,
        })
    }

    /// What a connector and its tasks are doing.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus, WorkerError> {
        let found = self
            .of(name, |herder, name| {
                let config = herder.log().connector(name)?.config.clone();
                Some((
                    herder.connector_status(name)?,
                    herder.task_statuses(name),
                    config,
                ))
            })
            .await;
        let (connector, tasks, config) = found.map_err(|error| match error {
            WorkerError::NoConnector(name) => WorkerError::NoStatus(format!("connector {name}")),
            other => other,
        })?;
        let plugin = self.plugin_of(&config);
        Ok(ConnectorStatus {
            name: name.to_owned(),
            connector,
            tasks,
            worker_id: self.environment.settings.worker_id.clone(),
            kind: plugin
                .as_ref()
                .map_or("unknown", |plugin| plugin.kind.as_str()),
            version: plugin.map(|plugin| plugin.description.version),
        })
    }

    /// A connector's tasks.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, WorkerError> {
        let configs = self
            .of(name, |herder, name| {
                Some(herder.log().connector(name)?.tasks.clone())
            })
            .await?;
        let infos = (0..).zip(configs).map(|(task, config)| TaskInfo {
            id: TaskId::new(name, task),
            config,
        });
        Ok(infos.collect())
    }

    /// Deletes a connector; its offsets survive, as in Kafka Connect.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn delete(&self, name: &str) -> Result<(), WorkerError> {
        self.append_for(name, |name, _| {
            vec![ConfigRecord::Connector { name, config: None }]
        })
        .await?;
        tracing::info!(connector = name, "connector deleted");
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn set_target(&self, name: &str, state: TargetState) -> Result<(), WorkerError> {
        self.append_for(name, move |name, herder| {
            let mut records = Vec::new();
            if state == TargetState::Stopped {
                // A stopped connector has no tasks, also for whoever reads the log later.
                let revision = herder
                    .log()
                    .connector(&name)
                    .map_or(0, |e| e.planned_revision);
                records = task_records(&name, revision, &[]);
            }
            records.push(ConfigRecord::Target { name, state });
            records
        })
        .await
        .map_err(|error| match error {
            WorkerError::NoConnector(name) => WorkerError::UnknownConnector(name),
            other => other,
        })?;
        tracing::info!(connector = name, ?state, "connector target state set");
        Ok(())
    }

    /// Restarts a connector: plans it again, and with `include_tasks` starts its tasks again. With
    /// `only_failed`, only what is FAILED.
    ///
    /// # Errors
    /// If there is none of that name.
    pub async fn restart(
        &self,
        name: &str,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorStatus, WorkerError> {
        let before = self.status(name).await.map_err(|error| match error {
            WorkerError::NoStatus(_) => WorkerError::UnknownRestart(name.to_owned()),
            other => other,
        })?;
        let wanted = |status: &Status| !only_failed || status.state == State::Failed;
        let replan = wanted(&before.connector);
        let tasks: Vec<u32> = (0..)
            .zip(&before.tasks)
            .filter(|(_, status)| include_tasks && wanted(status))
            .map(|(task, _)| task)
            .collect();
        let mut after = before.clone();
        if replan {
            after.connector = Status::of(State::Restarting);
        }
        for task in &tasks {
            if let Some(status) = after.tasks.get_mut(*task as usize) {
                *status = Status::of(State::Restarting);
            }
        }
        self.herder.event(Event::Restart {
            connector: name.to_owned(),
            replan,
            tasks,
        })?;
        Ok(after)
    }

    /// Starts one task again.
    ///
    /// # Errors
    /// If there is none.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<(), WorkerError> {
        self.task_status(name, task)
            .await
            .map_err(|error| match error {
                WorkerError::NoStatus(_) => WorkerError::UnknownRestart(name.to_owned()),
                other => other,
            })?;
        let tasks = vec![task];
        self.herder.event(Event::Restart {
            connector: name.to_owned(),
            replan: false,
            tasks,
        })
    }

    /// What one task is doing.
    ///
    /// # Errors
    /// If there is none.
    pub async fn task_status(
        &self,
        name: &str,
        task: u32,
    ) -> Result<(Status, String), WorkerError> {
        let status = self.status(name).await?;
        let found = status.tasks.into_iter().nth(task as usize);
        let found =
            found.ok_or_else(|| WorkerError::NoTask(TaskId::new(name, task).to_string()))?;
        Ok((found, status.worker_id))
    }

    /// Checks, compiles and stores a component.
    ///
    /// # Errors
    /// If it is no plugin, too large, or in conflict with another.
    pub async fn upload(&self, component: Vec<u8>) -> Result<Uploaded, WorkerError> {
        self.environment.plugins.upload(component).await
    }

    /// All plugins.
    pub fn plugins(&self) -> Vec<PluginInfo> {
        self.environment.plugins.list()
    }

    /// The versions of a plugin, newest last; a class or alias will do as the name.
    ///
    /// # Errors
    /// If there is none.
    pub fn plugin(&self, name: &str) -> Result<Vec<PluginInfo>, WorkerError> {
        let mut found = self.plugins();
        found.retain(|plugin| plugin.answers_to(name));
        if found.is_empty() {
            Err(WorkerError::NoPlugin(name.to_owned()))
        } else {
            Ok(found)
        }
    }

    /// Deletes the versions of a plugin, or the one version.
    ///
    /// # Errors
    /// If there is none, or connectors use it.
    pub async fn delete_plugin(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<(), WorkerError> {
        let mut doomed = self.plugin(name)?;
        doomed.retain(|plugin| version.is_none_or(|v| plugin.description.version == v));
        if doomed.is_empty() {
            return Err(WorkerError::NoPlugin(format!(
                "{name} {}",
                version.unwrap_or("")
            )));
        }
        let configs: Vec<(String, ConfigMap)> = self
            .herder
            .inspect(|herder| {
                let all = herder.log().connectors().iter();
                all.map(|(name, entry)| (name.clone(), entry.config.clone()))
                    .collect()
            })
            .await?;
        let users: Vec<String> = configs
            .into_iter()
            .filter(|(_, config)| {
                self.plugin_of(config)
                    .is_some_and(|used| doomed.iter().any(|d| d.digest == used.digest))
            })
            .map(|(name, _)| name)
            .collect();
        if !users.is_empty() {
            return Err(WorkerError::PluginUsed {
                name: name.to_owned(),
                connectors: users.join(", "),
            });
        }
        self.environment.plugins.delete(&doomed).await
    }

    pub(crate) fn plugin_of(&self, config: &ConfigMap) -> Option<PluginInfo> {
        let version = config.get("connector.plugin.version").map(String::as_str);
        let version = version.filter(|v| !v.is_empty() && *v != "latest");
        self.environment
            .plugins
            .resolve(config.get("connector.class")?, version)
            .ok()
    }

    async fn of<T: Send + 'static>(
        &self,
        name: &str,
        look: impl FnOnce(&Herder, &str) -> Option<T> + Send + 'static,
    ) -> Result<T, WorkerError> {
        let key = name.to_owned();
        let found = self
            .herder
            .inspect(move |herder| look(herder, &key))
            .await?;
        found.ok_or_else(|| WorkerError::NoConnector(name.to_owned()))
    }

    async fn append_for(
        &self,
        name: &str,
        records: impl FnOnce(String, &Herder) -> Vec<ConfigRecord> + Send + 'static,
    ) -> Result<(), WorkerError> {
        let key = name.to_owned();
        let exists = self
            .herder
            .change(move |herder| match herder.log().connector(&key) {
                Some(_) => (true, records(key, herder)),
                None => (false, Vec::new()),
            })
            .await?;
        if exists {
            Ok(())
        } else {
            Err(WorkerError::NoConnector(name.to_owned()))
        }
    }
}

/// The checked name, and the configuration with it.
fn named(name: &str, mut config: ConfigMap) -> Result<(String, ConfigMap), WorkerError> {
    let name = connector_name(name).map_err(|e| WorkerError::BadRequest(e.to_string()))?;
    if let Some(other) = config.get("name").filter(|other| other.trim() != name) {
        return Err(WorkerError::BadRequest(format!(
            "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
        )));
    }
    config.insert("name".to_owned(), name.to_owned());
    Ok((name.to_owned(), config))
}
