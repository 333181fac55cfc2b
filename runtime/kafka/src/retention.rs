//! What the embedded cluster still holds unread. librdkafka's mock keeps 5 MiB a partition and
//! then silently drops the oldest records, so sources wait before they come near that.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Unread bytes at which a source waits. The bound is 5 MiB; what is in flight, being produced and
/// polled ahead comes on top.
const HOLD_BYTES: u64 = 1 << 20;

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
    groups: HashMap<String, Group>,
}

/// What a consumer group has read.
#[derive(Debug, Default)]
struct Group {
    members: usize,
    /// Topics by name: they count from the subscription on, before anything is assigned.
    topics: BTreeSet<String>,
    consumed: HashMap<Partition, u64>,
}

impl Group {
    /// Bytes it has read of a partition; none if it does not read it.
    fn consumed(&self, partition: &Partition) -> Option<u64> {
        if self.members == 0 {
            return None;
        }
        let subscribed = self.topics.contains(&partition.0).then_some(0);
        self.consumed.get(partition).copied().or(subscribed)
    }
}

impl Retention {
    pub(crate) fn produced(&self, topic: &str, partition: i32, bytes: u64) {
        let mut ledger = self.lock();
        *ledger
            .produced
            .entry((topic.to_owned(), partition))
            .or_default() += bytes;
    }

    /// A member joins a group that subscribes to these topics.
    pub(crate) fn join(&self, group: &str, topics: &[String]) {
        let mut ledger = self.lock();
        let group = ledger.groups.entry(group.to_owned()).or_default();
        group.members += 1;
        group.topics.extend(topics.iter().cloned());
    }

    /// A member leaves; with the last one the group does not count any more. What it has read
    /// stays known, since it goes on from there when it comes back.
    pub(crate) fn leave(&self, group: &str) {
        if let Some(found) = self.lock().groups.get_mut(group) {
            found.members = found.members.saturating_sub(1);
        }
    }

    /// A partition is assigned, which is how a group that subscribes by a pattern comes to count.
    pub(crate) fn reads(&self, group: &str, topic: &str, partition: i32) {
        let mut ledger = self.lock();
        if let Some(group) = ledger.groups.get_mut(group) {
            group
                .consumed
                .entry((topic.to_owned(), partition))
                .or_default();
        }
    }

    pub(crate) fn consumed(&self, group: &str, topic: &str, partition: i32, bytes: u64) {
        let mut ledger = self.lock();
        if let Some(group) = ledger.groups.get_mut(group) {
            *group
                .consumed
                .entry((topic.to_owned(), partition))
                .or_default() += bytes;
        }
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
                    .groups
                    .values()
                    .filter_map(|g| g.consumed(partition))
                    .min();
                produced.saturating_sub(slowest.unwrap_or(0)) >= HOLD_BYTES
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
            retention.join(group, &topics);
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
        retention.leave("a");
        retention.produced("t", 0, 1);
        assert_eq!(retention.full(&topics), Some("t".to_owned()), "a has gone");
        retention.consumed("b", "t", 0, HOLD_BYTES);
        retention.leave("b");
        retention.join("b", &topics);
        assert_eq!(retention.full(&topics), None, "b goes on where it was");
    }
}
