//! The consumer of one sink task: a thread of its own that polls, and events to the task's loop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_model::config::ConfigMap;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::TopicPartition;
use crate::client_config::ClientKind;
use crate::cluster::{Inner, Kafka, KafkaError, client_config};
use crate::group_offsets::{Committed, committed};
use crate::native_admin;
use crate::quiet::QuietLog;
use crate::reachability::{self, Reachability};
use crate::rebalance::SinkContext;
pub use crate::rebalance::{BEGINNING, ConsumerEvent, StartPositions};
use crate::record_batch::RecordBatch;
use crate::recreated::{self, Recreated};
use crate::retention::record_bytes;

/// Events that may wait for the loop. Two batches: one at work, one ready.
const QUEUED_EVENTS: usize = 2;

/// A put is cut at this many bytes, whatever `max.poll.records` says.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Rows of a put. Connect's default of 500 is made for a call per record; ours is per batch.
const DEFAULT_MAX_POLL_RECORDS: usize = 5000;

/// How long one poll waits for a record; bounds how late a stop is noticed.
const POLL: Duration = Duration::from_millis(100);

/// How long the loop may be busy before partitions are paused, so that the consumer can go on
/// serving its group without reading.
const BUSY: Duration = Duration::from_millis(500);

/// How long to wait for the offsets that the group committed.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait for the ids of topics: they are asked for with every commit.
const TOPIC_IDS_TIMEOUT: Duration = Duration::from_secs(5);

/// What a consumer has unless the worker or the connector says otherwise.
const DEFAULTS: [(&str, &str); 9] = [
    ("auto.offset.reset", "earliest"),
    // Connect's default, not librdkafka's.
    ("isolation.level", "read_uncommitted"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
    ("fetch.wait.max.ms", "100"),
    // librdkafka stops fetching for a whole second once its queue is full, by default; a sink that
    // is a bit slower than its broker would stand still most of the time.
    ("fetch.queue.backoff.ms", "10"),
    // Records queued per partition: its default of 100,000 costs 50 MB where records are small.
    ("queued.min.messages", "5000"),
    ("topic.metadata.refresh.interval.ms", "10000"),
];

/// A sink's consumer to be.
#[derive(Debug, Clone, Default)]
pub struct ConsumerSettings {
    /// The consumer group, unless overridden.
    pub group: String,
    /// Topics, or `^` and a regular expression.
    pub topics: Vec<String>,
    /// `consumer.override.*` without the prefix.
    pub overrides: ConfigMap,
    /// Whose it is, for the log.
    pub task: String,
}

/// A member of a sink's consumer group.
pub struct SinkConsumer {
    consumer: Option<Arc<BaseConsumer<SinkContext>>>,
    group: String,
    events: Receiver<ConsumerEvent>,
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    share: Arc<Inner>,
    reachability: Arc<Reachability>,
}

impl Kafka {
    /// Joins the group and starts to read.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong or the client cannot be made.
    pub fn consumer(&self, settings: &ConsumerSettings) -> Result<SinkConsumer, KafkaError> {
        let (mut own, _) = self.client_config(ClientKind::Consumer, &settings.overrides)?;
        let group = own
            .entry("group.id".to_owned())
            .or_insert_with(|| settings.group.clone())
            .clone();
        self.0.consumers.fetch_add(1, Ordering::Relaxed);
        let share = CountDown(Arc::clone(&self.0));
        let mut all: BTreeMap<String, String> = DEFAULTS
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let fetch_share = self.fetch_share_bytes();
        all.insert(
            "queued.max.messages.kbytes".to_owned(),
            (fetch_share >> 10).to_string(),
        );
        all.insert(
            "fetch.max.bytes".to_owned(),
            fetch_share.max(1 << 20).to_string(),
        );
        all.insert("fetch.message.max.bytes".to_owned(), (1 << 20).to_string());
        all.extend(own);
        // The offsets are ours to commit (D2), whatever anybody configures.
        all.insert("enable.auto.commit".to_owned(), "false".to_owned());
        all.insert("enable.auto.offset.store".to_owned(), "false".to_owned());
        if self.0.retention.is_some() {
            all.insert("auto.offset.reset".to_owned(), "error".to_owned());
        }
        let debug = all.entry("debug".to_owned()).or_default();
        if !debug.is_empty() {
            debug.push(',');
        }
        debug.push_str(recreated::DEBUG);
        reachability::listen_to_log(&mut all);
        let names = self.key_names(ClientKind::Consumer, &settings.overrides);
        let reachability = Reachability::new(names);
        let paused = Arc::new(AtomicBool::new(false));
        let (sender, events) = channel(QUEUED_EVENTS);
        let pending = Arc::new(Mutex::new(Vec::new()));
        let context = SinkContext {
            log: QuietLog::new(&settings.task, Arc::clone(&reachability)),
            recreated: Recreated::default(),
            events: sender.clone(),
            pending: Arc::clone(&pending),
            retention: self.0.retention.clone(),
            group: group.clone(),
            paused: Arc::clone(&paused),
        };
        let client_error = |reason: String| KafkaError::Client {
            client: "consumer",
            reason,
        };
        let consumer: BaseConsumer<SinkContext> = client_config(&all)
            .set_log_level(RDKafkaLogLevel::Debug)
            .create_with_context(context)
            .map_err(|e| client_error(e.to_string()))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|e| client_error(e.to_string()))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            consumer: Arc::clone(&consumer),
            events: sender,
            pending,
            stop: Arc::clone(&stop),
            paused: Arc::clone(&paused),
            max_rows: max_poll_records(&settings.overrides, &self.0.settings.consumer),
        };
        let thread = std::thread::Builder::new()
            .name("sink-consumer".to_owned())
            .spawn(move || reader.run())
            .map_err(|e| client_error(e.to_string()))?;
        let share = share.keep();
        if let Some(retention) = &share.retention {
            retention.join(&group, &settings.topics);
        }
        Ok(SinkConsumer {
            consumer: Some(consumer),
            group,
            events,
            stop,
            paused,
            thread: Some(thread),
            share,
            reachability,
        })
    }
}

