//! Producers, shared by all tasks with the same client settings.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use tidegate_model::batch::{HeaderEntry, Headers};
use tidegate_model::columns::ByteColumn;

use crate::acks::BatchAcks;
use crate::batching::Batching;
use crate::cluster::{KafkaError, client_config};
use crate::quiet::QuietLog;
use crate::reachability::{self, Reachability};
use crate::refusal::{local_refusal, refusal};
use crate::retention::{Retention, record_bytes};

/// How long to wait when librdkafka's queue is full; acks free it in about this time.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// What producers have unless the worker or the connector says otherwise.
const DEFAULTS: [(&str, &str); 10] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // Java's partitioner: librdkafka's own default would send keys to other partitions.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    // Java's: librdkafka's own would refuse records that its users send every day.
    ("message.max.bytes", "1048576"),
    ("queue.buffering.max.kbytes", "32768"),
    // The queue is shared: its bound is in bytes, and each task's share is below it.
    ("queue.buffering.max.messages", "1000000"),
    // A record waits for its broker as long as it takes, as in Kafka Connect: an outage is not
    // a reason to fail a task.
    ("delivery.timeout.ms", "2147483647"),
    ("statistics.interval.ms", "0"),
];

/// Why a batch could not be handed to the producer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The producer will never send again; a new one may.
    #[error("the Kafka producer is unusable: {0}")]
    Fatal(String),
}

/// Rows to produce. Lists are as in [`tidegate_model::batch::SourceBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Distinct topics.
    pub topics: &'a [String],
    /// Index into them; empty: all the first.
    pub topic: &'a [u16],
    /// Empty: the partitioner chooses.
    pub partitions: &'a [i32],
    /// Empty: now.
    pub timestamps: &'a [i64],
    /// Kafka's bytes.
    pub keys: &'a ByteColumn,
    /// Kafka's bytes.
    pub values: &'a ByteColumn,
    /// Headers.
    pub headers: Option<&'a Headers>,
    /// Rows to leave out, ascending.
    pub skip: &'a [u32],
}

pub(crate) struct SharedProducer {
    pub(crate) producer: ThreadedProducer<AckContext>,
}

pub(crate) struct AckContext {
    log: QuietLog,
    retention: Option<Arc<Retention>>,
    batching: Batching,
}

