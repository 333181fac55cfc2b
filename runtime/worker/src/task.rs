//! One task under supervision: builds what its loop needs, runs the loop, and starts it again from
//! the last committed position when what ended it can pass.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::{Cluster, StateStore};
use tidegate_connections::Pools;
use tidegate_kafka::{ConsumerSettings, GroupSettings, Kafka, Lease};
use tidegate_model::connector_config::{ConnectorConfig, KeyProblem, Topics};
use tidegate_model::herder::{Event, TaskSpec};
use tidegate_model::plugin::PluginKind;
use tidegate_model::state::State;
use tidegate_sandbox::{CpuMeter, TaskContext, TaskSetup};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Pauses;
use crate::connection_keys::{guest_view, with_own};
use crate::dead_letters::DeadLetters;
use crate::error::TaskError;
use crate::grants::Grants;
use crate::metric_names;
use crate::pipeline::Converters;
use crate::plugins::Plugins;
use crate::producing::Producing;
use crate::settings::WorkerSettings;
use crate::sink_ledger::SinkLedger;
use crate::sink_loop::{SinkLoop, SinkState};
use crate::sink_topics::SinkTopics;
use crate::source_delivery::source_delivery;
use crate::source_intake::SourceIntake;
use crate::waits::{Attempt, Waits};

/// A run this long has recovered: the next failure starts with a short pause again.
const RECOVERED: Duration = Duration::from_secs(60);

/// How long a task that was shut out does not try to shut out the other: by then this worker knows if
/// the task has moved.
const FENCED_PAUSE: Duration = Duration::from_secs(10);

/// What every task of a worker shares.
#[derive(Clone)]
pub(crate) struct TaskEnvironment {
    pub(crate) settings: Arc<WorkerSettings>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) kafka: Kafka,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) pools: Arc<Pools>,
    /// Valid while the worker's shards are its own.
    pub(crate) lease: Lease,
    /// None in standalone.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

/// What a loop hears from and tells the herder.
pub(crate) struct Control {
    spec: Arc<TaskSpec>,
    epoch: u64,
    stop: CancellationToken,
    paused: watch::Receiver<bool>,
    events: mpsc::UnboundedSender<Event>,
    lease: Lease,
    cpu: CpuMeter,
    reported: Option<State>,
    /// Whether records got through since the loop began.
    progressed: bool,
    /// The topics of a sink, as its loop before knew them.
    pub(crate) sink_topics: SinkTopics,
    /// What a source's loops before learned about producing.
    pub(crate) producing: Producing,
    /// What the task waits for.
    pub(crate) waits: Waits,
}

impl Control {
    pub(crate) fn new(
        spec: Arc<TaskSpec>,
        epoch: u64,
        stop: CancellationToken,
        paused: watch::Receiver<bool>,
        events: mpsc::UnboundedSender<Event>,
        lease: Lease,
        cpu: CpuMeter,
    ) -> Self {
        Self {
            spec,
            epoch,
            stop,
            paused,
            events,
            lease,
            cpu,
            reported: None,
            progressed: false,
            sink_topics: SinkTopics::default(),
            producing: Producing::default(),
            waits: Waits::default(),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Returns when the task shall stop.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the task is still this worker's: past its lease another one may run it (D4).
    pub(crate) fn owns(&self) -> bool {
        self.lease.is_valid()
    }

    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Refuses what only the owner of the task may do (D4).
    pub(crate) fn check_owner(&self) -> Result<(), TaskError> {
        if self.owns() {
            Ok(())
        } else {
            Err(TaskError::NotOwner(self.spec.id.clone()))
        }
    }

    /// Returns when the task shall stop, pause or go on.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            changed = self.paused.changed() => if changed.is_err() {
                // The herder has gone without a word; it cancels in that case.
                self.stop.cancelled().await;
            },
        }
    }

    /// Records got through: what ends the loop next is another trouble than before.
    pub(crate) fn progress(&mut self) {
        self.progressed = true;
        self.waits.recovered();
    }

    /// Tells the herder, if it is news.
    pub(crate) fn report(&mut self, state: State) {
        if self.reported.replace(state) == Some(state) {
            return;
        }
        let id = self.spec.id.clone();
        // Without a herder nobody wants to know.
        let _ = self.events.send(Event::TaskState {
            id,
            epoch: self.epoch,
            state,
        });
    }
}