/// Gives the share of the fetch budget back unless the consumer came to be.
struct CountDown(Arc<Inner>);

impl CountDown {
    fn keep(self) -> Arc<Inner> {
        let inner = Arc::clone(&self.0);
        inner.consumers.fetch_add(1, Ordering::Relaxed);
        inner
    }
}

impl Drop for CountDown {
    fn drop(&mut self) {
        self.0.consumers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn max_poll_records(overrides: &ConfigMap, worker: &ConfigMap) -> usize {
    let key = "max.poll.records";
    let configured = overrides.get(key).or_else(|| worker.get(key));
    configured
        .and_then(|v| v.trim().parse().ok())
        .unwrap_or(DEFAULT_MAX_POLL_RECORDS)
        .max(1)
}

impl SinkConsumer {
    /// Whether it gets through to Kafka.
    pub fn reachability(&self) -> Arc<Reachability> {
        Arc::clone(&self.reachability)
    }

    /// The next event; none after [`ConsumerEvent::Failed`] or a stop.
    pub async fn next(&mut self) -> Option<ConsumerEvent> {
        self.events.recv().await
    }

    /// Stops or resumes reading, for a task that is paused.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Commits next offsets, each with its metadata, and waits for the coordinator's answer. The
    /// group's generation goes with it, so a consumer that lost its partitions is refused (D4).
    ///
    /// # Errors
    /// [`KafkaError::Commit`].
    pub async fn commit(&self, positions: Vec<Committed>) -> Result<(), KafkaError> {
        let failed = |reason: String| KafkaError::Commit(reason);
        let mut list = TopicPartitionList::new();
        for Committed {
            at: (topic, partition),
            offset,
            metadata,
        } in positions
        {
            let mut element = list.add_partition(&topic, partition);
            element
                .set_offset(Offset::Offset(offset))
                .map_err(|e| failed(e.to_string()))?;
            if !metadata.is_empty() {
                element.set_metadata(metadata);
            }
        }
        self.blocking(move |consumer| consumer.commit(&list, CommitMode::Sync))
            .await
            .map_err(failed)
    }

    /// What the group committed for these partitions, where it did.
    ///
    /// # Errors
    /// [`KafkaError::Commit`].
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Committed>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        // Read there too: metadata of others that is no UTF-8 makes the client library panic.
        let found = self.blocking(move |consumer| {
            let found = consumer.committed_offsets(list, COMMITTED_TIMEOUT)?;
            Ok(committed(&found))
        });
        found.await.map_err(KafkaError::Commit)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BaseConsumer<SinkContext>) -> Result<T, RdKafkaError> + Send + 'static,
    ) -> Result<T, String> {
        let Some(consumer) = self.consumer.clone() else {
            return Err("the consumer is closed".to_owned());
        };
        match tokio::task::spawn_blocking(move || work(&consumer)).await {
            Ok(done) => done.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Ids of those of these topics that exist and have one (KIP-516).
    ///
    /// # Errors
    /// [`KafkaError::Commit`]; asking again can help.
    pub async fn topic_ids(
        &self,
        topics: Vec<String>,
    ) -> Result<BTreeMap<String, String>, KafkaError> {
        // The embedded Kafka has no ids, and nobody to ask for them; its topics cannot be deleted.
        let embedded = self.share.settings.embedded.is_some();
        let Some(consumer) = self.consumer.clone().filter(|_| !embedded) else {
            return Ok(BTreeMap::new());
        };
        let asked = tokio::task::spawn_blocking(move || {
            native_admin::topic_ids(&*consumer, &topics, TOPIC_IDS_TIMEOUT)
        });
        let failed = |reason: String| KafkaError::Commit(format!("ask for topic ids: {reason}"));
        let ids = asked.await.map_err(|e| failed(e.to_string()))?;
        let mut ids = ids.map_err(failed)?;
        ids.retain(|_, id| id != recreated::NO_ID);
        Ok(ids)
    }

    /// Stops reading; what was read and not taken is forgotten.
    pub fn begin_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Leaves the group and returns when the coordinator knows. A process that ends without it leaves
    /// a member behind, whose partitions nobody gets before its session times out.
    pub async fn close(mut self) {
        self.begin_stop();
        self.events.close();
        // Whoever waits for the answer to an event that is never taken goes on without it.
        while self.events.recv().await.is_some() {}
        let (consumer, thread) = (self.consumer.take(), self.thread.take());
        let left = tokio::task::spawn_blocking(move || {
            let _ = thread.map(std::thread::JoinHandle::join);
            drop(consumer);
        });
        let _ = left.await;
    }
}

impl Drop for SinkConsumer {
    fn drop(&mut self) {
        self.share.consumers.fetch_sub(1, Ordering::Relaxed);
        if let Some(retention) = &self.share.retention {
            retention.leave(&self.group);
        }
        self.begin_stop();
        // Unblocks the thread if it waits for room.
        self.events.close();
        // Leaving the group waits for the coordinator, which an async caller must not.
        if let (Some(consumer), thread) = (self.consumer.take(), self.thread.take()) {
            std::thread::spawn(move || {
                let _ = thread.map(std::thread::JoinHandle::join);
                drop(consumer);
            });
        }
    }
}

/// Errors that only end by a person end the task, with the reason.
fn endure(error: &RdKafkaError) -> Result<(), String> {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::Fatal,
        ) => Err(error.to_string()),
        // librdkafka goes on by itself: brokers come back, topics appear. The context has heard of it.
        _ => Ok(()),
    }
}