impl ClientContext for AckContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.line(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl ProducerContext for AckContext {
    type DeliveryOpaque = Arc<BatchAcks>;

    fn delivery(&self, result: &DeliveryResult<'_>, acks: Arc<BatchAcks>) {
        match result {
            Ok(message) => {
                if let Some(retention) = &self.retention {
                    let bytes = record_bytes(message.key(), message.payload());
                    retention.produced(message.topic(), message.partition(), bytes);
                }
                acks.acked();
            }
            Err((error, message)) => {
                let failure = refusal(error, message, self.batching);
                acks.refused(failure, Some(message));
            }
        }
    }
}

impl SharedProducer {
    /// `batching` is in the settings already; it tells what refusals mean.
    pub(crate) fn new(
        settings: &BTreeMap<String, String>,
        batching: Batching,
        retention: Option<Arc<Retention>>,
        log: QuietLog,
    ) -> Result<Self, KafkaError> {
        let mut all: BTreeMap<String, String> = DEFAULTS
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        // librdkafka refuses acks below all, or no retries, beside idempotence; who asks for them
        // asks for no idempotence.
        if settings.get("acks").is_some_and(|acks| acks != "all")
            && !settings.contains_key("enable.idempotence")
        {
            all.insert("enable.idempotence".to_owned(), "false".to_owned());
        }
        // One setting under two names: of both, librdkafka would take either.
        if settings.contains_key("message.timeout.ms") {
            all.remove("delivery.timeout.ms");
        }
        all.extend(settings.clone());
        reachability::listen_to_log(&mut all);
        let producer = client_config(&all)
            .set_log_level(RDKafkaLogLevel::Debug)
            .create_with_context(AckContext {
                log,
                retention,
                batching,
            })
            .map_err(|e| KafkaError::Client {
                client: "producer",
                reason: e.to_string(),
            })?;
        Ok(Self { producer })
    }

    pub(crate) fn is_fatal(&self) -> bool {
        self.producer.client().fatal_error().is_some()
    }

    pub(crate) fn reachability(&self) -> Arc<Reachability> {
        Arc::clone(&self.producer.context().log.reachability)
    }
}

/// A share of a producer.
#[derive(Clone)]
pub struct ProducerHandle(pub(crate) Arc<SharedProducer>);

impl ProducerHandle {
    /// Queues rows in order; `acks` hears of each of them, those left out included. Waits while the
    /// producer's queue is full, so a slow Kafka stops the source.
    ///
    /// # Errors
    /// [`ProduceError::Fatal`]: then `acks` does not hear of all rows.
    pub async fn produce(&self, rows: Rows<'_>, acks: &Arc<BatchAcks>) -> Result<(), ProduceError> {
        self.produce_some(rows, 0..usize::MAX, acks).await
    }

    /// The same with those rows only that are in `range`; `acks` hears of them only.
    ///
    /// # Errors
    /// As [`ProducerHandle::produce`].
    pub async fn produce_some(
        &self,
        rows: Rows<'_>,
        range: Range<usize>,
        acks: &Arc<BatchAcks>,
    ) -> Result<(), ProduceError> {
        let mut headers = rows.headers.map(Headers::rows);
        let before = rows
            .skip
            .partition_point(|&row| (row as usize) < range.start);
        let mut skip = rows.skip.iter().copied().skip(before).peekable();
        let mut skipped = 0;
        let records = rows.keys.iter().zip(rows.values.iter()).enumerate();
        if let Some(headers) = &mut headers {
            headers.by_ref().take(range.start).for_each(drop);
        }
        for (row, (key, value)) in records.take(range.end).skip(range.start) {
            let row_headers = headers.as_mut().and_then(Iterator::next);
            if skip.next_if(|&skip| skip as usize == row).is_some() {
                skipped += 1;
                continue;
            }
            let topic = rows.topic.get(row).copied().unwrap_or(0);
            let topic = rows
                .topics
                .get(usize::from(topic))
                .map_or("", String::as_str);
            let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(acks));
            record.key = key;
            record.payload = value;
            // -1 is "none" in both columns, as in Kafka's own protocol.
            record.partition = rows.partitions.get(row).copied().filter(|p| *p >= 0);
            record.timestamp = rows.timestamps.get(row).copied().filter(|ms| *ms >= 0);
            record.headers = row_headers.and_then(owned);
            self.send(record).await?;
        }
        acks.skip(skipped);
        Ok(())
    }

    /// Queues records once more whose batches were refused; `acks` hears of each of them.
    ///
    /// # Errors
    /// As [`ProducerHandle::produce`].
    pub async fn produce_again(
        &self,
        records: &[OwnedMessage],
        acks: &Arc<BatchAcks>,
    ) -> Result<(), ProduceError> {
        for message in records {
            let mut record = BaseRecord::with_opaque_to(message.topic(), Arc::clone(acks));
            record.key = message.key();
            record.payload = message.payload();
            record.timestamp = message.timestamp().to_millis();
            record.headers = message.headers().cloned();
            self.send(record).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        mut record: BaseRecord<'_, [u8], [u8], Arc<BatchAcks>>,
    ) -> Result<(), ProduceError> {
        let producer = &self.0.producer;
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((RdKafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((error, refused)) => {
                    if let Some((_, reason)) = producer.client().fatal_error() {
                        return Err(ProduceError::Fatal(reason));
                    }
                    let (topic, key, value) = (refused.topic, refused.key, refused.payload);
                    let failure = local_refusal(&error, topic, key, value);
                    refused.delivery_opaque.failed(failure);
                    return Ok(());
                }
            }
        }
    }

    /// Whether it gets through to Kafka.
    pub fn reachability(&self) -> Arc<Reachability> {
        self.0.reachability()
    }

    /// Whether a topic exists; none if Kafka does not tell within `timeout`, for which this blocks.
    pub fn has_topic(&self, topic: &str, timeout: Duration) -> Option<bool> {
        let client = self.0.producer.client();
        let metadata = client.fetch_metadata(Some(topic), timeout).ok()?;
        let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        found.map(|found| found.error() != Some(unknown))
    }

    /// Whether the producer will never send again.
    pub fn is_fatal(&self) -> bool {
        self.0.is_fatal()
    }
}

fn owned(row: Vec<HeaderEntry<'_>>) -> Option<OwnedHeaders> {
    if row.is_empty() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(row.len());
    for (key, value) in row {
        let key = key
            .and_then(|key| std::str::from_utf8(key).ok())
            .unwrap_or("");
        headers = headers.insert(Header { key, value });
    }
    Some(headers)
}
