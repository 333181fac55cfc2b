//! From a batch of Kafka to a target that has it: converted once, put again and again if the guest
//! asks for it, dead letters acked first, then, for a database that keeps the offsets, rows and
//! offsets in one transaction (D2, D3, D8).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{ConsumerEvent, RecordBatch};
use tidegate_model::failpoint;
use tidegate_sandbox::{CallError, LedgerError, LedgerSpan, SinkBatch, SqlError};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Pauses;
use crate::dead_letters::{DeadLetterError, Letter};
use crate::error::TaskError;
use crate::metric_names;
use crate::sink_batches;
use crate::sink_ledger;
use crate::sink_loop::SinkLoop;
use crate::task::Control;
use crate::undelivered::{Undelivered, without};
use crate::waits::Attempt;

/// What may wait in `early`, roughly. The consumer stops reading during a retry, so no more comes than
/// what it had read; this only bounds memory should it not.
const EARLY_BYTES: usize = 8 << 20;

/// What a row takes beside key and value, roughly.
const ROW_BYTES: usize = 64;

/// Why something was not delivered.
enum Undone {
    /// The same can be tried again, after this many milliseconds if it is told.
    Retry(String, Option<u32>),
    /// The same for dead letters.
    RetryLetters(String),
    /// The loop ends.
    End(TaskError),
}

impl From<CallError> for Undone {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Retriable { reason, after_ms } => Self::Retry(reason, after_ms),
            other => Self::End(other.into()),
        }
    }
}

impl From<LedgerError> for Undone {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::RolledBack(SqlError::Unavailable(reason)) => {
                Self::Retry(format!("commit the put: {reason}"), None)
            }
            // After a lost answer the batch at hand must not be put again: its rows may be there.
            other => Self::End(sink_ledger::failed(other)),
        }
    }
}

impl From<DeadLetterError> for Undone {
    fn from(error: DeadLetterError) -> Self {
        match error {
            DeadLetterError::Transient { .. } => Self::RetryLetters(error.to_string()),
            DeadLetterError::Permanent { .. } => Self::End(TaskError::Failed(error.to_string())),
        }
    }
}

/// What was decided about the records of one batch that cannot be handled.
#[derive(Default)]
struct Refused {
    /// As they came from Kafka, if there is a dead letter queue.
    original: Option<RecordBatch>,
    /// Partition and offset of those that are in the queue: a put that is tried again does not send
    /// them again.
    queued: BTreeSet<(i32, i64)>,
    /// Whether the last put was refused as a whole when it was to be committed.
    at_commit: bool,
}

impl SinkLoop {
    /// Converts a batch once and puts what came of it, until it is done or the task is to end.
    pub(crate) async fn deliver(
        &mut self,
        mut records: RecordBatch,
        control: &mut Control,
    ) -> Result<(), TaskError> {
        let mut refused = Refused {
            original: self.dead_letters.is_some().then(|| records.clone()),
            ..Refused::default()
        };
        let converted = sink_batches::convert(&self.converters, &mut records);
        let bad: Vec<Letter> = converted
            .bad
            .into_iter()
            .filter_map(|bad| {
                letter(
                    &records.partitions,
                    &records.offsets,
                    bad.row,
                    bad.stage,
                    bad.reason,
                )
            })
            .collect();
        let mut left = Undelivered::new(records, converted.batches);
        let mut pauses = Pauses::new();
        // Bad records first: their letters are acked before any offset beyond them is stored.
        let mut bad = Some(bad);
        let mut stored = !self.sql.has_ledger();
        loop {
            let done = if let Some(letters) = &bad {
                let done = self
                    .refuse(&left.records.topic, letters, &mut refused)
                    .await;
                if done.is_ok() {
                    self.all_skipped(&left.records.topic, letters);
                    bad = None;
                }
                done
            } else if let Some(batch) = left.next() {
                let is_last = left.is_last();
                let spans = left.spans(&batch);
                let began = Instant::now();
                let done = self.put(batch, spans, &mut refused).await;
                if matches!(done, Err(Undone::Retry(..))) && began.elapsed() >= self.host_call {
                    // A call was cut off, as it would be for ever if all of it came again.
                    left.halve();
                }
                if done.is_ok() {
                    left.was_put();
                    stored |= is_last;
                }
                done
            } else if !stored && !left.records.is_empty() {
                let committed = self.sql.commit_spans(left.rest()).await;
                stored = committed.is_ok();
                if !stored {
                    self.roll_back().await;
                }
                committed.map_err(Undone::from)
            } else {
                break;
            };
            let again = match done {
                Ok(()) => {
                    pauses.reset();
                    self.waits.done(Attempt::Put);
                    self.waits.done(Attempt::DeadLetters);
                    None
                }
                Err(Undone::End(error)) => return Err(error),
                Err(Undone::Retry(reason, after_ms)) => {
                    self.waits.target(Attempt::Put, &reason);
                    Some((reason, after_ms))
                }
                Err(Undone::RetryLetters(reason)) => {
                    self.waits.other(Attempt::DeadLetters, &reason);
                    Some((reason, None))
                }
            };
            if let Some((reason, after_ms)) = again {
                let pause = pauses.next(after_ms);
                tracing::warn!(
                    task = %self.id, attempt = pauses.attempts(),
                    pause_ms = pause.as_millis() as u64, "put again: {reason}"
                );
                // A target that is down or full may be so for long: what it has need not come
                // twice when the task ends meanwhile.
                self.flush_and_commit().await?;
                if self.pause_before_retry(&mut left, pause, control).await? {
                    return Ok(());
                }
            }
        }
        for (at, next) in left.positions() {
            self.state.positions.accept(&at, next);
        }
        control.progress();
        Ok(())
    }