struct Reader {
    consumer: Arc<BaseConsumer<SinkContext>>,
    events: Sender<ConsumerEvent>,
    pending: Arc<Mutex<Vec<RecordBatch>>>,
    stop: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    max_rows: usize,
}

impl Reader {
    fn run(self) {
        let mut holding = false;
        let mut told = false;
        while !self.stop.load(Ordering::Relaxed) && !self.events.is_closed() {
            let pause = self.paused.load(Ordering::Relaxed);
            if pause != holding && self.hold(pause) {
                holding = pause;
            }
            match self.read_batch().and_then(|()| self.hand_over()) {
                // What was held is read again; should the task be paused meanwhile, it is held anew.
                Ok(resumed) => {
                    holding &= !resumed;
                    self.tell_recreated(&mut told);
                }
                Err(reason) => {
                    let _ = self.events.blocking_send(ConsumerEvent::Failed(reason));
                    break;
                }
            }
        }
        // Leaving the group revokes everything, by the callback, while the loop still listens.
        self.consumer.unsubscribe();
        let mut left = false;
        while !left && !self.events.is_closed() {
            let _ = self.consumer.poll(Duration::from_millis(20));
            left = self
                .consumer
                .assignment()
                .is_ok_and(|assigned| assigned.count() == 0);
        }
    }

