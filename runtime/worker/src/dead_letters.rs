//! Records that cannot be handled, on their way to the dead letter queue: as they came from Kafka,
//! with Connect's headers about what happened (KIP-298). They are acked before the offset of the
//! record moves (D2).

use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{
    BatchAcks, Batching, FailureKind, Kafka, KafkaError, Outcome, ProducerHandle, Reachability,
    RecordBatch, RecordFailure, Rows, TopicSpec,
};
use tidegate_model::batch::Headers;
use tidegate_model::columns::ByteColumn;
use tidegate_model::connector_config::ConnectorConfig;
use tidegate_model::error_handling::{DeadLetterQueue, REPLICATION_FACTOR};
use tidegate_model::names::TaskId;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::TaskError;
use crate::metric_names;

/// How long a put waits for its dead letters; then it is taken back and tried again, for a database
/// transaction must not stay open through an outage of Kafka.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// A record that cannot be handled, and why.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// As Connect names it: `KEY_CONVERTER`, `VALUE_CONVERTER`, `TASK_PUT`.
    pub(crate) stage: &'static str,
    pub(crate) reason: String,
}

/// Why letters are not in the queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// Trying again can help.
    #[error("write dead letters to {topic}: {reason}")]
    Transient { topic: String, reason: String },
    /// Nothing short of a person can help.
    #[error("write dead letters to {topic}: {reason}")]
    Permanent { topic: String, reason: String },
}

/// The way to the queue of one task.
pub(crate) struct DeadLetters {
    kafka: Kafka,
    queue: DeadLetterQueue,
    producer: ProducerHandle,
    id: TaskId,
    config: ConnectorConfig,
}

impl DeadLetters {
    /// Makes the topic if there is none; no queue if the configuration names none, or if a bad record
    /// fails the task anyway.
    pub(crate) async fn open(
        kafka: &Kafka,
        config: &ConnectorConfig,
        id: &TaskId,
    ) -> Result<Option<Self>, TaskError> {
        let Some(queue) = config.dead_letters.clone().filter(|_| config.tolerates()) else {
            return Ok(None);
        };
        kafka
            .ensure_topic(&TopicSpec {
                name: queue.topic.clone(),
                partitions: 1,
                replication_factor: queue.replication_factor,
                configs: Default::default(),
            })
            .await
            .map_err(cannot_make)?;
        Ok(Some(Self {
            kafka: kafka.clone(),
            queue,
            producer: kafka.producer(&config.producer_overrides)?,
            id: id.clone(),
            config: config.clone(),
        }))
    }

    /// Whether the producer of the queue gets through to Kafka.
    pub(crate) fn reachability(&self) -> Arc<Reachability> {
        self.producer.reachability()
    }