/// Runs a task until it is stopped (no trace) or fails (a trace).
pub(crate) async fn supervise(
    environment: TaskEnvironment,
    spec: Arc<TaskSpec>,
    mut control: Control,
) -> Option<String> {
    let mut pauses = Pauses::new();
    let events = control.events.clone();
    let _reporting = control.waits.report(spec.id.clone(), control.epoch, events);
    let labels = [
        ("connector", spec.id.connector.clone()),
        ("task", spec.id.task.to_string()),
    ];
    loop {
        let start = Instant::now();
        let counted = Counted::new();
        let ended = run(&environment, &spec, &mut control).await;
        drop(counted);
        let error = match ended {
            Ok(()) => return None,
            Err(error) => error,
        };
        if control.is_stopping() {
            tracing::warn!(task = %spec.id, "while stopping: {error}");
            return None;
        }
        let (reason, least_pause) = match error {
            TaskError::Failed(trace) => return Some(failed(&spec, trace)),
            TaskError::NotOwner(_) => {
                tracing::warn!(task = %spec.id, "{error}");
                control.stopped().await;
                return None;
            }
            TaskError::BatchRefused {
                topic,
                is_large,
                reason,
            } => {
                let producing = &mut control.producing;
                producing.narrow(&environment.kafka, &topic, is_large).await;
                tracing::warn!(
                    task = %spec.id, batches = ?producing.batching,
                    "send records again in smaller batches, from the last position: {reason}"
                );
                continue;
            }
            TaskError::RecordsRefused { digests, reason } => {
                if control.producing.refuse(digests) {
                    tracing::warn!(task = %spec.id, "repeat the transaction without refused records: {reason}");
                    continue;
                }
                return Some(failed(&spec, reason));
            }
            TaskError::Target(reason) => {
                control.waits.target(Attempt::Start, &reason);
                (reason, Duration::ZERO)
            }
            TaskError::Recoverable(reason) => {
                control.waits.other(Attempt::Start, &reason);
                (reason, Duration::ZERO)
            }
            TaskError::Fenced(reason) => {
                control.waits.other(Attempt::Start, &reason);
                (reason, FENCED_PAUSE)
            }
        };
        if std::mem::take(&mut control.progressed) || start.elapsed() > RECOVERED {
            pauses.reset();
        }
        let pause = pauses.next(None).max(least_pause);
        metrics::counter!(metric_names::TASK_RECOVERIES, &labels).increment(1);
        tracing::warn!(
            task = %spec.id, pause_ms = pause.as_millis() as u64,
            "start the task again from its last position: {reason}"
        );
        tokio::select! {
            () = sleep(pause) => {}
            () = control.stop.cancelled() => return None,
        }
    }
}

/// Tells of a task that fails, and hands its trace on.
fn failed(spec: &TaskSpec, trace: String) -> String {
    metrics::counter!(
        metric_names::TASK_FAILURES,
        "connector" => spec.id.connector.clone(), "task" => spec.id.task.to_string()
    )
    .increment(1);
    tracing::error!(task = %spec.id, "task failed: {trace}");
    trace
}

/// A running task in the metric, also if it is abandoned or panics.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!(metric_names::TASKS_RUNNING).increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(metric_names::TASKS_RUNNING).decrement(1.0);
    }
}