    /// What was read of the topics that are gone is with the loop by now.
    fn tell_recreated(&self, told: &mut bool) {
        let topics = self.consumer.context().recreated.topics();
        if !*told && !topics.is_empty() {
            let event = ConsumerEvent::Recreated(topics);
            *told = self.events.blocking_send(event).is_ok();
        }
    }

    fn hold(&self, pause: bool) -> bool {
        let Ok(assigned) = self.consumer.assignment() else {
            return false;
        };
        let done = if pause {
            self.consumer.pause(&assigned)
        } else {
            self.consumer.resume(&assigned)
        };
        done.is_ok() && assigned.count() > 0
    }

    /// Reads what is there, up to a batch; waits for the first record only.
    fn read_batch(&self) -> Result<(), String> {
        let mut wait = POLL;
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.max_rows && bytes < MAX_BATCH_BYTES {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    rows += 1;
                    bytes += message.payload_len() + message.key_len();
                    self.keep(&message);
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => endure(&error)?,
            }
        }
        Ok(())
    }

    fn keep(&self, message: &rdkafka::message::BorrowedMessage<'_>) {
        if self.consumer.context().recreated.contains(message.topic()) {
            return;
        }
        if let Some(retention) = &self.consumer.context().retention {
            retention.consumed(
                &self.consumer.context().group,
                message.topic(),
                message.partition(),
                record_bytes(message.key(), message.payload()),
            );
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pending
            .iter_mut()
            .rev()
            .find(|batch| batch.topic == message.topic());
        match known {
            Some(batch) => batch.push(message),
            None => {
                let mut batch = RecordBatch::new(message.topic());
                batch.push(message);
                pending.push(batch);
            }
        }
    }

    /// Gives the loop what was read. A loop that is busy for long is waited for with the
    /// partitions paused, so that the group is still served.
    /// Answers whether partitions were resumed.
    fn hand_over(&self) -> Result<bool, String> {
        let mut resumed = false;
        while let Some(batch) = self.take_pending() {
            let mut event = ConsumerEvent::Records(Box::new(batch));
            let mut waited = Duration::ZERO;
            let mut holding = false;
            loop {
                match self.events.try_send(event) {
                    Ok(()) | Err(TrySendError::Closed(_)) => break,
                    Err(TrySendError::Full(again)) => event = again,
                }
                if self.stop.load(Ordering::Relaxed) {
                    // Not accepted, so not committed: read again later.
                    self.pending
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clear();
                    return Ok(resumed);
                }
                if waited < BUSY {
                    let pause = Duration::from_millis(1);
                    std::thread::sleep(pause);
                    waited += pause;
                    continue;
                }
                if !holding {
                    holding = self.hold(true);
                }
                if let ConsumerEvent::Records(batch) = event {
                    // Back in the list while polling, where a revoke finds it.
                    self.pending
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(0, *batch);
                    match self.consumer.poll(POLL) {
                        Some(Ok(message)) => self.keep(&message),
                        // Told once: a partition whose offset is gone would stay silent for ever.
                        Some(Err(error)) => endure(&error)?,
                        None => {}
                    }
                    match self.take_pending() {
                        Some(batch) => event = ConsumerEvent::Records(Box::new(batch)),
                        None => break,
                    }
                } else {
                    break;
                }
            }
            if holding && !self.paused.load(Ordering::Relaxed) {
                resumed |= self.hold(false);
            }
        }
        Ok(resumed)
    }

    fn take_pending(&self) -> Option<RecordBatch> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.is_empty() {
            None
        } else {
            Some(pending.remove(0))
        }
    }
}
