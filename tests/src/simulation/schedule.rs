//! The simulated clock, and what is to happen when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::happening::Happening;

struct Entry {
    at_ms: u64,
    /// What was scheduled first happens first, so that nothing depends on the heap.
    number: u64,
    what: Happening,
}

/// What is to happen, in order.
#[derive(Default)]
pub(super) struct Schedule {
    entries: BinaryHeap<Entry>,
    scheduled: u64,
}

impl Schedule {
    pub(super) fn at(&mut self, at_ms: u64, what: Happening) {
        self.scheduled += 1;
        self.entries.push(Entry {
            at_ms,
            number: self.scheduled,
            what,
        });
    }

    /// What is next, and when.
    pub(super) fn next(&mut self) -> Option<(u64, Happening)> {
        let entry = self.entries.pop()?;
        Some((entry.at_ms, entry.what))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest of a heap is the first out.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.number).cmp(&(self.at_ms, self.number))
    }
}
