//! What comes from a source's guest, made ready for Kafka: polled, its topics made, converted (D3).
//! Both ways of delivery stand on it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::Positions;
use tidegate_convert::Schema;
use tidegate_kafka::{Kafka, Rows, TopicSpec, record_digest};
use tidegate_model::batch::SourceBatch;
use tidegate_model::connector_config::{ConnectorConfig, Tolerance};
use tidegate_model::names::TaskId;
use tidegate_sandbox::{CallError, Polled, SourceTask};

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::metric_names;
use crate::pipeline::{BadRow, Converters, Encoded};
use crate::waits::{Attempt, Waits};

/// What one poll may bring. A batch is the unit of acks and memory: large enough that a call costs
/// nothing per record, small enough that a few of them fit into a task's share.
const POLL_MAX_RECORDS: u32 = 10_000;
const POLL_MAX_BYTES: u32 = 1 << 20;

/// What a record takes in the producer beside key and value, roughly.
const ROW_BYTES: usize = 128;

/// Schemas a task keeps parsed; more are parsed again.
const MAX_SCHEMAS: usize = 1000;

/// What the texts of these schemas may take; parsed they take a multiple of it.
const MAX_SCHEMA_BYTES: usize = 4 << 20;

/// Topics a task knows to exist; with more it asks Kafka again.
const MAX_TOPICS: usize = 10_000;

pub(crate) struct SourceIntake {
    pub(crate) id: TaskId,
    pub(crate) task: SourceTask,
    pub(crate) config: ConnectorConfig,
    pub(crate) converters: Converters,
    pub(crate) kafka: Kafka,
    pub(crate) creates_topics: bool,
    /// Digests of records that Kafka refused in a transaction before.
    pub(crate) refused: BTreeSet<u64>,
    pub(crate) known: Known,
    pub(crate) waits: Waits,
}

/// What need not be found out again.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) topics: BTreeSet<String>,
    schemas: HashMap<String, Arc<Schema>>,
    schema_bytes: usize,
}

/// What a poll left to do.
pub(crate) enum Next {
    Produce(Box<SourceBatch>),
    Wait(Duration),
    Finished,
}

/// A batch in Kafka's bytes.
pub(crate) struct Prepared {
    pub(crate) batch: Box<SourceBatch>,
    encoded: Encoded,
    /// Rows to leave out.
    pub(crate) skip: Vec<u32>,
}

impl Prepared {
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            topics: &self.batch.topics,
            topic: &self.batch.topic,
            partitions: &self.batch.partitions,
            timestamps: &self.batch.timestamps,
            keys: &self.encoded.keys,
            values: &self.encoded.values,
            headers: self.batch.headers.as_ref(),
            skip: &self.skip,
        }
    }

    /// How many records of it are handed to the producer.
    pub(crate) fn records(&self) -> usize {
        self.batch.rows.saturating_sub(self.skip.len())
    }

    /// What it takes in the producer, roughly: tiny records cost more than their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.keys.bytes() + self.encoded.values.bytes() + self.batch.rows * ROW_BYTES
    }
}

/// Asks a guest for records.
pub(crate) async fn poll(task: &mut SourceTask) -> Result<Polled, CallError> {
    task.poll(POLL_MAX_RECORDS, POLL_MAX_BYTES).await
}

/// Records that Kafka has acked, or whose transaction is committed.
pub(crate) fn count_written(id: &TaskId, records: usize) {
    metrics::counter!(
        metric_names::SOURCE_RECORDS,
        "connector" => id.connector.clone(), "task" => id.task.to_string()
    )
    .increment(records as u64);
}

impl SourceIntake {
    pub(crate) fn understand(
        &self,
        polled: Result<Polled, CallError>,
        pauses: &mut Pauses,
    ) -> Result<Next, TaskError> {
        let next = match polled {
            Ok(Polled::Records(batch)) => Next::Produce(batch),
            Ok(Polled::Idle(pause)) => {
                self.waits.recovered();
                Next::Wait(pause)
            }
            Ok(Polled::Finished) => Next::Finished,
            Err(CallError::Retriable { reason, after_ms }) => {
                let pause = pauses.next(after_ms);
                tracing::warn!(task = %self.id, pause_ms = pause.as_millis() as u64, "poll again: {reason}");
                self.waits.target(Attempt::Poll, &reason);
                return Ok(Next::Wait(pause));
            }
            Err(error) => return Err(error.into()),
        };
        pauses.reset();
        self.waits.done(Attempt::Poll);
        Ok(next)
    }

