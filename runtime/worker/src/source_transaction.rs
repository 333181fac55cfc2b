//! The Kafka transactions of a source task: records and the positions that cover them are committed
//! together or not at all (D8). They follow each other strictly.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::Positions;
use tidegate_kafka::{BatchAcks, ProduceError, TransactionError, TransactionalProducer};
use tidegate_model::failpoint;
use tidegate_model::names::TaskId;
use tidegate_model::offset::{SourceOffset, SourcePartition, offset_record_key};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::error::TaskError;
use crate::inflight::InFlight;
use crate::metric_names;
use crate::source_boundaries::{Due, End, MAX_OWN_BYTES, Step, TransactionBounds, Within};
use crate::source_intake::{Prepared, count_written};
use crate::task::Control;

/// How long a task that ends tries to abort what it has open; the next owner of its id aborts it too.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What a position takes beside its texts, roughly.
const POSITION_BYTES: usize = 64;

pub(crate) struct SourceTransactions {
    pub(crate) id: TaskId,
    pub(crate) producer: TransactionalProducer,
    pub(crate) offsets_topic: String,
    pub(crate) bounds: TransactionBounds,
    /// Whether records that Kafka refuses are left out, as the user said.
    pub(crate) skips_refused: bool,
    /// How long a task that is to stop waits for acks.
    pub(crate) stop_limit: Duration,
    pub(crate) state: TransactionState,
}

/// What is remembered between batches.
#[derive(Default)]
pub(crate) struct TransactionState {
    acked: Arc<Notify>,
    open: Option<Open>,
}

struct Open {
    since: Instant,
    sent: InFlight,
    bytes: usize,
    /// Records that are acked.
    acked: usize,
    /// The last position of each partition.
    positions: BTreeMap<SourcePartition, SourceOffset>,
}

impl SourceTransactions {
    /// Produces a batch, and ends transactions where they end in it. Answers what is durable now.
    pub(crate) async fn deliver(
        &mut self,
        prepared: &Prepared,
        steps: Vec<Step>,
        control: &Control,
    ) -> Result<Positions, TaskError> {
        let mut durable = BTreeMap::new();
        for step in steps {
            if step.end == End::Abort {
                // Dropped records are read, too: their positions count (KIP-618).
                let mut positions = self.abort().await?;
                positions.extend(step.positions);
                self.begin(control).await?;
                self.cover(positions);
                durable.extend(self.commit(control).await?);
                continue;
            }
            self.begin(control).await?;
            self.produce(prepared, &step, control).await?;
            self.cover(step.positions);
            if step.end == End::Commit {
                durable.extend(self.commit(control).await?);
            }
        }
        Ok(durable.into_iter().collect())
    }

    /// What the open transaction needs; none if there is none.
    pub(crate) fn due(&self) -> Result<Option<Duration>, TaskError> {
        let Some(open) = &self.state.open else {
            return Ok(None);
        };
        match self.bounds.due(open.since.elapsed(), open.bytes) {
            Due::Later(left) => Ok(Some(left)),
            Due::Commit => Ok(Some(Duration::ZERO)),
            Due::TooLarge => Err(TaskError::Failed(format!(
                "the connector's own transaction holds more than {} MiB: have it commit more often, \
                 or set transaction.boundary to poll or interval",
                MAX_OWN_BYTES >> 20
            ))),
            Due::TooLong => Err(TaskError::Recoverable(format!(
                "the connector's own transaction was open for {} s, and the broker aborts it after \
                 {} s: have it commit more often, or raise producer.override.transaction.timeout.ms",
                open.since.elapsed().as_secs(),
                self.bounds.timeout.as_secs()
            ))),
        }
    }

    /// Whether a transaction is open that only the connector may end.
    pub(crate) fn is_midway(&self) -> bool {
        self.state.open.is_some() && self.bounds.within == Within::Connector
    }

    /// Looks whether records were refused meanwhile.
    pub(crate) fn check(&mut self) -> Result<(), TaskError> {
        let Some(open) = &mut self.state.open else {
            return Ok(());
        };
        match open.sent.reap_doomed(self.skips_refused) {
            Ok(reaped) => {
                open.acked += reaped.acked;
                Ok(())
            }
            // Having been shut out shows as refused records too.
            Err(error) => Err(self
                .producer
                .check()
                .map_or_else(TaskError::from, |()| error)),
        }
    }

    /// Returns when acks of the open transaction came in; never if none are due.
    pub(crate) async fn acked(&self) {
        match &self.state.open {
            Some(open) if !open.sent.is_empty() => self.state.acked.notified().await,
            _ => std::future::pending().await,
        }
    }

    /// Waits for all acks, writes the positions into the same transaction, and commits it. Answers
    /// what is durable now.
    pub(crate) async fn commit(&mut self, control: &Control) -> Result<Positions, TaskError> {
        let Some(open) = &mut self.state.open else {
            return Ok(Positions::new());
        };
        failpoint::reached("source-produced");
        control.check_owner()?;
        let positions: Positions = std::mem::take(&mut open.positions).into_iter().collect();
        self.write(&positions).await?;
        self.all_acked(control).await?;
        failpoint::reached("source-offsets-written");
        control.check_owner()?;
        let committed = self.producer.commit().await;
        let labels = [("connector", self.id.connector.clone())];
        if let Err(error) = committed {
            metrics::counter!(metric_names::OFFSET_COMMIT_FAILURES, &labels).increment(1);
            if let TransactionError::Unknown { .. } = error {
                // It may be committed, so it is not this task's to abort any more.
                self.state.open = None;
            }
            return Err(error.into());
        }
        let acked = self.state.open.take().map_or(0, |open| open.acked);
        failpoint::reached("source-committed");
        count_written(&self.id, acked);
        metrics::counter!(metric_names::OFFSET_COMMITS, &labels).increment(1);
        Ok(positions)
    }

