//! Follows a state topic from its beginning and hands every committed record to a sink, for as long
//! as it lives. One consumer and one thread a topic, without a group.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_model::config::ConfigMap;
use tokio::sync::oneshot;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError};
use crate::tail_thread::{TailThread, Wake};

/// How long [`TopicTail::read_to_end`] waits. Longer than brokers let a transaction of a dead worker
/// stay open, if its time-out is a minute as Kafka's own clients have it.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that a tail may hold fetched. State records are small; the default of 64 MiB is made for
/// streams.
const FETCHED_KBYTES: u64 = 4096;

/// A record of a state topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// Where it is.
    pub partition: i32,
    /// Where it is there.
    pub offset: i64,
    /// What the topic is compacted by.
    pub key: Option<Vec<u8>>,
    /// None: a tombstone.
    pub value: Option<Vec<u8>>,
    /// When it was written, by the clock of its writer or the broker.
    pub timestamp_ms: i64,
}

/// What a tail hands over, on its own thread, in the order of each partition.
pub trait TailSink: Send + 'static {
    /// The next committed record of its partition.
    fn record(&mut self, record: StateRecord);

    /// Everything that was in the topic when the end was asked for has been handed over. A sink
    /// that passes records on passes `reached` on behind them.
    fn end(&mut self, reached: oneshot::Sender<()>) {
        let _ = reached.send(());
    }
}

/// Follows one topic. Dropping it ends the thread.
pub struct TopicTail {
    kafka: Kafka,
    topic: String,
    shared: Arc<Shared>,
    wake: SyncSender<Wake>,
}

/// What the tail and its thread both touch.
#[derive(Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    waiting: Mutex<Vec<Waiter>>,
    /// Where open transactions begin that somebody waits for: partition and last stable offset.
    open: Mutex<BTreeMap<i32, i64>>,
}

/// Tells whether a record is of those that somebody waits for, by its key.
pub(crate) type Owns = Box<dyn Fn(&[u8]) -> bool + Send>;

/// Somebody who waits for the end.
pub(crate) struct Waiter {
    pub(crate) reached: oneshot::Sender<()>,
    /// None: all records are waited for.
    pub(crate) owns: Option<Owns>,
}

impl Shared {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Those who wait for the end and have not given up.
    pub(crate) fn take_waiting(&self) -> Vec<Waiter> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = std::mem::take(&mut *waiting);
        taken.retain(|waiter| !waiter.reached.is_closed());
        taken
    }

    pub(crate) fn wait(&self, waiters: impl IntoIterator<Item = Waiter>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(waiters);
    }

    pub(crate) fn set_open(&self, transactions: BTreeMap<i32, i64>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = transactions;
    }

    fn open(&self) -> BTreeMap<i32, i64> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone()
    }
}

impl TopicTail {
    /// Starts to follow `topic`. Connects by and by: brokers that are away and a topic that is not
    /// there yet are waited for without end.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong or a client cannot be made.
    pub fn open(kafka: &Kafka, topic: &str, sink: Box<dyn TailSink>) -> Result<Self, KafkaError> {
        let (settings, _) = kafka.client_config(ClientKind::Consumer, &ConfigMap::new())?;
        let shared = Arc::new(Shared::default());
        // Full means that the thread is about to look anyway.
        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        TailThread::start(
            topic,
            sink,
            Arc::clone(&shared),
            (wake.clone(), woken),
            &committed_reader(settings.clone()),
            &end_reader(settings.clone()),
            hidden_reader(settings),
        )?;
        Ok(Self {
            kafka: kafka.clone(),
            topic: topic.to_owned(),
            shared,
            wake,
        })
    }

    /// Returns when everything that is committed in the topic now has been handed over; what is
    /// part of a transaction that is open now is waited for. With nothing new it takes one round
    /// trip. Requests made while one is under way are answered by the next run, all together.
    ///
    /// # Errors
    /// [`KafkaError::OpenTransaction`] or [`KafkaError::Unreachable`] after a minute.
    pub async fn read_to_end(&self) -> Result<(), KafkaError> {
        self.read(None).await
    }

    /// As [`Self::read_to_end`], for whoever wants only records with keys that `owns` knows: a
    /// transaction that stays open is not waited for if there are none in and behind it.
    ///
    /// # Errors
    /// As there.
    pub async fn read_own_to_end(
        &self,
        owns: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Result<(), KafkaError> {
        self.read(Some(Box::new(owns))).await
    }

    async fn read(&self, owns: Option<Owns>) -> Result<(), KafkaError> {
        let (reached, wait) = oneshot::channel();
        self.shared.wait([Waiter { reached, owns }]);
        let _ = self.wake.try_send(Wake);
        let reason = match tokio::time::timeout(END_TIMEOUT, wait).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => "its reader has ended",
            Err(_) => "brokers are away",
        };
        let servers = &self.kafka.0.settings.common;
        let bootstrap_servers = servers
            .get("bootstrap.servers")
            .cloned()
            .unwrap_or_default();
        if let Some((partition, offset)) = self.shared.open().pop_first() {
            return Err(KafkaError::OpenTransaction {
                topic: self.topic.clone(),
                partition,
                offset,
                seconds: END_TIMEOUT.as_secs(),
                bootstrap_servers,
            });
        }
        Err(KafkaError::Unreachable {
            bootstrap_servers,
            seconds: END_TIMEOUT.as_secs(),
            reason: format!("read topic {} to its end: {reason}", self.topic),
        })
    }
}

impl Drop for TopicTail {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(Wake);
    }
}

/// Settings of the client that delivers records.
fn committed_reader(mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let kbytes = FETCHED_KBYTES.to_string();
    let largest_message = settings
        .get("message.max.bytes")
        .and_then(|v| v.parse().ok());
    let fetch_bytes = largest_message.unwrap_or(0).max(FETCHED_KBYTES << 10);
    // A follower's last stable offset lags behind: it must not be asked what the end is.
    settings.remove("client.rack");
    for (key, value) in [
        // Only a name: a client without one is no consumer. Nobody joins, nothing is committed.
        ("group.id", "tidegate-state"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        // Offsets that are gone must be told, not passed over: the tail starts over by itself.
        ("auto.offset.reset", "error"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("queued.min.messages", "1000"),
        ("queued.max.messages.kbytes", &kbytes),
        ("fetch.max.bytes", &fetch_bytes.to_string()),
    ] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    settings
}

/// Settings of the client that looks at what is not committed.
fn hidden_reader(settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut settings = committed_reader(settings);
    settings.insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
    settings
}

/// Settings of the client that asks where partitions end. It is another one because the end shall
/// count transactions that are open, and because a question would queue behind the fetch that waits
/// for records on the same connection.
fn end_reader(mut settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
    settings.remove("group.id");
    settings.remove("client.rack");
    settings.insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
    settings
}
