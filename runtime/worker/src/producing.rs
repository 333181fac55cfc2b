//! What a source task has learned about producing its records, over the starts of its loop: how small
//! its batches have to be, and which records Kafka will not take.

use std::collections::BTreeSet;

use tidegate_kafka::{Batching, Kafka};

/// Refused records that a task remembers. Beyond, it fails: nearly nothing gets through then.
const MAX_REFUSED: usize = 100_000;

/// Learned so far.
#[derive(Debug, Default)]
pub(crate) struct Producing {
    pub(crate) batching: Batching,
    /// Digests of records that are skipped, in exactly-once delivery.
    pub(crate) refused: BTreeSet<u64>,
}

impl Producing {
    /// A batch for this topic was refused: smaller ones from now on.
    pub(crate) async fn narrow(&mut self, kafka: &Kafka, topic: &str, is_large: bool) {
        let limit = if is_large {
            kafka.topic_max_bytes(topic).await
        } else {
            None
        };
        self.batching = narrower(self.batching, limit);
    }

    /// Answers whether that was news; if not, sending again is of no use.
    pub(crate) fn refuse(&mut self, digests: Vec<u64>) -> bool {
        let before = self.refused.len();
        self.refused.extend(digests);
        self.refused.len() > before && self.refused.len() <= MAX_REFUSED
    }
}

/// `limit` is what the topic takes, if that is known.
fn narrower(now: Batching, limit: Option<usize>) -> Batching {
    match (now, limit) {
        (Batching::Wide, Some(limit)) => Batching::UpTo(limit),
        (Batching::UpTo(before), Some(limit)) if limit < before => Batching::UpTo(limit),
        _ => Batching::Single,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_makes_batches_smaller_down_to_one_record() {
        assert_eq!(narrower(Batching::Wide, Some(9)), Batching::UpTo(9));
        assert_eq!(narrower(Batching::UpTo(9), Some(8)), Batching::UpTo(8));
        for (now, limit) in [
            (Batching::Wide, None),
            (Batching::UpTo(9), Some(9)),
            (Batching::UpTo(9), None),
            (Batching::Single, Some(5)),
        ] {
            assert_eq!(narrower(now, limit), Batching::Single);
        }
    }

    #[test]
    fn records_that_are_known_already_are_no_news() {
        let mut producing = Producing::default();
        assert!(producing.refuse(vec![1, 2]));
        assert!(!producing.refuse(vec![2]));
        assert!(producing.refuse(vec![2, 3]));
    }
}
