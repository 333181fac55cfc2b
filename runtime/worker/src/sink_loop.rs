//! The loop of a sink task: events of its consumer in, puts out, offsets committed only for what
//! the guest accepted and its flush covered (D2). Opening comes before any put of a partition, and
//! a revoke is answered when no put is in flight (D6).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{ConsumerEvent, RecordBatch, SinkConsumer};
use tidegate_model::connector_config::{ConnectorConfig, Tolerance};
use tidegate_model::names::TaskId;
use tidegate_model::state::State;
use tidegate_sandbox::{CallError, SinkBatch, SinkTask, SqlSession, TopicPartition};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::metric_names;
use crate::pipeline::Converters;
use crate::sink_batches;
use crate::sink_positions::SinkPositions;
use crate::task::Control;
use crate::undelivered::{Undelivered, without};

pub(crate) struct SinkLoop {
    pub(crate) id: TaskId,
    pub(crate) task: SinkTask,
    pub(crate) config: ConnectorConfig,
    pub(crate) converters: Converters,
    pub(crate) consumer: SinkConsumer,
    pub(crate) sql: Arc<dyn SqlSession>,
    pub(crate) flush_interval: Duration,
    pub(crate) state: SinkState,
}

/// What the loop remembers between events.
#[derive(Default)]
pub(crate) struct SinkState {
    positions: SinkPositions,
    /// Events that came while a put was being tried again.
    early: VecDeque<ConsumerEvent>,
}

/// How long a stopped task waits for its group to hear that it left.
const LEAVE: Duration = Duration::from_secs(2);

/// What may wait in `early`, roughly. The consumer stops reading during a retry, so no more comes than
/// what it had read; this only bounds memory should it not.
const EARLY_BYTES: usize = 8 << 20;

/// What a row takes beside key and value, roughly.
const ROW_BYTES: usize = 64;

impl SinkLoop {
    /// Runs until stopped; then flushes, commits, leaves the group and lets the guest clean up.
    pub(crate) async fn run(mut self, control: &mut Control) -> Result<(), TaskError> {
        self.events(control).await?;
        self.leave().await?;
        if let Err(error) = self.task.stop().await {
            tracing::warn!(task = %self.id, "stop the task: {error}");
        }
        // Past this it leaves in the background, as far as the process lives.
        let _ = timeout(LEAVE, self.consumer.close()).await;
        Ok(())
    }

    async fn events(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let mut next_flush = Instant::now() + self.flush_interval;
        loop {
            if control.is_stopping() {
                return Ok(());
            }
            self.consumer.set_paused(control.is_paused());
            control.report(if control.is_paused() {
                State::Paused
            } else {
                State::Running
            });
            if Instant::now() >= next_flush {
                self.flush_and_commit().await?;
                next_flush = Instant::now() + self.flush_interval;
            }
            let event = match self.state.early.pop_front() {
                Some(event) => Some(event),
                None => tokio::select! {
                    event = self.consumer.next() => event,
                    () = control.changed() => continue,
                    () = sleep_until(next_flush) => continue,
                },
            };
            match event {
                Some(ConsumerEvent::Records(records)) => self.deliver(*records, control).await?,
                Some(event) => self.membership(event).await?,
                None => return Err(TaskError::Recoverable("the consumer ended".to_owned())),
            }
        }
    }

    /// Partitions come and go.
    async fn membership(&mut self, event: ConsumerEvent) -> Result<(), TaskError> {
        match event {
            ConsumerEvent::Assigned(partitions, answer) => {
                let partitions = named(partitions);
                tracing::info!(task = %self.id, partitions = %list(&partitions), "open partitions");
                let starts = self.task.open(&partitions).await?;
                self.state.positions.open(&partitions);
                let starts = starts.into_iter().filter(|(p, _)| partitions.contains(p));
                let starts = starts
                    .map(|(p, offset)| ((p.topic, p.partition), offset))
                    .collect();
                // A consumer that has gone does not need the answer.
                let _ = answer.send(starts);
            }
            ConsumerEvent::Revoked {
                partitions,
                lost,
                done,
            } => {
                let partitions = named(partitions);
                tracing::info!(task = %self.id, partitions = %list(&partitions), lost, "close partitions");
                let flushed = if lost {
                    Ok(())
                } else {
                    self.flush_and_commit().await
                };
                let closed = self.task.close(&partitions).await;
                self.state.positions.close(&partitions);
                let _ = done.send(());
                // The next owner reads again from the last commit. The flush comes first: if it broke
                // the instance, the close only says that there is none.
                flushed?;
                closed?;
            }
            ConsumerEvent::Failed(reason) => {
                return Err(TaskError::Failed(format!("consume: {reason}")));
            }
            ConsumerEvent::Records(_) => {}
        }
        Ok(())
    }

