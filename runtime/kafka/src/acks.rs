//! The acknowledgements of one batch. A source offset may become durable only when every record
//! at or before it is acked (D1); a batch counts its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What can be done about a record that Kafka did not take. The order is that of precedence: of
/// several failures in a batch the last kind decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// It went down with the transaction that another record doomed.
    Doomed,
    /// The record itself is at fault (too large, no such partition): sending it again cannot help.
    Record,
    /// Nothing short of a person can help (no permission).
    Permanent,
    /// Sending it again from the last checkpoint can help.
    Transient,
}

/// A record that Kafka did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFailure {
    /// Kafka's words.
    pub reason: String,
    /// What can be done.
    pub kind: FailureKind,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every record is acked.
    Acked,
    /// So many are not, and this is the reason that decides.
    Failed(usize, RecordFailure),
}

/// Counts down the records of one batch.
#[derive(Debug)]
pub struct BatchAcks {
    outstanding: AtomicUsize,
    failures: Mutex<(usize, Option<RecordFailure>)>,
    /// Shared by all batches of a task: its loop waits for any of them.
    done: Arc<Notify>,
}

impl BatchAcks {
    /// For a batch of `records`; `done` is told when the last of them is answered.
    pub fn new(records: usize, done: Arc<Notify>) -> Arc<Self> {
        if records == 0 {
            done.notify_one();
        }
        Arc::new(Self {
            outstanding: AtomicUsize::new(records),
            failures: Mutex::new((0, None)),
            done,
        })
    }

    /// What became of the batch; none while answers are outstanding.
    pub fn outcome(&self) -> Option<Outcome> {
        if self.outstanding.load(Ordering::Acquire) > 0 {
            return None;
        }
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match &*failures {
            (count, Some(failure)) => Outcome::Failed(*count, failure.clone()),
            _ => Outcome::Acked,
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
        {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.0 += 1;
            if failures
                .1
                .as_ref()
                .is_none_or(|first| first.kind < failure.kind)
            {
                failures.1 = Some(failure);
            }
        }
        self.answered(1);
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
            reason: "x".into(),
            kind,
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
            reason: "x".into(),
            kind,
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
