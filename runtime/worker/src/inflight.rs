//! Batches that a source has produced and Kafka has not acked yet, in order. A position is given
//! out for committing only when its batch and every batch before it are acked (D1).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidegate_kafka::{BatchAcks, FailureKind, Outcome};
use tidegate_model::batch::Checkpoint;
use tidegate_model::offset::{SourceOffset, SourcePartition};

use crate::error::TaskError;

/// Positions that wait to be committed may take this much. A guest can name as many partitions as it
/// likes with no record at all, and the next commit may be a minute away.
const COMMITTABLE_BYTES: usize = 1 << 20;

/// What a position takes beside its texts, roughly.
const POSITION_BYTES: usize = 64;

struct Sent {
    acks: Arc<BatchAcks>,
    /// Records that were handed to the producer.
    records: usize,
    bytes: usize,
    checkpoints: Vec<Checkpoint>,
    store_soon: bool,
}

/// What is done about records that Kafka refuses for their own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtFault {
    /// They end the task.
    Fail,
    /// They are skipped and counted, as the user said.
    Skip,
}

/// What the acks of the oldest batches told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reaped {
    /// Records that Kafka has.
    pub(crate) acked: usize,
    /// Records that Kafka refused for their own fault, and why the last of them.
    pub(crate) refused: usize,
    pub(crate) reason: String,
}

#[derive(Default)]
pub(crate) struct InFlight {
    sent: VecDeque<Sent>,
    bytes: usize,
    /// The last acked position of each partition, not committed yet.
    committable: BTreeMap<SourcePartition, SourceOffset>,
    committable_bytes: usize,
    /// Among these positions is one that the guest wants stored soon.
    store_soon: bool,
}

impl InFlight {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(crate) fn push(
        &mut self,
        acks: Arc<BatchAcks>,
        records: usize,
        bytes: usize,
        checkpoints: Vec<Checkpoint>,
        store_soon: bool,
    ) {
        let bytes = bytes + checkpoints.iter().map(checkpoint_bytes).sum::<usize>();
        self.bytes += bytes;
        self.sent.push_back(Sent {
            acks,
            records,
            bytes,
            checkpoints,
            store_soon,
        });
    }

    /// Takes finished batches off the front. What ends the task does so before its positions count.
    pub(crate) fn reap(&mut self, records_at_fault: AtFault) -> Result<Reaped, TaskError> {
        let mut reaped = Reaped::default();
        while let Some(outcome) = self.sent.front().and_then(|sent| sent.acks.outcome()) {
            let mut refused = 0;
            if let Outcome::Failed(count, failure) = outcome {
                let text = format!("produce {count} record(s): {}", failure.reason);
                match failure.kind {
                    FailureKind::Record if records_at_fault == AtFault::Skip => {
                        refused = count;
                        reaped.reason = failure.reason;
                    }
                    FailureKind::InvalidBatch | FailureKind::LargeBatch => {
                        return Err(TaskError::BatchRefused {
                            topic: failure.topic,
                            is_large: failure.kind == FailureKind::LargeBatch,
                            reason: text,
                        });
                    }
                    FailureKind::Record | FailureKind::Permanent => {
                        return Err(TaskError::Failed(text));
                    }
                    FailureKind::Doomed | FailureKind::Transient => {
                        return Err(TaskError::Recoverable(text));
                    }
                }
            }
            reaped.refused += refused;
            if let Some(sent) = self.sent.pop_front() {
                reaped.acked += sent.records.saturating_sub(refused);
                self.bytes -= sent.bytes;
                self.store_soon |= sent.store_soon;
                for checkpoint in sent.checkpoints {
                    self.acked(checkpoint);
                }
            }
        }
        Ok(reaped)
    }

    /// As [`Self::reap`] in a transaction, which one record at fault dooms: librdkafka may leave the
    /// others without an answer then. `repeats`: the transaction shall be repeated without the record.
    pub(crate) fn reap_doomed(&mut self, repeats: bool) -> Result<Reaped, TaskError> {
        let at_fault = self.sent.iter().find_map(|sent| sent.acks.at_fault());
        match at_fault {
            None => self.reap(AtFault::Fail),
            Some(failure) if repeats => Err(TaskError::RecordsRefused {
                digests: self.sent.iter().flat_map(|s| s.acks.digests()).collect(),
                reason: failure.reason,
            }),
            Some(failure) => Err(TaskError::Failed(format!("produce: {}", failure.reason))),
        }
    }

    fn acked(&mut self, checkpoint: Checkpoint) {
        self.committable_bytes += checkpoint_bytes(&checkpoint);
        let partition_bytes = checkpoint.partition.as_str().len() + POSITION_BYTES;
        let replaced = self
            .committable
            .insert(checkpoint.partition, checkpoint.offset);
        if let Some(offset) = replaced {
            self.committable_bytes = self
                .committable_bytes
                .saturating_sub(partition_bytes + offset.as_str().len());
        }
    }

