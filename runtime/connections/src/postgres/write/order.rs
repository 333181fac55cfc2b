//! In which order rows are written, and which of several with one identity counts.
//!
//! Sorting and reducing by identity are for speed, and right as long as nothing but the identity
//! counts. A second unique index, a check across rows or a trigger may see states then that never
//! were, so that what is refused is written again as the records came (see `apply`).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    super::types::Equality, columns::Columns, plan::Plan, request::Mode,
    statement::server_picks_last,
};

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Insert,
    Upsert,
    Update,
    Delete,
}

/// In which order a statement takes its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Any; by identity is best.
    Free,
    /// That of the records.
    Records,
}

/// Rows with which the same is done, one run after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) operation: Operation,
    /// That of all rows.
    pub(super) shape: u32,
    /// Places in the columns.
    pub(super) rows: Vec<u32>,
}

/// The rows of `columns` as runs, as few as can be.
pub(super) fn runs(plan: &Plan, columns: &Columns) -> Vec<Run> {
    let count = u32::try_from(columns.len()).unwrap_or(u32::MAX);
    if plan.mode == Mode::Insert {
        return match plan.delete_tombstones {
            true => in_order(plan, columns, 0..count),
            false => by_shape(plan, columns, 0..count),
        };
    }
    let kept = last_of_each(plan, columns, count);
    let first = kept.first().map_or(0, |kept| kept.layer);
    let is_one_layer = kept.iter().all(|kept| kept.layer == first);
    let is_mixed = columns.have_gaps() || !is_one_layer;
    if (is_mixed && plan.equality() > Equality::Exact) || picks_last(plan) {
        // Two of them may be one row to the server, so that the order between them counts.
        let mut rows: Vec<_> = kept.into_iter().map(|kept| kept.row).collect();
        rows.sort_unstable();
        return in_order(plan, columns, rows.into_iter());
    }
    if !is_mixed {
        return in_order(plan, columns, kept.into_iter().map(|kept| kept.row));
    }
    let mut layers: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for kept in kept {
        layers.entry(kept.layer).or_default().push(kept.row);
    }
    let layers = layers.into_values();
    layers
        .flat_map(|rows| by_shape(plan, columns, rows.into_iter()))
        .collect()
}

/// All rows as runs, in the order of the records, each with rows of different identities.
pub(super) fn records_order(plan: &Plan, columns: &Columns) -> Vec<Run> {
    let count = u32::try_from(columns.len()).unwrap_or(u32::MAX);
    some_in_order(plan, columns, 0..count)
}

/// The same of some rows.
pub(super) fn some_in_order(
    plan: &Plan,
    columns: &Columns,
    rows: impl Iterator<Item = u32>,
) -> Vec<Run> {
    let runs = in_order(plan, columns, rows);
    if plan.mode == Mode::Insert {
        return runs;
    }
    let identity = identity(plan);
    let mut out: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        let mut seen: HashSet<Vec<&[u8]>> = HashSet::with_capacity(run.rows.len());
        let mut rows = Vec::with_capacity(run.rows.len());
        for row in run.rows {
            let key = || identity.iter().map(|c| columns.field(*c, row)).collect();
            if !seen.insert(key()) {
                out.push(Run {
                    rows: std::mem::take(&mut rows),
                    ..run
                });
                seen.clear();
                seen.insert(key());
            }
            rows.push(row);
        }
        out.push(Run { rows, ..run });
    }
    out
}

/// Those of `rows` behind which no other row of their identity comes: what happens to them later
/// than in their turn makes no difference.
pub(super) fn without_followers(plan: &Plan, columns: &Columns, rows: &[u32]) -> Vec<u32> {
    if plan.mode == Mode::Insert {
        return rows.to_vec();
    }
    let identity = identity(plan);
    let mut last: HashMap<Vec<&[u8]>, u32> = HashMap::new();
    let key =
        |row: u32| -> Vec<&[u8]> { identity.iter().map(|c| columns.field(*c, row)).collect() };
    for row in 0..u32::try_from(columns.len()).unwrap_or(u32::MAX) {
        last.insert(key(row), row);
    }
    let rows = rows.iter().copied();
    rows.filter(|row| last.get(&key(*row)) == Some(row))
        .collect()
}

/// Whether `runs` are all rows of `columns` one after the other.
pub(super) fn is_records_order(runs: &[Run], columns: &Columns) -> bool {
    let rows = runs.iter().flat_map(|run| &run.rows);
    let count = runs.iter().map(|run| run.rows.len()).sum::<usize>();
    count == columns.len() && rows.is_sorted()
}

