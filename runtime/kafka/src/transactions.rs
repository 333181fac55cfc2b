//! One producer with transactions, for one task (D4, D8): whoever opens its transactional id next shuts
//! it out. And shutting out without taking over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use rdkafka::error::{KafkaError as RdKafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use tidegate_model::columns::ByteColumn;
use tidegate_model::config::ConfigMap;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::acks::BatchAcks;
use crate::batching::Batching;
use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError};
use crate::producer::{ProduceError, ProducerHandle, Rows, SharedProducer};
use crate::quiet::QuietLog;
use crate::reachability::Reachability;

/// What one such producer may hold: there is one a task, and its loop has a bound of its own.
const QUEUE_KBYTES: u64 = 16 << 10;

/// librdkafka wants its requests to end this much before the transaction does.
const BEFORE_TRANSACTION_MS: u64 = 100;

/// How long librdkafka takes to put acked records away, about.
const SETTLE_PAUSE: Duration = Duration::from_millis(1);

/// Producers that exist at a time only to shut others out; each has threads of its own.
const FENCES_AT_A_TIME: usize = 8;
const FENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a transaction that is never begun. The broker's default for the longest one is far above it.
const FENCE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a step of a transaction came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Somebody opened the id after this producer, or the broker aborted a transaction that took too
    /// long.
    #[error(
        "the transactional id {id} has another owner now, or a transaction took longer than \
         transaction.timeout.ms: {reason}"
    )]
    Fenced {
        /// The transactional id.
        id: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The commit was sent and not answered. Opening the id again settles it; what is in Kafka then
    /// tells how.
    #[error("commit the transaction of {id}, outcome unknown: {reason}")]
    Unknown {
        /// The transactional id.
        id: String,
        /// librdkafka's words.
        reason: String,
    },
    /// Nothing was committed, and trying again from the last position can help.
    #[error("{action} of {id}: {reason}")]
    Abortable {
        /// What was tried.
        action: &'static str,
        /// The transactional id.
        id: String,
        /// librdkafka's words.
        reason: String,
    },
    /// Nothing short of a person can help.
    #[error("{action} of {id}: {reason}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// The transactional id.
        id: String,
        /// What to do.
        reason: String,
    },
    /// The producer could not be made.
    #[error(transparent)]
    Client(#[from] KafkaError),
}

/// A producer with a transactional id. Never shared: its acks and its transaction are one task's.
pub struct TransactionalProducer {
    producer: Arc<SharedProducer>,
    id: String,
    timeout: Duration,
}