    /// Sends the letters about `original`, as it came from Kafka, and returns when all are acked.
    pub(crate) async fn send(
        &self,
        original: &RecordBatch,
        letters: &[Letter],
    ) -> Result<(), DeadLetterError> {
        let rows = self.rows(original, letters);
        let count = rows.keys.len();
        let acks = BatchAcks::keeping(count, Arc::new(Notify::new()));
        let topics = [self.queue.topic.clone()];
        let produced = self.producer.produce(
            Rows {
                topics: &topics,
                topic: &[],
                partitions: &[],
                timestamps: &rows.timestamps,
                keys: &rows.keys,
                values: &rows.values,
                headers: Some(&rows.headers),
                skip: &[],
            },
            &acks,
        );
        let transient = |reason: String| DeadLetterError::Transient {
            topic: self.queue.topic.clone(),
            reason,
        };
        let outcome = timeout(ACK_TIMEOUT, async {
            produced.await.map_err(|e| transient(e.to_string()))?;
            match acks.finished().await {
                Outcome::Failed(failed, failure) if is_of_batch(failure.kind) => {
                    self.send_alone(&acks, failed, failure).await
                }
                outcome => Ok(outcome),
            }
        });
        match outcome.await {
            Ok(Ok(Outcome::Acked)) => {
                let labels = [("connector", self.id.connector.clone())];
                metrics::counter!(metric_names::DEAD_LETTERS, &labels).increment(count as u64);
                Ok(())
            }
            Ok(Ok(Outcome::Failed(_, failure))) => match failure.kind {
                FailureKind::Transient | FailureKind::Doomed => Err(transient(failure.reason)),
                FailureKind::Record
                | FailureKind::InvalidBatch
                | FailureKind::LargeBatch
                | FailureKind::Permanent => Err(DeadLetterError::Permanent {
                    topic: self.queue.topic.clone(),
                    reason: failure.reason,
                }),
            },
            Ok(Err(error)) => Err(error),
            Err(_) => Err(transient(format!(
                "no ack within {} s",
                ACK_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Sends letters of refused batches again, one by one: their order is of no interest, and a batch's
    /// refusal says nothing of one letter.
    async fn send_alone(
        &self,
        acks: &BatchAcks,
        failed: usize,
        failure: RecordFailure,
    ) -> Result<Outcome, DeadLetterError> {
        let refused = acks.take_refused();
        let transient = |reason: String| DeadLetterError::Transient {
            topic: self.queue.topic.clone(),
            reason,
        };
        let overrides = &self.config.producer_overrides;
        let producer = self.kafka.producer_with(overrides, Batching::Single);
        let producer = producer.map_err(|e| transient(e.to_string()))?;
        let again = BatchAcks::new(refused.len(), Arc::new(Notify::new()));
        let produced = producer.produce_again(&refused, &again).await;
        produced.map_err(|e| transient(e.to_string()))?;
        match again.finished().await {
            // Others of them were refused for their own fault.
            Outcome::Acked if failed > refused.len() => Ok(Outcome::Failed(failed, failure)),
            outcome => Ok(outcome),
        }
    }

    fn rows(&self, original: &RecordBatch, letters: &[Letter]) -> Columns {
        let mut rows = Columns::default();
        let wanted = |partition: i32, offset: i64| {
            letters
                .iter()
                .find(|l| l.offset == offset && l.partition == partition)
        };
        let mut headers = original.headers.as_ref().map(Headers::rows);
        let bytes = original.keys.iter().zip(original.values.iter());
        for (row, (key, value)) in bytes.enumerate() {
            let own = headers.as_mut().and_then(Iterator::next);
            let place = original.partitions.get(row).zip(original.offsets.get(row));
            let Some((letter, (partition, offset))) =
                place.and_then(|(p, o)| Some((wanted(*p, *o)?, (*p, *o))))
            else {
                continue;
            };
            rows.keys.push(key);
            rows.values.push(value);
            rows.timestamps
                .push(original.timestamps.get(row).copied().unwrap_or(-1));
            let mut count = 0;
            let mut header = |name: Option<&[u8]>, value: Option<&[u8]>| {
                rows.headers.keys.push(name);
                rows.headers.values.push(value);
                count += 1;
            };
            for (name, value) in own.unwrap_or_default() {
                header(name, value);
            }
            if self.queue.context_headers {
                for (name, value) in self.context(original, partition, offset, letter) {
                    let name = format!("__connect.errors.{name}");
                    header(Some(name.as_bytes()), Some(value.as_bytes()));
                }
            }
            rows.headers.counts.push(count);
        }
        rows
    }

    /// Connect's headers, in its order.
    fn context(
        &self,
        original: &RecordBatch,
        partition: i32,
        offset: i64,
        letter: &Letter,
    ) -> [(&'static str, String); 10] {
        let (class, exception) = match letter.stage {
            "KEY_CONVERTER" => (&self.config.key_converter.class, "DataException"),
            "VALUE_CONVERTER" => (&self.config.value_converter.class, "DataException"),
            _ => (&self.config.class, "ConnectException"),
        };
        [
            ("topic", original.topic.clone()),
            ("partition", partition.to_string()),
            ("offset", offset.to_string()),
            ("connector.name", self.id.connector.clone()),
            ("task.id", self.id.task.to_string()),
            ("stage", letter.stage.to_owned()),
            ("class.name", class.clone()),
            (
                "exception.class.name",
                format!("org.apache.kafka.connect.errors.{exception}"),
            ),
            ("exception.message", letter.reason.clone()),
            ("exception.stacktrace", letter.reason.clone()),
        ]
    }
}

fn is_of_batch(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::InvalidBatch | FailureKind::LargeBatch)
}

fn cannot_make(error: KafkaError) -> TaskError {
    match TaskError::from(error) {
        TaskError::Failed(reason) => TaskError::Failed(format!(
            "{reason} (the dead letter queue's; is {REPLICATION_FACTOR}, 3 unless set, more than the \
             number of brokers?)"
        )),
        other => other,
    }
}

#[derive(Default)]
struct Columns {
    keys: ByteColumn,
    values: ByteColumn,
    timestamps: Vec<i64>,
    headers: Headers,
}