    /// Aborts what is open, since the task ends. Answers why it ends: having been shut out is the
    /// reason for whatever else went wrong.
    pub(crate) async fn give_up(&mut self, error: TaskError) -> TaskError {
        match timeout(GIVE_UP, self.abort()).await {
            Ok(Err(fenced @ TaskError::Fenced(_))) => fenced,
            Ok(Err(other)) => {
                tracing::warn!(task = %self.id, "{other}");
                error
            }
            Ok(Ok(_)) | Err(_) => error,
        }
    }

    /// What was not committed when the task has to stop: only the connector knows where its own
    /// transactions end.
    pub(crate) async fn finish(&mut self, control: &Control) -> Result<(), TaskError> {
        let finished = if self.is_midway() {
            self.abort().await.map(drop)
        } else {
            self.commit(control).await.map(drop)
        };
        match finished {
            Ok(()) => Ok(()),
            Err(error) => Err(self.give_up(error).await),
        }
    }

    async fn begin(&mut self, control: &Control) -> Result<(), TaskError> {
        if self.state.open.is_some() {
            return Ok(());
        }
        control.check_owner()?;
        self.producer.begin().await?;
        self.state.open = Some(Open {
            since: Instant::now(),
            sent: InFlight::default(),
            bytes: 0,
            acked: 0,
            positions: BTreeMap::new(),
        });
        Ok(())
    }

    /// Answers the positions that were to be committed.
    async fn abort(&mut self) -> Result<Positions, TaskError> {
        let Some(open) = self.state.open.take() else {
            return Ok(Positions::new());
        };
        self.producer.abort().await?;
        Ok(open.positions.into_iter().collect())
    }

    async fn produce(
        &mut self,
        prepared: &Prepared,
        step: &Step,
        control: &Control,
    ) -> Result<(), TaskError> {
        let records = step.rows.len();
        if records == 0 {
            return Ok(());
        }
        control.check_owner()?;
        let acks = BatchAcks::new(records, Arc::clone(&self.state.acked));
        let handle = self.producer.handle();
        let produced = handle.produce_some(prepared.rows(), step.rows.clone(), &acks);
        self.handed_over(produced.await)?;
        // A batch may be cut into several steps; each bears its share.
        let bytes = prepared.bytes() * records / prepared.batch.rows.max(1);
        self.sent(acks, records_in(&step.rows, &prepared.skip), bytes);
        Ok(())
    }

    async fn write(&mut self, positions: &Positions) -> Result<(), TaskError> {
        if positions.is_empty() {
            return Ok(());
        }
        let record = |(partition, offset): &(SourcePartition, SourceOffset)| {
            let key = offset_record_key(&self.id.connector, partition);
            (key, Some(offset.as_str().as_bytes().to_vec()))
        };
        let records = positions.iter().map(record).collect();
        let acks = BatchAcks::new(positions.len(), Arc::clone(&self.state.acked));
        let topic = &self.offsets_topic;
        let produced = self.producer.send_offsets(topic, records, &acks).await;
        self.handed_over(produced)?;
        self.sent(acks, 0, 0);
        Ok(())
    }

    fn handed_over(&self, produced: Result<(), ProduceError>) -> Result<(), TaskError> {
        produced.map_err(|error| match self.producer.check() {
            Err(reason) => reason.into(),
            Ok(()) => TaskError::Recoverable(error.to_string()),
        })
    }

    fn sent(&mut self, acks: Arc<BatchAcks>, records: usize, bytes: usize) {
        if let Some(open) = &mut self.state.open {
            open.sent.push(acks, records, bytes, Vec::new(), false);
            open.bytes += bytes;
        }
    }

    fn cover(&mut self, positions: Positions) {
        let Some(open) = &mut self.state.open else {
            return;
        };
        for (partition, offset) in positions {
            let bytes = partition.as_str().len() + offset.as_str().len() + POSITION_BYTES;
            if open.positions.insert(partition, offset).is_none() {
                open.bytes += bytes;
            }
        }
    }

    /// librdkafka answers every record in time: those that Kafka does not, it refuses.
    async fn all_acked(&mut self, control: &Control) -> Result<(), TaskError> {
        let limit = self.stop_limit;
        let too_late = async {
            control.stopped().await;
            sleep(limit).await;
        };
        tokio::pin!(too_late);
        loop {
            self.check()?;
            if self
                .state
                .open
                .as_ref()
                .is_none_or(|open| open.sent.is_empty())
            {
                return Ok(());
            }
            tokio::select! {
                () = self.acked() => {}
                () = &mut too_late => {
                    return Err(TaskError::Recoverable(
                        "its last records were not acked in time, and are aborted".to_owned(),
                    ));
                }
            }
        }
    }
}

/// How many of these rows are handed to the producer; `skip` ascends.
fn records_in(rows: &Range<usize>, skip: &[u32]) -> usize {
    let before = |end: usize| skip.partition_point(|&row| (row as usize) < end);
    rows.len() - (before(rows.end) - before(rows.start))
}
