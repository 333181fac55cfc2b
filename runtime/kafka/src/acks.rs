//! The acknowledgements of one batch. A source offset may become durable only when every record
//! at or before it is acked (D1); a batch counts its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::message::{BorrowedMessage, OwnedMessage};
use tokio::sync::Notify;

/// What can be done about a record that Kafka did not take. The order is that of precedence: of
/// several failures in a batch the last kind decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// It went down with the transaction that another record doomed.
    Doomed,
    /// The record itself is at fault (too large, no such partition): sending it again cannot help.
    Record,
    /// Its batch has a record that the topic does not take, perhaps another one: sent again alone, it
    /// may be taken.
    InvalidBatch,
    /// Its batch is larger than the topic takes: sent again in smaller ones, it may be taken.
    LargeBatch,
    /// Nothing short of a person can help (no permission).
    Permanent,
    /// Sending it again from the last checkpoint can help.
    Transient,
}

/// A record that Kafka did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFailure {
    /// Where to.
    pub topic: String,
    /// Kafka's words, and what to do.
    pub reason: String,
    /// What can be done.
    pub kind: FailureKind,
    /// What it is known by ([`crate::record_digest`]), if it alone is at fault.
    pub digest: Option<u64>,
}

/// Digests that a batch keeps; records beyond are found when they are sent again.
const MAX_DIGESTS: usize = 10_000;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every record is acked.
    Acked,
    /// So many are not, and this is the reason that decides.
    Failed(usize, RecordFailure),
}

#[derive(Debug, Default)]
struct Failures {
    count: usize,
    decisive: Option<RecordFailure>,
    /// The first record that alone is at fault.
    at_fault: Option<RecordFailure>,
    digests: Vec<u64>,
    refused: Vec<OwnedMessage>,
}

/// Counts down the records of one batch.
#[derive(Debug)]
pub struct BatchAcks {
    outstanding: AtomicUsize,
    failures: Mutex<Failures>,
    /// Whether records of refused batches are kept, to be sent again.
    keeps_refused: bool,
    /// Shared by all batches of a task: its loop waits for any of them.
    done: Arc<Notify>,
}

impl BatchAcks {
    /// For a batch of `records`; `done` is told when the last of them is answered.
    pub fn new(records: usize, done: Arc<Notify>) -> Arc<Self> {
        Self::with(records, done, false)
    }

    fn with(records: usize, done: Arc<Notify>, keeps_refused: bool) -> Arc<Self> {
        if records == 0 {
            done.notify_one();
        }
        Arc::new(Self {
            outstanding: AtomicUsize::new(records),
            failures: Mutex::default(),
            keeps_refused,
            done,
        })
    }

    /// The same; records of which only their batch was refused are kept and can be sent again.
    pub fn keeping(records: usize, done: Arc<Notify>) -> Arc<Self> {
        Self::with(records, done, true)
    }

    /// Records of refused batches, in the order of their partitions.
    pub fn take_refused(&self) -> Vec<OwnedMessage> {
        std::mem::take(&mut self.lock().refused)
    }

    /// The first record that alone is at fault, known before the others are answered: in a transaction
    /// they may never be.
    pub fn at_fault(&self) -> Option<RecordFailure> {
        self.lock().at_fault.clone()
    }

    /// Digests of records that alone are at fault.
    pub fn digests(&self) -> Vec<u64> {
        self.lock().digests.clone()
    }

    /// What became of the batch; none while answers are outstanding.
    pub fn outcome(&self) -> Option<Outcome> {
        if self.outstanding.load(Ordering::Acquire) > 0 {
            return None;
        }
        let failures = self.lock();
        Some(match &failures.decisive {
            Some(failure) => Outcome::Failed(failures.count, failure.clone()),
            None => Outcome::Acked,
        })
    }

    /// Waits for the last answer. For a batch with a [`Notify`] of its own.
    pub async fn finished(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            self.done.notified().await;
        }
    }

    pub(crate) fn acked(&self) {
        self.answered(1);
    }

    /// A record was refused.
    pub fn failed(&self, failure: RecordFailure) {
        self.refused(failure, None);
    }

    /// A record was refused; `message` is that record, kept if it may be sent again.
    pub(crate) fn refused(&self, failure: RecordFailure, message: Option<&BorrowedMessage<'_>>) {
        {
            let mut failures = self.lock();
            failures.count += 1;
            if failures.digests.len() < MAX_DIGESTS {
                failures.digests.extend(failure.digest);
            }
            let is_batch = matches!(
                failure.kind,
                FailureKind::InvalidBatch | FailureKind::LargeBatch
            );
            if let Some(message) = message.filter(|_| is_batch && self.keeps_refused) {
                failures.refused.push(message.detach());
            }
            if failure.kind == FailureKind::Record && failures.at_fault.is_none() {
                failures.at_fault = Some(failure.clone());
                self.done.notify_one();
            }
            let decides = failures
                .decisive
                .as_ref()
                .is_none_or(|first| first.kind < failure.kind);
            if decides {
                failures.decisive = Some(failure);
            }
        }
        self.answered(1);
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that are not sent: nothing to wait for.
    pub fn skip(&self, records: usize) {
        if records > 0 {
            self.answered(records);
        }
    }

    fn answered(&self, records: usize) {
        // Release: whoever sees zero sees the failures too.
        if self.outstanding.fetch_sub(records, Ordering::AcqRel) == records {
            self.done.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_when_the_last_is_answered() {
        let acks = BatchAcks::new(3, Arc::default());
        acks.acked();
        acks.skip(1);
        assert_eq!(acks.outcome(), None);
        acks.acked();
        assert_eq!(acks.outcome(), Some(Outcome::Acked));
    }

    #[test]
    fn a_failure_that_may_pass_is_not_hidden() {
        let acks = BatchAcks::new(2, Arc::default());
        let failure = |kind| RecordFailure {
            topic: "t".into(),
            reason: "x".into(),
            kind,
            digest: None,
        };
        acks.failed(failure(FailureKind::Transient));
        acks.failed(failure(FailureKind::Record));
        assert_eq!(
            acks.outcome(),
            Some(Outcome::Failed(2, failure(FailureKind::Transient)))
        );
    }

    #[test]
    fn what_doomed_the_others_is_the_reason() {
        let acks = BatchAcks::new(3, Arc::default());
        let failure = |kind| RecordFailure {
            topic: "t".into(),
            reason: "x".into(),
            kind,
            digest: None,
        };
        for kind in [
            FailureKind::Doomed,
            FailureKind::Record,
            FailureKind::Doomed,
        ] {
            acks.failed(failure(kind));
        }
        let decides = failure(FailureKind::Record);
        assert_eq!(acks.outcome(), Some(Outcome::Failed(3, decides)));
    }
}
