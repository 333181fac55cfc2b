//! Which rows of a batch can be written.

use std::collections::BTreeSet;

use tidegate_sdk::prelude::*;

/// The rows to write, in order, and a verdict for each of the others.
pub struct Selection {
    pub rows: Vec<u32>,
    pub errants: Vec<Errant>,
}

/// All rows, or without `tombstones` if nothing can be done with them.
pub fn of(batch: &Batch, tombstones: Vec<u32>, takes_tombstones: bool) -> Selection {
    let all = 0..u32::try_from(batch.len()).unwrap_or(u32::MAX);
    if takes_tombstones || tombstones.is_empty() {
        return Selection {
            rows: all.collect(),
            errants: Vec::new(),
        };
    }
    let tombstones: BTreeSet<u32> = tombstones.into_iter().collect();
    let reason = "a null value has nothing to write; delete.enabled=true makes it a deletion";
    Selection {
        rows: all.filter(|row| !tombstones.contains(row)).collect(),
        errants: refused(tombstones, reason),
    }
}

/// A verdict for rows that have no key, where rows are told apart by it.
pub fn without_keys(rows: &[u32]) -> Vec<Errant> {
    let reason = "the record has no key, and pk.mode is record_key";
    refused(rows.iter().copied(), reason)
}

fn refused(rows: impl IntoIterator<Item = u32>, reason: &str) -> Vec<Errant> {
    let errant = |row| Errant {
        row,
        reason: reason.to_owned(),
    };
    rows.into_iter().map(errant).collect()
}
