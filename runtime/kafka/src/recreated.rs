//! Topics that were deleted and created again under a running consumer. An offset belongs to a topic's
//! id and not to its name (KIP-516): read on from the old one, the new topic would lose its first records.
//!
//! librdkafka fetches by id, follows the name to the new id, and goes on at the old offset. All that it
//! tells of this is a line of its log, written before it fetches anything of the new topic: that
//! line is the barrier here. `a_topic_created_again_is_read_from_its_beginning` (tests/topic_identity.rs)
//! fails should another version of librdkafka word it differently.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// librdkafka's kind of the line; it needs `debug=metadata`.
pub(crate) const FACILITY: &str = "METADATA";

/// The setting that makes librdkafka write the line.
pub(crate) const DEBUG: &str = "metadata";

/// What librdkafka says as the id of a topic that it does not know yet.
pub(crate) const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Topics of one consumer that are not the ones it began with.
#[derive(Debug, Default)]
pub(crate) struct Recreated {
    /// Looked at for every record, so without a lock.
    any: AtomicBool,
    topics: Mutex<BTreeSet<String>>,
}

impl Recreated {
    /// Takes a line of librdkafka's log.
    pub(crate) fn line(&self, message: &str) {
        let Some(topic) = changed_topic(message) else {
            return;
        };
        self.lock().insert(topic.to_owned());
        self.any.store(true, Ordering::Release);
    }

    /// Whether records of this topic would be read from an offset that is not of it.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().contains(topic)
    }

    /// All of them.
    pub(crate) fn topics(&self) -> Vec<String> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The topic of a line such as `[thrd:main]: Topic orders changed id from X to Y`.
fn changed_topic(message: &str) -> Option<&str> {
    let (before, ids) = message.split_once(" changed id from ")?;
    let (old, _new) = ids.split_once(" to ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    (old != NO_ID).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_id_is_understood_and_a_first_id_is_none() {
        let line = "[thrd:main]: Topic a.b changed id from 1aYx0000000000000000AA to Zr11111111111111111111";
        assert_eq!(changed_topic(line), Some("a.b"));
        let first = "[thrd:main]: Topic a.b changed id from AAAAAAAAAAAAAAAAAAAAAA to Zr11111111111111111111";
        assert_eq!(changed_topic(first), None);
        assert_eq!(
            changed_topic("[thrd:main]: Topic a.b partition 0 Leader 1"),
            None
        );
    }

    #[test]
    fn a_topic_whose_id_changed_is_known() {
        let recreated = Recreated::default();
        assert!(!recreated.contains("t"));
        recreated.line("Topic t changed id from A to B");
        assert!(recreated.contains("t") && !recreated.contains("u"));
        assert_eq!(recreated.topics(), ["t"]);
    }
}