    /// One put and its transaction, in the order that D2 asks for: the dead letters are acked, the
    /// offsets are written with the rows, the transaction commits; the group's offsets follow with
    /// the next flush.
    async fn put(
        &mut self,
        batch: Arc<SinkBatch>,
        spans: Vec<LedgerSpan>,
        refused: &mut Refused,
    ) -> Result<(), Undone> {
        let rows = batch.len() as u64;
        self.sql.begin();
        let written = self.write(&batch, refused).await;
        let letters = match written {
            Ok(letters) => letters,
            Err(undone) => {
                self.roll_back().await;
                return Err(undone);
            }
        };
        failpoint::reached("before-commit");
        let spans = if self.sql.has_ledger() {
            spans
        } else {
            Vec::new()
        };
        if let Err(error) = self.sql.commit_spans(spans).await {
            self.roll_back().await;
            return Err(match error {
                // A constraint that was deferred until then. Put again, the database tells of which
                // rows it is true.
                LedgerError::RolledBack(error @ SqlError::Rejected { .. })
                    if !std::mem::replace(&mut refused.at_commit, true) =>
                {
                    Undone::Retry(format!("commit the put: {error}"), Some(0))
                }
                error => error.into(),
            });
        }
        refused.at_commit = false;
        failpoint::reached("committed");
        self.all_skipped(&batch.topic, &letters);
        metrics::counter!(
            metric_names::SINK_RECORDS,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(rows - letters.len() as u64);
        Ok(())
    }

    /// The guest's part of a put, and the dead letters of it.
    async fn write(
        &mut self,
        batch: &Arc<SinkBatch>,
        refused: &mut Refused,
    ) -> Result<Vec<Letter>, Undone> {
        let errants = self.task.put(Arc::clone(batch)).await?;
        failpoint::reached("guest-put");
        let letters: Vec<Letter> = errants
            .into_iter()
            .filter_map(|e| {
                letter(
                    &batch.partitions,
                    &batch.offsets,
                    e.row,
                    "TASK_PUT",
                    e.reason,
                )
            })
            .collect();
        self.refuse(&batch.topic, &letters, refused).await?;
        Ok(letters)
    }

    async fn roll_back(&mut self) {
        if let Err(error) = self.sql.rollback().await {
            tracing::warn!(task = %self.id, "roll the put back: {error}");
        }
    }

    /// Records that cannot be handled fail the task, unless the user said otherwise; then those that
    /// have a queue are in it when this returns (D3).
    async fn refuse(
        &mut self,
        topic: &str,
        letters: &[Letter],
        refused: &mut Refused,
    ) -> Result<(), Undone> {
        let Some(first) = letters.first() else {
            return Ok(());
        };
        if !self.config.tolerates() {
            return Err(Undone::End(TaskError::Failed(format!(
                "{}: record {topic}-{}@{}: {} (errors.tolerance=none)",
                first.stage, first.partition, first.offset, first.reason
            ))));
        }
        let (Some(queue), Some(original)) = (&self.dead_letters, &refused.original) else {
            return Ok(());
        };
        let place = |letter: &Letter| (letter.partition, letter.offset);
        let is_new = |letter: &&Letter| !refused.queued.contains(&place(letter));
        let new: Vec<Letter> = letters.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            queue.send(original, &new).await?;
            refused.queued.extend(new.iter().map(place));
            failpoint::reached("dead-letters-acked");
        }
        Ok(())
    }

    fn all_skipped(&self, topic: &str, letters: &[Letter]) {
        for letter in letters {
            let place = format!("{topic}-{}@{}", letter.partition, letter.offset);
            self.skipped(letter.stage, &place, &letter.reason);
        }
    }

    /// A record was left out, as the user said: counted, and logged if wanted.
    pub(crate) fn skipped(&self, stage: &str, place: &str, reason: &str) {
        metrics::counter!(
            metric_names::RECORDS_SKIPPED,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .increment(1);
        if self.config.log_errors {
            let done = match self.dead_letters {
                Some(_) => "is a dead letter",
                None => "is skipped",
            };
            tracing::error!(task = %self.id, stage, record = place, "a record {done}: {reason}");
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
                    self.membership_or_stop(event, control).await?;
                }
                None => return Err(TaskError::Recoverable("the consumer ended".to_owned())),
            }
        }
    }
}

fn early_bytes(early: &VecDeque<ConsumerEvent>) -> usize {
    let bytes = |event: &ConsumerEvent| match event {
        ConsumerEvent::Records(records) => records.bytes() + records.len() * ROW_BYTES,
        _ => 0,
    };
    early.iter().map(bytes).sum()
}

fn letter(
    partitions: &[i32],
    offsets: &[i64],
    row: u32,
    stage: &'static str,
    reason: String,
) -> Option<Letter> {
    let row = row as usize;
    Some(Letter {
        partition: *partitions.get(row)?,
        offset: *offsets.get(row)?,
        stage,
        reason,
    })
}
