//! A worker as REST and the command line see it.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::Signer;
use tidegate_kafka::Kafka;
use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, RestartRequest, deletion_records, task_records};
use tidegate_model::herder::Herder;
use tidegate_model::names::{TaskId, connector_name};
use tidegate_model::state::{PlacedStatus, State, Status, TargetState, Wait};
use tidegate_sandbox::Sandbox;

use crate::error::WorkerError;
use crate::herder::{self, Coordination, Ended, HerderHandle};
use crate::plugins::Plugins;
use crate::settings::WorkerSettings;
use crate::task::TaskEnvironment;
use crate::validation::{self, ValidationReport};

/// How long a start waits to hear whether Kafka lets the worker in.
const FIRST_QUESTION: Duration = Duration::from_secs(5);

/// How often the worker asks Kafka again, so that it knows how it is without any task.
const QUESTIONS: Duration = Duration::from_secs(5);

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
    pub connector: PlacedStatus,
    /// Its tasks' states, in order.
    pub tasks: Vec<PlacedStatus>,
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

/// Where changes are to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// Here.
    Here,
    /// At the worker with this REST address.
    At(String),
}

/// A worker. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    environment: TaskEnvironment,
    herder: HerderHandle,
}

impl Worker {
    /// Reads its state, joins its cluster if it has one, and starts what is its own.
    ///
    /// # Errors
    /// If the state cannot be read, or something stands against joining.
    pub async fn start(
        settings: WorkerSettings,
        coordination: Coordination,
        sandbox: Sandbox,
        kafka: Kafka,
    ) -> Result<Self, WorkerError> {
        let asked = kafka.clone();
        let asked = tokio::task::spawn_blocking(move || asked.ask_in(FIRST_QUESTION));
        asked
            .await
            .map_err(|e| WorkerError::Internal(e.to_string()))??;
        let ready = coordination.prepare(&settings.worker_id, &kafka).await?;
        let store = Arc::clone(&ready.store);
        let plugins = Plugins::new(Arc::clone(&store), sandbox, settings.plugin_max_bytes);
        let environment = TaskEnvironment {
            settings: Arc::new(settings),
            plugins: Arc::new(plugins),
            kafka,
            store,
            pools: Arc::default(),
            lease: ready.lease.clone(),
            cluster: ready.cluster.clone(),
        };
        if !environment.kafka.is_embedded() {
            tokio::spawn(keep_asking(environment.kafka.clone()));
        }
        let herder = herder::start(environment.clone(), ready);
        Ok(Self {
            environment,
            herder,
        })
    }

    /// Returns when the worker has to end by itself.
    pub async fn ended(&self) -> Ended {
        self.herder.ended().await
    }

    /// Where changes are to be asked for: at this worker, or at the one that leads.
    ///
    /// # Errors
    /// If nobody leads at the moment.
    pub async fn leadership(&self) -> Result<Leadership, WorkerError> {
        let found = self
            .herder
            .inspect(|herder| {
                let leader = herder.log().cluster().leader();
                (herder.is_leading(), leader.map(|leader| leader.url.clone()))
            })
            .await?;
        match found {
            (true, _) => Ok(Leadership::Here),
            (false, Some(url)) if Some(&url) != self.own_url().as_ref() => Ok(Leadership::At(url)),
            (false, _) => Err(WorkerError::NoLeader),
        }
    }

    /// Whether there is no cluster.
    pub fn is_standalone(&self) -> bool {
        self.environment.cluster.is_none()
    }

    fn own_url(&self) -> Option<String> {
        let cluster = self.environment.cluster.as_ref()?;
        Some(cluster.settings().url.clone())
    }