fn picks_last(plan: &Plan) -> bool {
    server_picks_last(plan, operation(plan))
}

fn operation(plan: &Plan) -> Operation {
    match plan.mode {
        Mode::Insert => Operation::Insert,
        Mode::Upsert => Operation::Upsert,
        Mode::Update => Operation::Update,
        Mode::Delete => Operation::Delete,
    }
}

/// What is done with a row, and its shape as far as that counts.
fn of_row(plan: &Plan, columns: &Columns, row: u32) -> (Operation, u32) {
    match operation(plan) {
        Operation::Delete => (Operation::Delete, 0),
        _ if columns.is_tombstone(row) => (Operation::Delete, 0),
        operation => (operation, columns.shape(row)),
    }
}

fn in_order(plan: &Plan, columns: &Columns, rows: impl Iterator<Item = u32>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let (operation, shape) = of_row(plan, columns, row);
        match runs.last_mut() {
            Some(run) if (run.operation, run.shape) == (operation, shape) => run.rows.push(row),
            _ => runs.push(Run {
                operation,
                shape,
                rows: vec![row],
            }),
        }
    }
    runs
}

/// One run for each shape, in the order in which they appear.
fn by_shape(plan: &Plan, columns: &Columns, rows: impl Iterator<Item = u32>) -> Vec<Run> {
    if !columns.have_gaps() {
        return in_order(plan, columns, rows);
    }
    let mut places: BTreeMap<(Operation, u32), usize> = BTreeMap::new();
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let (operation, shape) = of_row(plan, columns, row);
        let place = *places.entry((operation, shape)).or_insert(runs.len());
        match runs.get_mut(place) {
            Some(run) => run.rows.push(row),
            None => runs.push(Run {
                operation,
                shape,
                rows: vec![row],
            }),
        }
    }
    runs
}

/// A row that others of its identity do not make superfluous.
struct Kept {
    row: u32,
    /// Rows of one identity are in layers in the order of the records; what deletes is in the first.
    layer: u32,
}

fn identity(plan: &Plan) -> Vec<usize> {
    plan.identity().map(|(_, column)| column.field).collect()
}

/// What counts of each identity: the last value of every column, after the last deletion. Sorted by
/// identity: sessions that write the same rows lock them in the same order.
fn last_of_each(plan: &Plan, columns: &Columns, count: u32) -> Vec<Kept> {
    let identity = identity(plan);
    let mut keys = Vec::new();
    let mut keyed: Vec<(usize, usize, u32)> = Vec::with_capacity(count as usize);
    for row in 0..count {
        let start = keys.len();
        for column in &identity {
            // With its length in front, so that no two identities look alike.
            keys.extend_from_slice(columns.field(*column, row));
        }
        keyed.push((start, keys.len(), row));
    }
    let key = |(start, end, _): &(usize, usize, u32)| keys.get(*start..*end).unwrap_or_default();
    keyed.sort_unstable_by(|one, other| key(one).cmp(key(other)).then(other.2.cmp(&one.2)));
    let mut kept = Vec::with_capacity(keyed.len());
    for rows in keyed.chunk_by(|one, other| key(one) == key(other)) {
        let rows = rows.iter().map(|(_, _, row)| *row);
        keep(plan, columns, rows, &mut kept);
    }
    kept
}

/// Of the `rows` of one identity, the last first.
fn keep(plan: &Plan, columns: &Columns, rows: impl Iterator<Item = u32>, kept: &mut Vec<Kept>) {
    let start = kept.len();
    // The columns for which no row so far has a value; none: there was no row.
    let mut open: Option<Vec<usize>> = None;
    let mut deletes = None;
    for row in rows {
        if of_row(plan, columns, row).0 == Operation::Delete {
            deletes = Some(row);
            break;
        }
        let lacking = columns.lacking(columns.shape(row));
        let is_new = match &mut open {
            None => {
                open = Some(lacking.to_vec());
                true
            }
            Some(open) => {
                let before = open.len();
                open.retain(|column| lacking.contains(column));
                open.len() < before
            }
        };
        if is_new {
            kept.push(Kept { row, layer: 0 });
        } else if !plan.delete_tombstones && open.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
    }
    // They were found from the last to the first.
    let rows = kept.iter_mut().skip(start).rev();
    for (layer, kept) in (1..).zip(rows) {
        kept.layer = layer;
    }
    if let Some(row) = deletes {
        kept.push(Kept { row, layer: 0 });
    }
}
