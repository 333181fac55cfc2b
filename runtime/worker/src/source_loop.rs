//! The loop of a source task that delivers at least once: poll, convert, produce, wait for acks, commit
//! positions (D1). While one batch is produced the guest already makes the next.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::StateStore;
use tidegate_kafka::{BatchAcks, ProduceError, ProducerHandle};
use tidegate_model::batch::SourceBatch;
use tidegate_model::connector_config::Tolerance;
use tidegate_model::state::State;
use tidegate_sandbox::{CallError, Polled};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::inflight::{AtFault, InFlight};
use crate::metric_names;
use crate::rest::Rest;
use crate::source_intake::{Next, Prepared, SourceIntake, poll};
use crate::task::Control;
use crate::waits::Attempt;

/// How long to wait before looking again whether a reader of the embedded Kafka has caught up.
const HOLD: Duration = Duration::from_millis(20);

/// How often a source that holds tries to store its offsets.
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// Positions that a guest wants stored soon are stored this long after the last commit at the earliest:
/// a guest that always wants it shall not keep the store busy.
const SOON: Duration = Duration::from_millis(100);

/// How long a failed task waits for acks that are still out; without them it only repeats more.
const FAILED_DRAIN: Duration = Duration::from_secs(5);

pub(crate) struct SourceLoop {
    pub(crate) intake: SourceIntake,
    pub(crate) producer: ProducerHandle,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) max_in_flight_bytes: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) state: SourceState,
}

/// What the loop remembers between rounds.
#[derive(Default)]
pub(crate) struct SourceState {
    in_flight: InFlight,
    acked: Arc<Notify>,
    holding: bool,
}

impl SourceLoop {
    /// Runs until stopped; then commits what is acked and lets the guest clean up.
    pub(crate) async fn run(mut self, control: &mut Control) -> Result<(), TaskError> {
        let result = self.rounds(control).await;
        if let Err(TaskError::NotOwner(_)) = result {
            return result;
        }
        // Whatever ended the loop, what is acked is acked: committing it saves duplicates. A failed
        // task tells so soon, even if Kafka answers nobody.
        let drain = timeout(
            if result.is_ok() {
                Duration::MAX
            } else {
                FAILED_DRAIN
            },
            self.drain(control),
        );
        let drained = drain.await.unwrap_or(Ok(()));
        if result.is_ok() {
            self.intake.stop().await;
            return drained;
        }
        result
    }