    /// Converts a batch once and puts what came of it, again and again if the guest asks for it.
    async fn deliver(
        &mut self,
        mut records: RecordBatch,
        control: &mut Control,
    ) -> Result<(), TaskError> {
        let converted = sink_batches::convert(&self.converters, &mut records);
        for bad in &converted.bad {
            let (topic, row) = (&records.topic, bad.row);
            let place = place(topic, &records.partitions, &records.offsets, row);
            self.refuse(bad.stage, &place, &bad.reason)?;
        }
        let mut left = Undelivered {
            records,
            batches: converted.batches.into(),
        };
        let mut pauses = Pauses::new();
        while let Some(batch) = left.next() {
            match self.put(batch).await {
                Ok(()) => {
                    left.batches.pop_front();
                    pauses.reset();
                }
                Err(CallError::Retriable { reason, after_ms }) => {
                    let pause = pauses.next(after_ms);
                    tracing::warn!(
                        task = %self.id, attempt = pauses.attempts(),
                        pause_ms = pause.as_millis() as u64, "put again: {reason}"
                    );
                    if self.pause_before_retry(&mut left, pause, control).await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.accept(&left.records);
        Ok(())
    }

    /// One put with its database transaction: committed only if every row was dealt with.
    async fn put(&mut self, batch: Arc<SinkBatch>) -> Result<(), CallError> {
        let rows = batch.len() as u64;
        let errants = match self.task.put(Arc::clone(&batch)).await {
            Ok(errants) => errants,
            Err(error) => {
                self.roll_back().await;
                return Err(error);
            }
        };
        for errant in &errants {
            let place = place(&batch.topic, &batch.partitions, &batch.offsets, errant.row);
            if let Err(error) = self.refuse("TASK_PUT", &place, &errant.reason) {
                self.roll_back().await;
                return Err(error);
            }
        }
        if let Err(error) = self.sql.commit().await {
            self.roll_back().await;
            return Err(CallError::Retriable {
                reason: format!("commit the put: {error}"),
                after_ms: None,
            });
        }
        metrics::counter!(
            metric_names::SINK_RECORDS,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(rows - errants.len() as u64);
        Ok(())
    }

    async fn roll_back(&mut self) {
        if let Err(error) = self.sql.rollback().await {
            tracing::warn!(task = %self.id, "roll the put back: {error}");
        }
    }

    /// A record that cannot be handled is skipped if the user said so, else it fails the task (D3).
    fn refuse(&self, stage: &str, place: &str, reason: &str) -> Result<(), CallError> {
        if self.config.tolerance == Tolerance::None {
            return Err(CallError::Fatal(format!(
                "{stage}: record {place}: {reason} (errors.tolerance=none)"
            )));
        }
        metrics::counter!(
            metric_names::RECORDS_SKIPPED,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(1);
        if self.config.log_errors {
            tracing::error!(task = %self.id, stage, record = place, "skip a record: {reason}");
        }
        Ok(())
    }

    fn accept(&mut self, records: &RecordBatch) {
        // Rows of a partition ascend, so its last one counts.
        let mut last: Vec<(i32, i64)> = Vec::new();
        for (partition, offset) in records.partitions.iter().zip(&records.offsets) {
            match last.iter_mut().find(|(known, _)| known == partition) {
                Some((_, known)) => *known = *offset,
                None => last.push((*partition, *offset)),
            }
        }
        for (partition, offset) in last {
            let partition = TopicPartition {
                topic: records.topic.clone(),
                partition,
            };
            self.state.positions.accept(&partition, offset + 1);
        }
    }

    /// Waits, and serves the group meanwhile: a revoke must not wait for a target that is down.
    /// Answers whether the task is to end, in which case nothing of the batch is accepted.
    async fn pause_before_retry(
        &mut self,
        left: &mut Undelivered,
        pause: Duration,
        control: &mut Control,
    ) -> Result<bool, TaskError> {
        let until = Instant::now() + pause;
        // What was read before comes first, then the group's events, which a full queue would hold
        // back for as long as the target is down.
        self.consumer.set_paused(true);
        loop {
            if control.is_stopping() {
                return Ok(true);
            }
            let event = tokio::select! {
                () = sleep_until(until) => return Ok(false),
                () = control.changed() => continue,
                event = self.consumer.next(), if early_bytes(&self.state.early) < EARLY_BYTES => event,
            };
            match event {
                Some(ConsumerEvent::Records(more)) => {
                    self.state.early.push_back(ConsumerEvent::Records(more));
                }
                Some(event) => {
                    // What is going is abandoned, neither put nor committed; should it come back,
                    // it is read again.
                    let gone = event.revoked();
                    left.abandon(&gone);
                    for early in &mut self.state.early {
                        if let ConsumerEvent::Records(more) = early {
                            **more = without(more, &gone);
                        }
                    }
                    self.membership(event).await?;
                }
                None => return Err(TaskError::Recoverable("the consumer ended".to_owned())),
            }
        }
    }

    async fn flush_and_commit(&mut self) -> Result<(), TaskError> {
        metrics::gauge!(
            metric_names::TASK_MEMORY,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .set(self.task.memory_bytes() as f64);
        let accepted = self.state.positions.uncommitted();
        if accepted.is_empty() {
            return Ok(());
        }
        let flushed = match self.task.flush(&accepted).await {
            Ok(flushed) => flushed,
            Err(CallError::Retriable { reason, .. }) => {
                tracing::warn!(task = %self.id, "flush again later: {reason}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for errant in &flushed.errants {
            self.refuse(
                "TASK_FLUSH",
                &format!("{}@{}", errant.at, errant.offset),
                &errant.reason,
            )?;
        }
        let positions = self.state.positions.committable(flushed.durable);
        if positions.is_empty() {
            return Ok(());
        }
        let labels = [("connector", self.id.connector.clone())];
        let offsets: Vec<((String, i32), i64)> = positions
            .iter()
            .map(|(p, offset)| ((p.topic.clone(), p.partition), *offset))
            .collect();
        match self.consumer.commit(&offsets).await {
            Ok(()) => {
                metrics::counter!(metric_names::OFFSET_COMMITS, &labels).increment(1);
                self.state.positions.committed(&positions);
            }
            // Refused because the group moved on, or nobody answers: a revoke or the next
            // interval settles it, and until then the records only may come twice.
            Err(error) => {
                metrics::counter!(metric_names::OFFSET_COMMIT_FAILURES, &labels).increment(1);
                tracing::warn!(task = %self.id, "{error}");
            }
        }
        Ok(())
    }

    /// Flushes, commits and gives every partition back.
    async fn leave(&mut self) -> Result<(), TaskError> {
        self.flush_and_commit().await?;
        let open = self.state.positions.all();
        if !open.is_empty() {
            self.task.close(&open).await?;
            self.state.positions.close(&open);
        }
        self.consumer.begin_stop();
        Ok(())
    }
}

fn early_bytes(early: &VecDeque<ConsumerEvent>) -> usize {
    let bytes = |event: &ConsumerEvent| match event {
        ConsumerEvent::Records(records) => records.bytes() + records.len() * ROW_BYTES,
        _ => 0,
    };
    early.iter().map(bytes).sum()
}

fn named(partitions: Vec<(String, i32)>) -> Vec<TopicPartition> {
    let named = |(topic, partition)| TopicPartition { topic, partition };
    partitions.into_iter().map(named).collect()
}

fn list(partitions: &[TopicPartition]) -> String {
    partitions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Topic, partition and offset of a row, as people look them up.
fn place(topic: &str, partitions: &[i32], offsets: &[i64], row: u32) -> String {
    let row = row as usize;
    let partition = partitions.get(row).copied().unwrap_or(-1);
    let offset = offsets.get(row).copied().unwrap_or(-1);
    format!("{topic}-{partition}@{offset}")
}
