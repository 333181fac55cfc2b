//! The loop of a source task: poll, convert, produce, wait for acks, commit positions (D1, D3).
//! While one batch is produced the guest already makes the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::StateStore;
use tidegate_convert::Schema;
use tidegate_kafka::{BatchAcks, Kafka, ProduceError, ProducerHandle, Rows, TopicSpec};
use tidegate_model::batch::SourceBatch;
use tidegate_model::connector_config::{ConnectorConfig, Tolerance};
use tidegate_model::names::TaskId;
use tidegate_model::state::State;
use tidegate_sandbox::{CallError, Polled, SourceTask};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::inflight::InFlight;
use crate::metric_names;
use crate::pipeline::{BadRow, Converters, Encoded};
use crate::task::Control;

/// What one poll may bring. A batch is the unit of acks and memory: large enough that a call costs
/// nothing per record, small enough that a few of them fit into a task's share.
const POLL_MAX_RECORDS: u32 = 10_000;
const POLL_MAX_BYTES: u32 = 1 << 20;

/// What a record takes in the producer beside key and value, roughly.
const ROW_BYTES: usize = 128;

/// How long to wait before looking again whether a reader of the embedded Kafka has caught up.
const HOLD: Duration = Duration::from_millis(20);

/// How long a failed task waits for acks that are still out; without them it only repeats more.
const FAILED_DRAIN: Duration = Duration::from_secs(5);

/// Schemas a task keeps parsed; more are parsed again.
const MAX_SCHEMAS: usize = 1000;

/// What the texts of these schemas may take; parsed they take a multiple of it.
const MAX_SCHEMA_BYTES: usize = 4 << 20;

/// Topics a task knows to exist; with more it asks Kafka again.
const MAX_TOPICS: usize = 10_000;

pub(crate) struct SourceLoop {
    pub(crate) id: TaskId,
    pub(crate) task: SourceTask,
    pub(crate) config: ConnectorConfig,
    pub(crate) converters: Converters,
    pub(crate) kafka: Kafka,
    pub(crate) producer: ProducerHandle,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) creates_topics: bool,
    pub(crate) state: SourceState,
}

/// What the loop remembers between rounds.
#[derive(Default)]
pub(crate) struct SourceState {
    in_flight: InFlight,
    acked: Arc<Notify>,
    topics: BTreeSet<String>,
    schemas: HashMap<String, Arc<Schema>>,
    schema_bytes: usize,
    holding: bool,
}

/// What a poll left to do.
enum Next {
    Produce(Box<SourceBatch>),
    Wait(Duration),
    Finished,
}

impl SourceLoop {
    /// Runs until stopped; then commits what is acked and lets the guest clean up.
    pub(crate) async fn run(mut self, control: &mut Control) -> Result<(), TaskError> {
        let result = self.rounds(control).await;
        // Whatever ended the loop, what is acked is acked: committing it saves duplicates. A failed
        // task tells so soon, even if Kafka answers nobody.
        let drain = timeout(
            if result.is_ok() {
                Duration::MAX
            } else {
                FAILED_DRAIN
            },
            self.drain(),
        );
        let drained = drain.await.unwrap_or(Ok(()));
        if result.is_ok() {
            if let Err(error) = self.task.stop().await {
                tracing::warn!(task = %self.id, "stop the task: {error}");
            }
            return drained;
        }
        result
    }

    async fn rounds(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let mut pauses = Pauses::new();
        let mut pending: Option<Box<SourceBatch>> = None;
        let mut finished = false;
        let mut next_flush = Instant::now() + self.flush_interval;
        loop {
            self.reap()?;
            if Instant::now() >= next_flush || self.state.in_flight.must_commit() {
                self.commit().await?;
                next_flush = Instant::now() + self.flush_interval;
            }
            if control.is_stopping() {
                return Ok(());
            }
            if control.is_paused() && pending.is_none() {
                control.report(State::Paused);
                self.wait(control, self.flush_interval, next_flush).await;
                continue;
            }
            // A source that always has more would never rest: what is polled goes out first, alone.
            if control.is_paused() || self.must_wait() {
                if let Some(batch) = pending.take() {
                    self.produce(batch).await?;
                } else {
                    control.report(State::Running);
                    self.wait(control, HOLD, next_flush).await;
                }
                continue;
            }
            control.report(State::Running);
            if finished {
                self.wait(control, Duration::MAX, next_flush).await;
                continue;
            }
            let next = match pending.take() {
                Some(batch) => {
                    let (produced, polled) = self.produce_and_poll(batch).await;
                    produced?;
                    polled
                }
                None => self.task.poll(POLL_MAX_RECORDS, POLL_MAX_BYTES).await,
            };
            match self.understand(next, &mut pauses)? {
                Next::Produce(batch) => pending = Some(batch),
                Next::Wait(pause) => self.wait(control, pause, next_flush).await,
                // Nothing more, ever: only acks and commits are left.
                Next::Finished => finished = true,
            }
        }
    }

