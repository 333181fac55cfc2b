//! In which order rows are written, and which of several with one identity counts.

use super::{
    super::types::Equality, columns::Columns, plan::Plan, request::Mode,
    statement::server_picks_last,
};

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Upsert,
    Update,
    Delete,
}

/// Rows with which the same is done, one run after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) operation: Operation,
    /// Places in the columns.
    pub(super) rows: Vec<u32>,
}

/// The rows of `columns` as runs.
pub(super) fn runs(plan: &Plan, columns: &Columns) -> Vec<Run> {
    let all = 0..u32::try_from(columns.len()).unwrap_or(u32::MAX);
    let (operation, sorts) = match plan.mode {
        Mode::Insert => (Operation::Insert, false),
        Mode::Upsert => (Operation::Upsert, true),
        Mode::Update => (Operation::Update, true),
        Mode::Delete => (Operation::Delete, true),
    };
    let of_row = |row: u32| match columns.is_tombstone(row) {
        true => Operation::Delete,
        false => operation,
    };
    if !sorts {
        return in_order(all, of_row);
    }
    let mut rows = last_of_each(plan, columns, all);
    let deletes = rows.iter().filter(|row| of_row(**row) == Operation::Delete);
    let deletes = deletes.count();
    let both = deletes > 0 && deletes < rows.len();
    if (both && plan.equality() > Equality::Exact) || server_picks_last(plan, operation) {
        // Two of them may be one row to the server, so that the order between them counts.
        rows.sort_unstable();
        return in_order(rows.into_iter(), of_row);
    }
    let (deleted, written): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| of_row(*row) == Operation::Delete);
    let run = |operation, rows| Run { operation, rows };
    let mut runs = vec![run(Operation::Delete, deleted), run(operation, written)];
    runs.retain(|run| !run.rows.is_empty());
    runs
}

fn in_order(rows: impl Iterator<Item = u32>, of_row: impl Fn(u32) -> Operation) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let operation = of_row(row);
        match runs.last_mut() {
            Some(run) if run.operation == operation => run.rows.push(row),
            _ => runs.push(Run {
                operation,
                rows: vec![row],
            }),
        }
    }
    runs
}

/// The last row of each identity, sorted by it: sessions that write the same rows lock them in
/// the same order.
fn last_of_each(plan: &Plan, columns: &Columns, rows: std::ops::Range<u32>) -> Vec<u32> {
    let identity: Vec<usize> = plan.identity().map(|(index, _)| index).collect();
    let mut keys = Vec::new();
    let mut keyed: Vec<(usize, usize, u32)> = Vec::with_capacity(rows.len());
    for row in rows {
        let start = keys.len();
        for column in &identity {
            // With its length in front, so that no two identities look alike.
            keys.extend_from_slice(columns.field(*column, row));
        }
        keyed.push((start, keys.len(), row));
    }
    let key = |start: usize, end: usize| keys.get(start..end).unwrap_or_default();
    keyed.sort_unstable_by(|one, other| {
        let by_key = key(one.0, one.1).cmp(key(other.0, other.1));
        by_key.then(other.2.cmp(&one.2))
    });
    keyed.dedup_by(|next, kept| key(next.0, next.1) == key(kept.0, kept.1));
    keyed.into_iter().map(|(_, _, row)| row).collect()
}