    /// Whether there is more to commit than may wait for the next interval.
    pub(crate) fn must_commit(&self) -> bool {
        self.committable_bytes >= COMMITTABLE_BYTES
    }

    /// Whether something may be committed that shall not wait for the next interval.
    pub(crate) fn wants_commit(&self) -> bool {
        self.store_soon
    }

    /// Positions that may become durable now, and forgets them.
    pub(crate) fn take_committable(&mut self) -> Vec<(SourcePartition, SourceOffset)> {
        self.committable_bytes = 0;
        self.store_soon = false;
        std::mem::take(&mut self.committable).into_iter().collect()
    }
}

fn checkpoint_bytes(checkpoint: &Checkpoint) -> usize {
    checkpoint.partition.as_str().len() + checkpoint.offset.as_str().len() + POSITION_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_kafka::RecordFailure;
    use tidegate_model::batch::Boundary;

    fn checkpoint(n: u32) -> Checkpoint {
        Checkpoint {
            rows: 1,
            partition: SourcePartition::parse(r#"{"f":"a"}"#).unwrap(),
            offset: SourceOffset::parse(&format!(r#"{{"n":{n}}}"#)).unwrap(),
            boundary: Boundary::None,
        }
    }

    fn offsets(inflight: &mut InFlight) -> Vec<String> {
        inflight
            .take_committable()
            .into_iter()
            .map(|(_, offset)| offset.to_string())
            .collect()
    }

    #[test]
    fn a_position_waits_for_every_batch_before_it() {
        let mut inflight = InFlight::default();
        let [first, second] = [(); 2].map(|()| BatchAcks::new(1, Arc::default()));
        inflight.push(Arc::clone(&first), 1, 10, vec![checkpoint(1)], false);
        inflight.push(Arc::clone(&second), 1, 10, vec![checkpoint(2)], false);
        let bytes = inflight.bytes();
        assert!(bytes > 20, "positions count too: {bytes}");
        second.skip(1);
        inflight.reap(AtFault::Fail).unwrap();
        assert!(
            offsets(&mut inflight).is_empty(),
            "the first batch is not acked"
        );
        assert_eq!(inflight.bytes(), bytes);
        first.skip(1);
        inflight.reap(AtFault::Fail).unwrap();
        assert_eq!(offsets(&mut inflight), [r#"{"n":2}"#]);
        assert!(inflight.is_empty());
    }

    #[test]
    fn what_shall_be_stored_soon_waits_for_its_acks_alone() {
        let mut inflight = InFlight::default();
        let acks = BatchAcks::new(1, Arc::default());
        inflight.push(Arc::clone(&acks), 1, 10, vec![checkpoint(1)], true);
        inflight.reap(AtFault::Fail).unwrap();
        assert!(!inflight.wants_commit(), "not acked yet");
        acks.skip(1);
        inflight.reap(AtFault::Fail).unwrap();
        assert!(inflight.wants_commit());
        assert_eq!(offsets(&mut inflight), [r#"{"n":1}"#]);
        assert!(!inflight.wants_commit(), "it is stored");
    }

    #[test]
    fn many_positions_do_not_wait_for_the_interval() {
        let mut inflight = InFlight::default();
        let mut acked = |name: String, n: u32| {
            let partition = SourcePartition::parse(&format!(r#"{{"f":"{name}"}}"#)).unwrap();
            let one = Checkpoint {
                partition,
                ..checkpoint(n)
            };
            inflight.push(BatchAcks::new(0, Arc::default()), 1, 0, vec![one], false);
            inflight.reap(AtFault::Fail).unwrap();
            inflight.must_commit()
        };
        assert!((0..20_000).all(|n| !acked("same".into(), n)));
        assert!((0..20_000).any(|n| acked(n.to_string(), n)));
        inflight.take_committable();
        assert!(!inflight.must_commit());
    }

    #[test]
    fn a_refused_batch_lets_nothing_past() {
        for (kind, tolerate, passes) in [
            (FailureKind::Record, AtFault::Skip, true),
            (FailureKind::Record, AtFault::Fail, false),
            (FailureKind::LargeBatch, AtFault::Skip, false),
            (FailureKind::InvalidBatch, AtFault::Skip, false),
            (FailureKind::Transient, AtFault::Skip, false),
            (FailureKind::Doomed, AtFault::Skip, false),
            (FailureKind::Permanent, AtFault::Skip, false),
        ] {
            let mut inflight = InFlight::default();
            let acks = BatchAcks::new(1, Arc::default());
            inflight.push(Arc::clone(&acks), 1, 1, vec![checkpoint(1)], false);
            acks.failed(RecordFailure {
                topic: "t".into(),
                reason: "no".into(),
                kind,
                digest: None,
            });
            assert_eq!(
                inflight.reap(tolerate).is_ok(),
                passes,
                "{kind:?} {tolerate:?}"
            );
            assert_eq!(offsets(&mut inflight).len(), usize::from(passes));
        }
    }
}