    fn understand(
        &self,
        polled: Result<Polled, CallError>,
        pauses: &mut Pauses,
    ) -> Result<Next, TaskError> {
        let next = match polled {
            Ok(Polled::Records(batch)) => Next::Produce(batch),
            Ok(Polled::Idle(pause)) => Next::Wait(pause),
            Ok(Polled::Finished) => Next::Finished,
            Err(CallError::Retriable { reason, after_ms }) => {
                let pause = pauses.next(after_ms);
                tracing::warn!(task = %self.id, pause_ms = pause.as_millis() as u64, "poll again: {reason}");
                return Ok(Next::Wait(pause));
            }
            Err(error) => return Err(error.into()),
        };
        pauses.reset();
        Ok(next)
    }

    /// Pressure runs backwards: a slow Kafka, or a full embedded one, stops the polls.
    fn must_wait(&mut self) -> bool {
        if self.state.in_flight.bytes() >= self.max_in_flight_bytes {
            return true;
        }
        let topics: Vec<String> = self.state.topics.iter().cloned().collect();
        let full = self.kafka.must_hold(&topics);
        if let Some(topic) = &full
            && !self.state.holding
        {
            tracing::info!(
                task = %self.id, topic,
                "waiting: the embedded Kafka drops what is not read in time; a sink has to read the topic"
            );
        }
        self.state.holding = full.is_some();
        full.is_some()
    }

    async fn wait(&mut self, control: &mut Control, pause: Duration, next_flush: Instant) {
        let pause = pause.min(next_flush.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = sleep(pause) => {}
            () = self.state.acked.notified(), if !self.state.in_flight.is_empty() => {}
            () = control.changed() => {}
        }
    }

    async fn produce_and_poll(
        &mut self,
        batch: Box<SourceBatch>,
    ) -> (Result<(), TaskError>, Result<Polled, CallError>) {
        let prepared = match self.prepare(batch).await {
            Ok(prepared) => prepared,
            Err(error) => return (Err(error), Ok(Polled::Finished)),
        };
        let (produced, polled) = tokio::join!(
            send(&self.producer, &prepared),
            self.task.poll(POLL_MAX_RECORDS, POLL_MAX_BYTES)
        );
        (self.sent(prepared, produced), polled)
    }

    async fn produce(&mut self, batch: Box<SourceBatch>) -> Result<(), TaskError> {
        let prepared = self.prepare(batch).await?;
        let produced = send(&self.producer, &prepared).await;
        self.sent(prepared, produced)
    }

    async fn prepare(&mut self, mut batch: Box<SourceBatch>) -> Result<Prepared, TaskError> {
        self.create_topics(&batch.topics).await?;
        let schemas = self.schemas(&batch.schemas)?;
        let encoded = self.converters.encode(&mut batch, &schemas);
        let skip = self.refused(&encoded.bad)?;
        let acks = BatchAcks::new(batch.rows, Arc::clone(&self.state.acked));
        Ok(Prepared {
            batch,
            encoded,
            skip,
            acks,
        })
    }

    /// Rows to leave out, if that is what the user said (D3).
    fn refused(&self, bad: &[BadRow]) -> Result<Vec<u32>, TaskError> {
        let Some(first) = bad.first() else {
            return Ok(Vec::new());
        };
        if self.config.tolerance == Tolerance::None {
            return Err(TaskError::Failed(format!(
                "{}: record {} of the batch: {} (errors.tolerance=none)",
                first.stage, first.row, first.reason
            )));
        }
        self.count_skipped(bad.len());
        if self.config.log_errors {
            for bad in bad {
                tracing::error!(task = %self.id, stage = bad.stage, "skip a record: {}", bad.reason);
            }
        }
        Ok(bad.iter().map(|bad| bad.row).collect())
    }

