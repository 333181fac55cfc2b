//! What the embedded cluster still holds unread. librdkafka's mock keeps 5 MiB a partition and
//! then silently drops the oldest records, so sources wait before they come near that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Unread bytes at which a source waits: the bound is 5 MiB, and up to one poll more comes.
const HOLD_BYTES: u64 = 2 << 20;

/// What one record takes beside key and value, roughly.
const RECORD_OVERHEAD_BYTES: u64 = 16;

pub(crate) fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
    length(key) + length(value) + RECORD_OVERHEAD_BYTES
}

type Partition = (String, i32);

#[derive(Debug, Default)]
pub(crate) struct Retention(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    produced: HashMap<Partition, u64>,
    /// By consumer group.
    consumed: HashMap<String, HashMap<Partition, u64>>,
}

impl Retention {
    pub(crate) fn produced(&self, topic: &str, partition: i32, bytes: u64) {
        let mut ledger = self.lock();
        match ledger.produced.get_mut(&(topic.to_owned(), partition)) {
            Some(total) => *total += bytes,
            None => {
                ledger.produced.insert((topic.to_owned(), partition), bytes);
            }
        }
    }

    /// A group is there, even before it has read anything.
    pub(crate) fn reads(&self, group: &str, topic: &str, partition: i32) {
        let mut ledger = self.lock();
        let group = ledger.consumed.entry(group.to_owned()).or_default();
        group.entry((topic.to_owned(), partition)).or_default();
    }

    pub(crate) fn consumed(&self, group: &str, topic: &str, partition: i32, bytes: u64) {
        let mut ledger = self.lock();
        if let Some(total) = ledger
            .consumed
            .get_mut(group)
            .and_then(|g| g.get_mut(&(topic.to_owned(), partition)))
        {
            *total += bytes;
        }
    }

    pub(crate) fn forget(&self, group: &str) {
        self.lock().consumed.remove(group);
    }

    /// The topic of `topics` whose unread records come near the bound, if one does.
    pub(crate) fn full(&self, topics: &[String]) -> Option<String> {
        let ledger = self.lock();
        ledger
            .produced
            .iter()
            .filter(|((topic, _), _)| topics.contains(topic))
            .find(|(partition, produced)| {
                let slowest = ledger
                    .consumed
                    .values()
                    .filter_map(|g| g.get(*partition))
                    .min();
                produced.saturating_sub(slowest.copied().unwrap_or(0)) >= HOLD_BYTES
            })
            .map(|((topic, _), _)| topic.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_reader_counts() {
        let retention = Retention::default();
        let topics = ["t".to_owned()];
        retention.produced("t", 0, HOLD_BYTES);
        assert_eq!(
            retention.full(&topics),
            Some("t".to_owned()),
            "nobody reads it"
        );
        for group in ["a", "b"] {
            retention.reads(group, "t", 0);
        }
        retention.consumed("a", "t", 0, HOLD_BYTES);
        assert_eq!(
            retention.full(&topics),
            Some("t".to_owned()),
            "b has not read it"
        );
        retention.consumed("b", "t", 0, 1);
        assert_eq!(retention.full(&topics), None);
        assert_eq!(retention.full(&["u".to_owned()]), None);
    }
}