    /// What requests between workers may be signed with, the newest first; none in standalone.
    ///
    /// # Errors
    /// While shutting down.
    pub async fn signers(&self) -> Result<Vec<Signer>, WorkerError> {
        let Some(cluster) = &self.environment.cluster else {
            return Ok(Vec::new());
        };
        let keys = self
            .herder
            .inspect(|herder| herder.log().cluster().session_keys().to_vec())
            .await?;
        let secret = &cluster.settings().secret_key;
        let signers = keys.iter().filter_map(|key| secret.signer(key).ok());
        Ok(signers.collect())
    }

    /// Up to where the config log has been read here.
    pub fn applied(&self) -> u64 {
        self.herder.applied()
    }

    /// Returns when the config log has been read up to there.
    pub async fn wait_applied(&self, place: u64) {
        self.herder.wait_applied(place).await;
    }

    pub(crate) fn environment(&self) -> &TaskEnvironment {
        &self.environment
    }

    pub(crate) fn herder(&self) -> &HerderHandle {
        &self.herder
    }

    /// Stops every task and waits for them, at most the graceful time-out and a bit; then leaves the
    /// cluster. A worker with `group.instance.id` keeps its place there for a session time-out, unless
    /// it goes `for_good`.
    pub async fn shut_down(&self, for_good: bool) {
        self.herder.shut_down().await;
        if let Some(cluster) = &self.environment.cluster {
            cluster.leave(for_good).await;
        }
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

    /// Returns when the herder answers: whether it takes part, which a worker that is alone always
    /// does.
    ///
    /// # Errors
    /// While shutting down, or if its state cannot be written.
    pub async fn probe(&self) -> Result<bool, WorkerError> {
        let takes_part = |herder: &Herder| {
            let own = herder.own_record();
            own.is_none_or(|record| !record.shards.is_empty())
        };
        let takes_part = self.herder.inspect(takes_part).await?;
        self.environment.store.probe().await?;
        Ok(takes_part)
    }

    /// What the worker itself waits for, whatever its tasks do.
    pub fn wait(&self) -> Option<Wait> {
        self.environment.kafka.own_wait()
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
        self.append_for(name, |name, _| deletion_records(&name))
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
                records = task_records(&name, revision, &[], false);
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
        let wanted = |placed: &PlacedStatus| !only_failed || placed.status.state == State::Failed;
        let mut after = before;
        if wanted(&after.connector) {
            after.connector.status = Status::of(State::Restarting);
        }
        for task in after.tasks.iter_mut().filter(|_| include_tasks) {
            if wanted(task) {
                task.status = Status::of(State::Restarting);
            }
        }
        self.append_restart(RestartRequest {
            name: name.to_owned(),
            include_tasks,
            only_failed,
            task: None,
        })
        .await?;
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
        self.append_restart(RestartRequest {
            name: name.to_owned(),
            include_tasks: true,
            only_failed: false,
            task: Some(task),
        })
        .await
    }

    async fn append_restart(&self, request: RestartRequest) -> Result<(), WorkerError> {
        let name = request.name.clone();
        self.append_for(&name, move |_, _| vec![ConfigRecord::Restart(request)])
            .await
    }

    /// What one task is doing.
    ///
    /// # Errors
    /// If there is none.
    pub async fn task_status(&self, name: &str, task: u32) -> Result<PlacedStatus, WorkerError> {
        let status = self.status(name).await?;
        let found = status.tasks.into_iter().nth(task as usize);
        found.ok_or_else(|| WorkerError::NoTask(TaskId::new(name, task).to_string()))
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

/// Asks Kafka as long as the worker runs.
async fn keep_asking(kafka: Kafka) {
    let mut last: Option<Wait> = None;
    loop {
        tokio::time::sleep(QUESTIONS).await;
        let asked = kafka.clone();
        let _ = tokio::task::spawn_blocking(move || asked.ask_again(QUESTIONS)).await;
        let wait = kafka.own_wait();
        if wait == last {
            continue;
        }
        match &wait {
            Some(wait) => tracing::warn!("the worker waits: {}; {}", wait.reason, wait.remedy),
            None => tracing::info!("the worker waits no more"),
        }
        last = wait;
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