    fn sent(&mut self, sent: Prepared, result: Result<(), ProduceError>) -> Result<(), TaskError> {
        result.map_err(|e| TaskError::Recoverable(e.to_string()))?;
        // Tiny records cost the producer more than their bytes.
        let bytes =
            sent.encoded.keys.bytes() + sent.encoded.values.bytes() + sent.batch.rows * ROW_BYTES;
        metrics::counter!(
            metric_names::SOURCE_RECORDS,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(sent.batch.rows as u64);
        self.state
            .in_flight
            .push(sent.acks, bytes, sent.batch.checkpoints);
        Ok(())
    }

    async fn create_topics(&mut self, topics: &[String]) -> Result<(), TaskError> {
        for topic in topics {
            if self.state.topics.contains(topic) {
                continue;
            }
            if let Some(creation) = &self.config.topic_creation
                && self.creates_topics
            {
                let spec = TopicSpec {
                    name: topic.clone(),
                    partitions: creation.partitions,
                    replication_factor: creation.replication_factor,
                    configs: creation.configs.clone(),
                };
                self.kafka.ensure_topic(&spec).await?;
            }
            if self.state.topics.len() >= MAX_TOPICS {
                self.state.topics.clear();
            }
            self.state.topics.insert(topic.clone());
        }
        Ok(())
    }

    fn schemas(&mut self, texts: &[String]) -> Result<Vec<Arc<Schema>>, TaskError> {
        texts
            .iter()
            .map(|text| {
                if let Some(schema) = self.state.schemas.get(text) {
                    return Ok(Arc::clone(schema));
                }
                let schema = Schema::from_json(text).map(Arc::new).map_err(|e| {
                    TaskError::Failed(format!("poll answered a schema that is none: {e}"))
                })?;
                if self.state.schemas.len() >= MAX_SCHEMAS
                    || self.state.schema_bytes >= MAX_SCHEMA_BYTES
                {
                    self.state.schemas.clear();
                    self.state.schema_bytes = 0;
                }
                self.state.schema_bytes += text.len();
                self.state.schemas.insert(text.clone(), Arc::clone(&schema));
                Ok(schema)
            })
            .collect()
    }

    fn reap(&mut self) -> Result<(), TaskError> {
        let reaped = self
            .state
            .in_flight
            .reap(self.config.tolerance == Tolerance::All)?;
        if reaped.refused > 0 {
            self.count_skipped(reaped.refused);
            tracing::error!(task = %self.id, records = reaped.refused, "Kafka refused records, skipped: {}", reaped.reason);
        }
        Ok(())
    }

    fn count_skipped(&self, records: usize) {
        metrics::counter!(
            metric_names::RECORDS_SKIPPED,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(records as u64);
    }

    /// Makes acked positions durable, then tells the guest.
    async fn commit(&mut self) -> Result<(), TaskError> {
        metrics::gauge!(
            metric_names::TASK_MEMORY,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .set(self.task.memory_bytes() as f64);
        let positions = self.state.in_flight.take_committable();
        if positions.is_empty() {
            return Ok(());
        }
        let labels = [("connector", self.id.connector.clone())];
        let stored = self
            .store
            .commit_offsets(&self.id.connector, None, positions.clone())
            .await;
        if let Err(error) = stored {
            metrics::counter!(metric_names::OFFSET_COMMIT_FAILURES, &labels).increment(1);
            return Err(error.into());
        }
        metrics::counter!(metric_names::OFFSET_COMMITS, &labels).increment(1);
        match self.task.committed(&positions).await {
            Ok(()) => Ok(()),
            // The positions are durable whatever the guest makes of the news.
            Err(CallError::Retriable { reason, .. }) => {
                tracing::warn!(task = %self.id, "tell the task what is committed: {reason}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the acks that are still out, and commits. The time for it is the supervisor's:
    /// past the graceful time-out this is dropped, and the records count as not produced.
    async fn drain(&mut self) -> Result<(), TaskError> {
        while !self.state.in_flight.is_empty() && !self.producer.is_fatal() {
            self.reap()?;
            if self.state.in_flight.is_empty() {
                break;
            }
            let acked = Arc::clone(&self.state.acked);
            tokio::select! {
                () = acked.notified() => {}
                () = sleep(Duration::from_millis(100)) => {}
            }
        }
        let positions = self.state.in_flight.take_committable();
        if !positions.is_empty() {
            self.store
                .commit_offsets(&self.id.connector, None, positions)
                .await?;
        }
        Ok(())
    }
}

/// A batch in Kafka's bytes, on its way.
struct Prepared {
    batch: Box<SourceBatch>,
    encoded: Encoded,
    skip: Vec<u32>,
    acks: Arc<BatchAcks>,
}

async fn send(producer: &ProducerHandle, prepared: &Prepared) -> Result<(), ProduceError> {
    let rows = Rows {
        topics: &prepared.batch.topics,
        topic: &prepared.batch.topic,
        partitions: &prepared.batch.partitions,
        timestamps: &prepared.batch.timestamps,
        keys: &prepared.encoded.keys,
        values: &prepared.encoded.values,
        headers: prepared.batch.headers.as_ref(),
        skip: &prepared.skip,
    };
    producer.produce(rows, &prepared.acks).await
}
