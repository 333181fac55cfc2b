//! How the records of a source get into Kafka: at least once, or exactly once.

use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{Batching, ProducerHandle, TransactionalProducer};
use tidegate_model::connector_config::{ConnectorConfig, Tolerance};
use tidegate_model::exactly_once::TransactionBoundary;
use tidegate_model::herder::TaskSpec;
use tidegate_model::names::TaskId;

use crate::error::TaskError;
use crate::settings::WorkerSettings;
use crate::source_boundaries::{TransactionBounds, Within};
use crate::source_exactly_once::ExactlyOnceLoop;
use crate::source_intake::SourceIntake;
use crate::source_loop::SourceLoop;
use crate::source_transaction::SourceTransactions;
use crate::task::{Control, TaskEnvironment};

/// How long a transaction may stay open beyond what the user asks for; Kafka's default.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one step of a transaction may take. Only an outage takes this long.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// The key for more time; the worker's has the prefix `producer.`.
const TIMEOUT_KEY: &str = "transaction.timeout.ms";

/// Ready to produce.
pub(crate) enum Delivery {
    AtLeastOnce(ProducerHandle),
    ExactlyOnce(Box<SourceTransactions>),
}

/// Whether sources deliver exactly once on this worker. Standalone it keeps its offsets beside Kafka,
/// where no Kafka transaction reaches.
pub(crate) fn exactly_once_enabled(environment: &TaskEnvironment) -> bool {
    environment.settings.exactly_once
}

/// The transactional id of a task, as in Connect.
pub(crate) fn transactional_id(group: &str, task: &TaskId) -> String {
    format!("{group}-{}-{}", task.connector, task.task)
}

/// Opens a source's way into Kafka. With transactions, nobody else has the task's transactional id
/// when this returns.
pub(crate) async fn source_delivery(
    environment: &TaskEnvironment,
    spec: &TaskSpec,
    config: &ConnectorConfig,
    batching: Batching,
) -> Result<Delivery, TaskError> {
    let overrides = &config.producer_overrides;
    if !spec.exactly_once {
        let producer = environment.kafka.producer_with(overrides, batching)?;
        return Ok(Delivery::AtLeastOnce(producer));
    }
    let settings = &environment.settings;
    let offsets_topic = match &config.exactly_once.offsets_topic {
        Some(topic) => topic.clone(),
        None => of_worker(settings, "offset.storage.topic")?,
    };
    let id = transactional_id(&of_worker(settings, "group.id")?, &spec.id);
    let bounds = bounds(settings, config);
    let producer = TransactionalProducer::open(
        &environment.kafka,
        &id,
        overrides,
        batching,
        bounds.timeout,
        STEP_TIMEOUT,
    );
    Ok(Delivery::ExactlyOnce(Box::new(SourceTransactions {
        id: spec.id.clone(),
        producer: producer.await?,
        offsets_topic,
        bounds,
        skips_refused: config.tolerance == Tolerance::All,
        // The other half is for aborting, and for the guest.
        stop_limit: settings.graceful_timeout / 2,
        state: Default::default(),
    })))
}

impl Delivery {
    /// What writes the records.
    pub(crate) fn producer(&self) -> ProducerHandle {
        match self {
            Self::AtLeastOnce(producer) => producer.clone(),
            Self::ExactlyOnce(transactions) => transactions.producer.handle(),
        }
    }

    /// Runs the task's loop until it is stopped.
    pub(crate) async fn run(
        self,
        intake: SourceIntake,
        environment: &TaskEnvironment,
        control: &mut Control,
    ) -> Result<(), TaskError> {
        let settings = &environment.settings;
        match self {
            Self::AtLeastOnce(producer) => {
                let source = SourceLoop {
                    intake,
                    producer,
                    store: Arc::clone(&environment.store),
                    max_in_flight_bytes: settings.source_in_flight_max_bytes,
                    flush_interval: settings.offset_flush_interval,
                    state: Default::default(),
                };
                source.run(control).await
            }
            Self::ExactlyOnce(transactions) => {
                let source = ExactlyOnceLoop {
                    intake,
                    transactions: *transactions,
                };
                source.run(control).await
            }
        }
    }
}

fn bounds(settings: &WorkerSettings, config: &ConnectorConfig) -> TransactionBounds {
    let within = match config.exactly_once.boundary {
        TransactionBoundary::Poll => Within::Poll,
        TransactionBoundary::Interval(interval_ms) => Within::Interval(
            interval_ms.map_or(settings.offset_flush_interval, Duration::from_millis),
        ),
        TransactionBoundary::Connector => Within::Connector,
    };
    let wanted = config.producer_overrides.get(TIMEOUT_KEY);
    let wanted = wanted.or_else(|| settings.kafka.producer.get(TIMEOUT_KEY));
    let wanted = wanted.and_then(|ms| ms.trim().parse().ok());
    let timeout = match (wanted, within) {
        (Some(ms), _) => Duration::from_millis(ms),
        (None, Within::Interval(interval)) => interval.saturating_add(TRANSACTION_TIMEOUT),
        (None, Within::Poll | Within::Connector) => TRANSACTION_TIMEOUT,
    };
    TransactionBounds {
        within,
        max_bytes: settings.source_in_flight_max_bytes,
        timeout,
    }
}

fn of_worker(settings: &WorkerSettings, key: &str) -> Result<String, TaskError> {
    match settings.raw.get(key).map(|value| value.trim()) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(TaskError::Failed(format!(
            "{key} is missing from the worker's configuration, and exactly-once delivery needs it"
        ))),
    }
}