impl TransactionalProducer {
    /// Makes the producer the owner of its id: an older owner is shut out, and what it left open is
    /// aborted. `timeout` is that of this and each later step.
    ///
    /// # Errors
    /// [`TransactionError`], never `Unknown`.
    pub async fn open(
        kafka: &Kafka,
        transactional_id: &str,
        overrides: &ConfigMap,
        batching: Batching,
        transaction_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, TransactionError> {
        let names = kafka.key_names(ClientKind::Producer, overrides);
        let log = QuietLog::new(transactional_id, Reachability::new(names));
        let (mut settings, _) = kafka.client_config(ClientKind::Producer, overrides)?;
        batching.apply(&mut settings);
        let settings = transactional(settings, transactional_id, transaction_timeout);
        let retention = kafka.0.retention.clone();
        let made =
            spawn_blocking(move || SharedProducer::new(&settings, batching, retention, log)).await;
        let made = made.map_err(|e| KafkaError::Client {
            client: "producer",
            reason: e.to_string(),
        })?;
        let producer = Self {
            producer: Arc::new(made?),
            id: transactional_id.to_owned(),
            timeout,
        };
        producer
            .step("open the transactional id", move |producer| {
                producer.producer.init_transactions(timeout)
            })
            .await?;
        Ok(producer)
    }

    /// Produces into the open transaction.
    pub fn handle(&self) -> ProducerHandle {
        ProducerHandle(Arc::clone(&self.producer))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`TransactionError`], never `Unknown`.
    pub async fn begin(&self) -> Result<(), TransactionError> {
        self.step("begin a transaction", |producer| {
            producer.producer.begin_transaction()
        })
        .await
    }

    /// Produces records of an offsets topic into the open transaction: what they say counts only if
    /// the rest does (D8).
    ///
    /// # Errors
    /// As [`ProducerHandle::produce`].
    pub async fn send_offsets(
        &self,
        topic: &str,
        records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        acks: &Arc<BatchAcks>,
    ) -> Result<(), ProduceError> {
        let mut keys = ByteColumn::default();
        let mut values = ByteColumn::default();
        for (key, value) in &records {
            keys.push(Some(key));
            values.push(value.as_deref());
        }
        let rows = Rows {
            topics: &[topic.to_owned()],
            topic: &[],
            partitions: &[],
            timestamps: &[],
            keys: &keys,
            values: &values,
            headers: None,
            skip: &[],
        };
        self.handle().produce(rows, acks).await
    }

    /// Commits the open transaction. Call it when all its records are acked.
    ///
    /// # Errors
    /// [`TransactionError`]; after `Unknown` the producer is of no use.
    pub async fn commit(&self) -> Result<(), TransactionError> {
        let timeout = self.timeout;
        let committed = self.blocking(move |producer| commit(producer, timeout));
        committed.await.map_err(|error| {
            let unknown = match &error {
                RdKafkaError::Transaction(error) => {
                    !error.is_fatal() && !error.txn_requires_abort()
                }
                // Nobody knows how far the call came.
                RdKafkaError::Canceled => true,
                // librdkafka flushes before it commits.
                _ => false,
            };
            if unknown {
                return TransactionError::Unknown {
                    id: self.id.clone(),
                    reason: error.to_string(),
                };
            }
            self.understood("commit the transaction", &error)
        })
    }

    /// Aborts the open transaction.
    ///
    /// # Errors
    /// [`TransactionError`], never `Unknown`; the next owner's opening aborts it in any case.
    pub async fn abort(&self) -> Result<(), TransactionError> {
        let timeout = self.timeout;
        self.step("abort the transaction", move |producer| {
            producer.producer.abort_transaction(timeout)
        })
        .await
    }

    /// Why the producer will never send again, if that is so.
    ///
    /// # Errors
    /// [`TransactionError`], never `Unknown`.
    pub fn check(&self) -> Result<(), TransactionError> {
        match self.producer.producer.client().fatal_error() {
            Some((code, reason)) => Err(self.fatal("produce in a transaction", code, reason)),
            None => Ok(()),
        }
    }

    async fn step(
        &self,
        action: &'static str,
        call: impl FnOnce(&SharedProducer) -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), TransactionError> {
        let done = self.blocking(call).await;
        done.map_err(|error| self.understood(action, &error))
    }

    /// librdkafka's calls about transactions block, up to their time-outs.
    async fn blocking(
        &self,
        call: impl FnOnce(&SharedProducer) -> KafkaResult<()> + Send + 'static,
    ) -> KafkaResult<()> {
        let producer = Arc::clone(&self.producer);
        let done = spawn_blocking(move || call(&producer));
        done.await.unwrap_or(Err(RdKafkaError::Canceled))
    }

    fn understood(&self, action: &'static str, error: &RdKafkaError) -> TransactionError {
        if let Some((code, reason)) = self.producer.producer.client().fatal_error() {
            return self.fatal(action, code, reason);
        }
        let (code, reason) = match error {
            RdKafkaError::Transaction(error) => (Some(error.code()), error.string()),
            other => (other.rdkafka_error_code(), other.to_string()),
        };
        let code = code.unwrap_or(RDKafkaErrorCode::Unknown);
        self.fatal(action, code, reason)
    }

    fn fatal(
        &self,
        action: &'static str,
        code: RDKafkaErrorCode,
        reason: String,
    ) -> TransactionError {
        use RDKafkaErrorCode as Code;
        let id = self.id.clone();
        match code {
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => {
                TransactionError::Fenced { id, reason }
            }
            Code::TransactionalIdAuthorizationFailed => TransactionError::Failed {
                action,
                reason: format!(
                    "{reason}; allow the operations Write and Describe on TransactionalId {id}"
                ),
                id,
            },
            Code::InvalidTransactionTimeout => TransactionError::Failed {
                action,
                id,
                reason: format!(
                    "{reason}; the broker's transaction.max.timeout.ms is shorter than \
                     producer.override.transaction.timeout.ms, or than \
                     transaction.boundary.interval.ms and a minute: change one of them"
                ),
            },
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion => TransactionError::Failed { action, id, reason },
            _ => TransactionError::Abortable { action, id, reason },
        }
    }
}

impl Drop for TransactionalProducer {
    /// Closing a producer waits for its threads: not on a thread that serves others.
    fn drop(&mut self) {
        if let Ok(runtime) = Handle::try_current() {
            let producer = Arc::clone(&self.producer);
            runtime.spawn_blocking(move || drop(producer));
        }
    }
}

fn commit(producer: &SharedProducer, timeout: Duration) -> KafkaResult<()> {
    // rdkafka flushes before it commits, and if even one acked record is not put away yet, that takes it
    // 100 ms.
    let deadline = Instant::now() + timeout;
    while producer.producer.in_flight_count() > 0 && Instant::now() < deadline {
        sleep(SETTLE_PAUSE);
    }
    producer.producer.commit_transaction(timeout)
}

/// The settings of a producer with this id. What the user said stays where transactions allow it.
fn transactional(
    mut settings: BTreeMap<String, String>,
    id: &str,
    transaction_timeout: Duration,
) -> BTreeMap<String, String> {
    let timeout_ms = u64::try_from(transaction_timeout.as_millis()).unwrap_or(u64::MAX);
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
    set("transactional.id", id.to_owned());
    set("transaction.timeout.ms", timeout_ms.to_string());
    set("enable.idempotence", "true".to_owned());
    set("acks", "all".to_owned());
    let number = |settings: &BTreeMap<String, String>, key: &str| -> Option<u64> {
        settings.get(key).and_then(|value| value.parse().ok())
    };
    // A record that outlives its transaction is of no use, and librdkafka takes no such settings. 0 is
    // "for ever" in the first two.
    for key in ["delivery.timeout.ms", "message.timeout.ms"] {
        if let Some(wanted_ms) = number(&settings, key) {
            let wanted_ms = if wanted_ms == 0 { u64::MAX } else { wanted_ms };
            settings.insert(key.to_owned(), wanted_ms.min(timeout_ms).to_string());
        }
    }
    if !settings.contains_key("message.timeout.ms") {
        settings
            .entry("delivery.timeout.ms".to_owned())
            .or_insert_with(|| timeout_ms.to_string());
    }
    if let Some(wanted_ms) = number(&settings, "socket.timeout.ms") {
        let most_ms = timeout_ms.saturating_sub(BEFORE_TRANSACTION_MS);
        settings.insert(
            "socket.timeout.ms".to_owned(),
            wanted_ms.min(most_ms).to_string(),
        );
    }
    // A record has to fit, or its producer waits for room that never comes.
    let record_kbytes = number(&settings, "message.max.bytes").unwrap_or(0) >> 9;
    settings
        .entry("queue.buffering.max.kbytes".to_owned())
        .or_insert_with(|| QUEUE_KBYTES.max(record_kbytes).to_string());
    settings
}

impl Kafka {
    /// Shuts out whoever has these transactional ids, and aborts what they left open, as the
    /// `fenceProducers` of Kafka's admin client.
    ///
    /// # Errors
    /// [`KafkaError::Fence`] where only a person can help, with the id and what to do; else
    /// [`KafkaError::Unreachable`], and trying again can help.
    pub async fn fence(&self, ids: Vec<String>) -> Result<(), KafkaError> {
        stream::iter(ids)
            .map(|id| async move { self.fence_one(&id).await })
            .buffer_unordered(FENCES_AT_A_TIME)
            .try_collect()
            .await
    }