    async fn rounds(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let mut pauses = Pauses::new();
        let mut pending: Option<Box<SourceBatch>> = None;
        let mut rest = Rest::default();
        let mut next_flush = Instant::now() + self.flush_interval;
        let mut last_flush: Option<Instant> = None;
        loop {
            self.reap()?;
            if self.state.in_flight.wants_commit() {
                let soon = last_flush.map_or_else(Instant::now, |last| last + SOON);
                next_flush = next_flush.min(soon);
            }
            if Instant::now() >= next_flush || self.state.in_flight.must_commit() {
                self.commit(control).await?;
                last_flush = Some(Instant::now());
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
                    self.produce(batch, control).await?;
                } else {
                    control.report(State::Running);
                    self.wait(control, HOLD, next_flush).await;
                }
                continue;
            }
            control.report(State::Running);
            if let Some(left) = rest.left() {
                self.wait(control, left, next_flush).await;
                continue;
            }
            let next = match pending.take() {
                Some(batch) => {
                    let (produced, polled) = self.produce_and_poll(batch, control).await;
                    produced?;
                    polled
                }
                None => poll(&mut self.intake.task).await,
            };
            match self.intake.understand(next, &mut pauses)? {
                Next::Produce(batch) => pending = Some(batch),
                Next::Wait(pause) => rest.begin(pause),
                // Nothing more, ever: only acks and commits are left.
                Next::Finished => rest.begin(Duration::MAX),
            }
        }
    }

    /// Pressure runs backwards: a slow Kafka, or a full embedded one, stops the polls.
    fn must_wait(&mut self) -> bool {
        if self.state.in_flight.bytes() >= self.max_in_flight_bytes {
            return true;
        }
        let topics: Vec<String> = self.intake.known.topics.iter().cloned().collect();
        let full = self.intake.kafka.must_hold(&topics);
        if let Some(topic) = &full
            && !self.state.holding
        {
            tracing::info!(
                task = %self.intake.id, topic,
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
        control: &Control,
    ) -> (Result<(), TaskError>, Result<Polled, CallError>) {
        let sending = match self.prepare(batch, control).await {
            Ok(sending) => sending,
            Err(error) => return (Err(error), Ok(Polled::Finished)),
        };
        let (produced, polled) =
            tokio::join!(send(&self.producer, &sending), poll(&mut self.intake.task));
        (self.sent(sending, produced), polled)
    }

    async fn produce(
        &mut self,
        batch: Box<SourceBatch>,
        control: &Control,
    ) -> Result<(), TaskError> {
        let sending = self.prepare(batch, control).await?;
        let produced = send(&self.producer, &sending).await;
        self.sent(sending, produced)
    }

    async fn prepare(
        &mut self,
        batch: Box<SourceBatch>,
        control: &Control,
    ) -> Result<Sending, TaskError> {
        let prepared = self.intake.prepare(batch).await?;
        let acks = BatchAcks::new(prepared.batch.rows, Arc::clone(&self.state.acked));
        control.check_owner()?;
        Ok((prepared, acks))
    }

    fn sent(
        &mut self,
        (prepared, acks): Sending,
        result: Result<(), ProduceError>,
    ) -> Result<(), TaskError> {
        result.map_err(|e| TaskError::Recoverable(e.to_string()))?;
        let (records, bytes) = (prepared.records(), prepared.bytes());
        let store_soon = prepared.batch.store_soon;
        let checkpoints = prepared.batch.checkpoints;
        self.state
            .in_flight
            .push(acks, records, bytes, checkpoints, store_soon);
        Ok(())
    }

    fn reap(&mut self) -> Result<(), TaskError> {
        let records_at_fault = match self.intake.config.tolerance {
            Tolerance::All => AtFault::Skip,
            Tolerance::None => AtFault::Fail,
        };
        let reaped = self.state.in_flight.reap(records_at_fault)?;
        self.intake.count_written(reaped.acked);
        if reaped.acked > 0 {
            self.intake.waits.recovered();
            if self.state.in_flight.is_empty() {
                self.intake.waits.topics_exist();
            }
        }
        if reaped.refused > 0 {
            self.intake.count_skipped(reaped.refused);
            tracing::error!(task = %self.intake.id, records = reaped.refused, "Kafka refused records, skipped: {}", reaped.reason);
        }
        Ok(())
    }

    /// Makes acked positions durable, then tells the guest.
    async fn commit(&mut self, control: &mut Control) -> Result<(), TaskError> {
        self.intake.show_memory();
        let positions = self.state.in_flight.take_committable();
        if positions.is_empty() {
            return Ok(());
        }
        control.check_owner()?;
        let connector = &self.intake.id.connector;
        let labels = [("connector", connector.clone())];
        let mut pauses = Pauses::new();
        loop {
            let stored = self
                .store
                .commit_offsets(connector, None, positions.clone());
            let Err(error) = stored.await else { break };
            metrics::counter!(metric_names::OFFSET_COMMIT_FAILURES, &labels).increment(1);
            if control.is_stopping() {
                return Err(error.into());
            }
            // Going on would only make more to repeat, and so would starting again.
            let pause = pauses.next(None).min(LONGEST_HOLD);
            tracing::warn!(
                task = %self.intake.id, pause_ms = pause.as_millis() as u64,
                "hold the source until its offsets are stored: {error}"
            );
            self.intake.waits.other(Attempt::Store, &error.to_string());
            tokio::select! {
                () = sleep(pause) => {}
                () = control.stopped() => {}
            }
            control.check_owner()?;
        }
        self.intake.waits.done(Attempt::Store);
        metrics::counter!(metric_names::OFFSET_COMMITS, &labels).increment(1);
        control.progress();
        self.intake.committed(&positions).await
    }

    /// Waits for the acks that are still out, and commits. The time for it is the supervisor's:
    /// past the graceful time-out this is dropped, and the records count as not produced.
    async fn drain(&mut self, control: &Control) -> Result<(), TaskError> {
        while !self.state.in_flight.is_empty() && !self.producer.is_fatal() {
            // Nothing behind a refused batch can be committed any more, but what is before it can.
            if self.reap().is_err() || self.state.in_flight.is_empty() {
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
            control.check_owner()?;
            self.store
                .commit_offsets(&self.intake.id.connector, None, positions)
                .await?;
        }
        Ok(())
    }
}

/// A batch on its way, and who counts its acks.
type Sending = (Prepared, Arc<BatchAcks>);

async fn send(producer: &ProducerHandle, (prepared, acks): &Sending) -> Result<(), ProduceError> {
    producer.produce(prepared.rows(), acks).await
}
