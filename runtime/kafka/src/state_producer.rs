//! Writes records of state topics, and tells where they are once they are acked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tidegate_model::config::ConfigMap;
use tokio::sync::oneshot;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::quiet::QuietLog;

/// How long to wait for room in a full queue before another look.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(10);

/// Keys of the worker's producers that would contradict what a state producer is.
const OWN_KEYS: [&str; 7] = [
    "transactional.id",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "request.required.acks",
    "retries",
    "message.send.max.retries",
    "max.in.flight",
];

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Where to.
    pub topic: String,
    /// None: the one that Java's clients choose for the key.
    pub partition: Option<i32>,
    /// What the topic is compacted by.
    pub key: Vec<u8>,
    /// None: a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Writes records one by one, each acked by all replicas. Cheap to clone.
#[derive(Clone)]
pub struct StateProducer(Arc<Inner>);

struct Inner {
    settings: BTreeMap<String, String>,
    current: Mutex<Arc<AckedProducer>>,
}

impl StateProducer {
    /// Connects to nobody yet. A record that is not acked after `delivery_timeout` is given up.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong or the client cannot be made.
    pub fn open(kafka: &Kafka, delivery_timeout: Duration) -> Result<Self, KafkaError> {
        let settings = state_settings(kafka, delivery_timeout)?;
        let current = Mutex::new(Arc::new(acked_producer(&settings)?));
        Ok(Self(Arc::new(Inner { settings, current })))
    }

    /// Writes records, in order within a partition, and returns when all are acked: partition and
    /// offset of each.
    ///
    /// # Errors
    /// [`KafkaError::Write`] if one is not; others may be written then.
    pub async fn write(&self, records: Vec<StateWrite>) -> Result<Vec<(i32, i64)>, KafkaError> {
        let producer = self.usable()?;
        let mut acks = Vec::with_capacity(records.len());
        for record in &records {
            loop {
                match send(&producer, record) {
                    Ok(ack) => break acks.push(ack),
                    Err(RdKafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                        tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                    }
                    Err(error) => return Err(write_error(record, &error)),
                }
            }
        }
        let mut written = Vec::with_capacity(records.len());
        for (record, ack) in records.iter().zip(acks) {
            let answer = ack.await.unwrap_or(Err(RdKafkaError::Canceled));
            written.push(answer.map_err(|error| write_error(record, &error))?);
        }
        Ok(written)
    }

    /// The producer, or a new one if it has met an error that it cannot get over.
    fn usable(&self) -> Result<Arc<AckedProducer>, KafkaError> {
        let current = &self.0.current;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.client().fatal_error().is_some() {
            *current = Arc::new(acked_producer(&self.0.settings)?);
        }
        Ok(Arc::clone(&current))
    }
}

/// Settings of a producer that neither loses nor doubles nor reorders what it writes.
pub(crate) fn state_settings(
    kafka: &Kafka,
    delivery_timeout: Duration,
) -> Result<BTreeMap<String, String>, KafkaError> {
    let (mut settings, _) = kafka.client_config(ClientKind::Producer, &ConfigMap::new())?;
    settings.retain(|key, _| {
        !OWN_KEYS.contains(&key.as_str()) && !key.starts_with("max.in.flight.requests")
    });
    for (key, value) in [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("partitioner", "murmur2_random"),
        // Records that are written together leave together; one alone does not wait.
        ("linger.ms", "1"),
        (
            "delivery.timeout.ms",
            &delivery_timeout.as_millis().to_string(),
        ),
    ] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    Ok(settings)
}

/// Partition and offset of a record, or why it was not written.
pub(crate) type Ack = Result<(i32, i64), RdKafkaError>;

/// A producer that answers each record on a channel of its own.
pub(crate) type AckedProducer = ThreadedProducer<AckContext>;

pub(crate) fn acked_producer(
    settings: &BTreeMap<String, String>,
) -> Result<AckedProducer, KafkaError> {
    client_config(settings)
        .create_with_context(AckContext::default())
        .map_err(|e| KafkaError::Client {
            client: "writer of state topics",
            reason: e.to_string(),
        })
}

/// Queues a record.
pub(crate) fn send(
    producer: &AckedProducer,
    record: &StateWrite,
) -> Result<oneshot::Receiver<Ack>, RdKafkaError> {
    let (ack, acked) = oneshot::channel();
    let mut base = BaseRecord::with_opaque_to(&record.topic, Box::new(ack)).key(&record.key);
    base.payload = record.value.as_ref();
    base.partition = record.partition;
    match producer.send(base) {
        Ok(()) => Ok(acked),
        Err((error, _)) => Err(error),
    }
}

fn write_error(record: &StateWrite, error: &RdKafkaError) -> KafkaError {
    KafkaError::Write {
        topic: record.topic.clone(),
        reason: error.to_string(),
    }
}

/// Passes acks on, and logs quietly.
#[derive(Default)]
pub(crate) struct AckContext(QuietLog);

impl AckContext {
    pub(crate) fn new(log: QuietLog) -> Self {
        Self(log)
    }
}

impl ClientContext for AckContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.line(level, facility, message);
    }

    fn error(&self, error: RdKafkaError, reason: &str) {
        self.0.error(&error, reason);
    }
}

impl ProducerContext for AckContext {
    type DeliveryOpaque = Box<oneshot::Sender<Ack>>;

    fn delivery(&self, result: &DeliveryResult<'_>, ack: Self::DeliveryOpaque) {
        let _ = ack.send(match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        });
    }
}