    async fn fence_one(&self, id: &str) -> Result<(), KafkaError> {
        let none = ConfigMap::new();
        let opened = TransactionalProducer::open(
            self,
            id,
            &none,
            Batching::Wide,
            FENCE_TRANSACTION_TIMEOUT,
            FENCE_TIMEOUT,
        );
        match opened.await {
            Ok(_) => Ok(()),
            Err(TransactionError::Client(error)) => Err(error),
            Err(error @ TransactionError::Failed { .. }) => {
                Err(KafkaError::Fence(error.to_string()))
            }
            // Also when somebody else fences at the same moment: whoever asks again will succeed.
            Err(error) => {
                let (settings, _) = self.client_config(ClientKind::Producer, &none)?;
                let bootstrap_servers = settings.get("bootstrap.servers");
                Err(KafkaError::Unreachable {
                    bootstrap_servers: bootstrap_servers.cloned().unwrap_or_default(),
                    seconds: FENCE_TIMEOUT.as_secs(),
                    reason: error.to_string(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings = pairs.iter().map(pair).collect();
        transactional(settings, "id", Duration::from_secs(60))
    }

    #[test]
    fn nothing_outlives_the_transaction() {
        for (key, wanted, taken) in [
            ("delivery.timeout.ms", "2147483647", "60000"),
            ("delivery.timeout.ms", "0", "60000"),
            ("delivery.timeout.ms", "5000", "5000"),
            ("message.timeout.ms", "0", "60000"),
            ("socket.timeout.ms", "60000", "59900"),
            ("acks", "1", "all"),
            ("enable.idempotence", "false", "true"),
            ("transaction.timeout.ms", "1", "60000"),
        ] {
            let settings = of(&[(key, wanted)]);
            assert_eq!(settings[key], taken, "{key}={wanted}");
            SharedProducer::new(&settings, Batching::Wide, None, QuietLog::default()).unwrap();
        }
        assert_eq!(of(&[])["delivery.timeout.ms"], "60000");
    }

    #[test]
    fn a_queue_has_room_for_a_record() {
        let kbytes = |pairs: &[_]| of(pairs)["queue.buffering.max.kbytes"].clone();
        assert_eq!(kbytes(&[]), "16384");
        assert_eq!(kbytes(&[("message.max.bytes", "104857600")]), "204800");
        assert_eq!(kbytes(&[("queue.buffering.max.kbytes", "1024")]), "1024");
    }
}