    pub(crate) async fn prepare(
        &mut self,
        mut batch: Box<SourceBatch>,
    ) -> Result<Prepared, TaskError> {
        self.create_topics(&batch.topics).await?;
        let schemas = self.schemas(&batch.schemas)?;
        let mut encoded = self.converters.encode(&mut batch, &schemas);
        self.refused_by_guest(&batch.refused)?;
        self.add_refused(&batch, &mut encoded);
        let skip = self.refused(&encoded.bad)?;
        Ok(Prepared {
            batch,
            encoded,
            skip,
        })
    }

    /// Counts records that Kafka refused before among the bad ones.
    fn add_refused(&self, batch: &SourceBatch, encoded: &mut Encoded) {
        if self.refused.is_empty() {
            return;
        }
        let rows = encoded.keys.iter().zip(encoded.values.iter());
        for (row, (key, value)) in (0..).zip(rows) {
            let topic = batch.topic.get(row as usize).copied().unwrap_or(0);
            let topic = batch.topics.get(usize::from(topic));
            let topic = topic.map_or("", String::as_str);
            if self.refused.contains(&record_digest(topic, key, value)) {
                encoded.bad.push(BadRow {
                    row,
                    stage: "KAFKA_PRODUCE",
                    reason: format!("Kafka does not take it for topic {topic}"),
                });
            }
        }
        encoded.bad.sort_by_key(|bad| bad.row);
        encoded.bad.dedup_by_key(|bad| bad.row);
    }

    /// Tells the guest what is durable.
    pub(crate) async fn committed(&mut self, positions: &Positions) -> Result<(), TaskError> {
        match self.task.committed(positions).await {
            Ok(()) => Ok(()),
            // The positions are durable whatever the guest makes of the news.
            Err(CallError::Retriable { reason, .. }) => {
                tracing::warn!(task = %self.id, "tell the task what is committed: {reason}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the guest clean up.
    pub(crate) async fn stop(&mut self) {
        if let Err(error) = self.task.stop().await {
            tracing::warn!(task = %self.id, "stop the task: {error}");
        }
    }

    pub(crate) fn count_written(&self, records: usize) {
        count_written(&self.id, records);
    }

    pub(crate) fn count_skipped(&self, records: usize) {
        metrics::counter!(
            metric_names::RECORDS_SKIPPED,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(records as u64);
    }

    pub(crate) fn show_memory(&self) {
        metrics::gauge!(
            metric_names::TASK_MEMORY,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .set(self.task.memory_bytes() as f64);
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

    /// Records that the guest could not handle, which are in no row (D3).
    fn refused_by_guest(&self, reasons: &[String]) -> Result<(), TaskError> {
        let Some(first) = reasons.first() else {
            return Ok(());
        };
        if self.config.tolerance == Tolerance::None {
            return Err(TaskError::Failed(format!(
                "a record that cannot be handled: {first} (errors.tolerance=none)"
            )));
        }
        self.count_skipped(reasons.len());
        if self.config.log_errors {
            for reason in reasons {
                tracing::error!(task = %self.id, stage = "source", "skip a record: {reason}");
            }
        }
        Ok(())
    }

    async fn create_topics(&mut self, topics: &[String]) -> Result<(), TaskError> {
        for topic in topics {
            if self.known.topics.contains(topic) {
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
            } else if !self.kafka.is_embedded() {
                self.waits.topic(topic);
            }
            if self.known.topics.len() >= MAX_TOPICS {
                self.known.topics.clear();
            }
            self.known.topics.insert(topic.clone());
        }
        Ok(())
    }

    fn schemas(&mut self, texts: &[String]) -> Result<Vec<Arc<Schema>>, TaskError> {
        texts
            .iter()
            .map(|text| {
                if let Some(schema) = self.known.schemas.get(text) {
                    return Ok(Arc::clone(schema));
                }
                let schema = Schema::from_json(text).map(Arc::new).map_err(|e| {
                    TaskError::Failed(format!("poll answered a schema that is none: {e}"))
                })?;
                if self.known.schemas.len() >= MAX_SCHEMAS
                    || self.known.schema_bytes >= MAX_SCHEMA_BYTES
                {
                    self.known.schemas.clear();
                    self.known.schema_bytes = 0;
                }
                self.known.schema_bytes += text.len();
                self.known.schemas.insert(text.clone(), Arc::clone(&schema));
                Ok(schema)
            })
            .collect()
    }
}
