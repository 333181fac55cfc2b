//! Which rows of a batch can be written.

use tidegate_sdk::prelude::*;

/// The rows to write, in order, and a verdict for each of the others.
pub struct Selection {
    pub rows: Vec<u32>,
    pub errants: Vec<Errant>,
}

/// All rows, or without `tombstones` if nothing can be done with them.
pub fn of(batch: &Batch, tombstones: &[u32], takes_tombstones: bool) -> Selection {
    let all = 0..u32::try_from(batch.len()).unwrap_or(u32::MAX);
    if takes_tombstones || tombstones.is_empty() {
        return Selection {
            rows: all.collect(),
            errants: Vec::new(),
        };
    }
    let reason = "a null value has nothing to write; delete.enabled=true makes it a deletion";
    Selection {
        rows: all
            .filter(|row| tombstones.binary_search(row).is_err())
            .collect(),
        errants: refused(tombstones.iter().copied(), reason),
    }
}

fn refused(rows: impl IntoIterator<Item = u32>, reason: &str) -> Vec<Errant> {
    let errant = |row| Errant {
        row,
        reason: reason.to_owned(),
    };
    rows.into_iter().map(errant).collect()
}