async fn run(
    environment: &TaskEnvironment,
    spec: &TaskSpec,
    control: &mut Control,
) -> Result<(), TaskError> {
    let class = spec
        .connector_config
        .get("connector.class")
        .map_or("", String::as_str);
    let version = spec
        .connector_config
        .get("connector.plugin.version")
        .map(String::as_str);
    let failed = |e: &dyn std::fmt::Display| TaskError::Failed(e.to_string());
    let info = environment
        .plugins
        .resolve(class, version.filter(|v| !v.is_empty() && *v != "latest"))
        .map_err(|e| failed(&e))?;
    let loaded = environment
        .plugins
        .load(&info)
        .await
        .map_err(|e| failed(&e))?;
    let settings = &environment.settings;
    let config = ConnectorConfig::parse(&spec.connector_config, info.kind, &settings.raw)
        .map_err(problems)?;
    let converters = Converters::of(&config).map_err(problems)?;
    // The task's own configuration says which files it has; the connector's says what it may.
    let mut wanted = spec.connector_config.clone();
    wanted.extend(spec.task_config.clone());
    let wanted = with_own(&info.description, &spec.connector_config, &wanted);
    let granted = |config| Grants::of(&info.description, config, &settings.directories);
    let connector = granted(&spec.connector_config).map_err(problems)?;
    let grants = granted(&wanted)
        .and_then(|grants| grants.within(connector))
        .map_err(problems)?;
    control.waits.begin(grants.keys());
    let setup = TaskSetup {
        context: TaskContext {
            id: spec.id.clone(),
            tasks: spec.tasks,
            generation: spec.generation,
            exactly_once: spec.exactly_once,
        },
        config: guest_view(&info.description, &spec.task_config),
        limits: settings.limits,
        directories: grants.directories.clone(),
        sql: grants.sql(&environment.pools, info.kind),
        cpu: control.cpu.clone(),
    };
    match info.kind {
        PluginKind::Source => {
            // First of all: from here on no older owner of this task commits anything, so what the
            // offsets say next stays true (D4, D8).
            let delivery =
                source_delivery(environment, spec, &config, control.producing.batching).await?;
            control.waits.producer(delivery.producer());
            if spec.exactly_once && is_outdated(environment, control).await? {
                return Ok(());
            }
            control.check_owner()?;
            let own_topic = config.exactly_once.offsets_topic.as_deref();
            let connector = &spec.id.connector;
            let positions = environment.store.offsets(connector, own_topic).await?;
            let mut task = loaded.plugin.source_task(&setup).await?;
            task.start(&positions).await?;
            let intake = SourceIntake {
                id: spec.id.clone(),
                task,
                config,
                converters,
                kafka: environment.kafka.clone(),
                creates_topics: settings.topic_creation,
                refused: control.producing.refused.clone(),
                known: Default::default(),
                waits: control.waits.clone(),
            };
            delivery.run(intake, environment, control).await
        }
        PluginKind::Sink => {
            let mut task = loaded.plugin.sink_task(&setup).await?;
            task.start().await?;
            let group = sink_group(&spec.id.connector, &config);
            let consumer = environment.kafka.consumer(&ConsumerSettings {
                group: group.group.clone(),
                topics: topics(config.topics.as_ref()),
                overrides: config.consumer_overrides.clone(),
                task: spec.id.to_string(),
            })?;
            control.waits.client(consumer.reachability());
            let dead_letters = DeadLetters::open(&environment.kafka, &config, &spec.id).await?;
            if let Some(queue) = &dead_letters {
                control.waits.client(queue.reachability());
            }
            let kafka = environment.kafka.clone();
            let waits = control.waits.clone();
            let sink = SinkLoop {
                dead_letters,
                ledger: SinkLedger::new(kafka, Arc::clone(&setup.sql), &group, waits.clone()),
                waits,
                id: spec.id.clone(),
                task,
                converters,
                consumer,
                sql: setup.sql,
                flush_interval: settings.offset_flush_interval,
                host_call: Duration::from_millis(settings.limits.host_call_ms),
                state: SinkState {
                    topics: std::mem::take(&mut control.sink_topics),
                    ..SinkState::default()
                },
                config,
            };
            sink.run(control).await
        }
    }
}

/// Whether the task was told to stop by what is in the log now. Its producer may have shut out one of a
/// later generation, if it was slow to start: this one must not go on then (KIP-618).
async fn is_outdated(environment: &TaskEnvironment, control: &Control) -> Result<bool, TaskError> {
    if let Some(cluster) = &environment.cluster {
        cluster.read_log_to_end().await?;
    }
    Ok(control.is_stopping())
}

/// The consumer group of a sink, named as in Connect.
pub(crate) fn sink_group(connector: &str, config: &ConnectorConfig) -> GroupSettings {
    GroupSettings {
        group: format!("connect-{connector}"),
        overrides: config.consumer_overrides.clone(),
    }
}

fn topics(topics: Option<&Topics>) -> Vec<String> {
    match topics {
        Some(Topics::List(list)) => list.clone(),
        Some(Topics::Regex(pattern)) => vec![pattern.as_subscription().to_owned()],
        None => Vec::new(),
    }
}

fn problems(problems: Vec<KeyProblem>) -> TaskError {
    let list: Vec<String> = problems.into_iter().map(|p| p.message).collect();
    TaskError::Failed(list.join("; "))
}
