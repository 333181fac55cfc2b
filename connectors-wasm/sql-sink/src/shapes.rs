//! A closer look at the records of a batch, for when not all of them can be written alike: each has
//! the columns of its own structure, and is judged by that alone. What becomes of a record does not
//! depend on which others are in its batch.

use std::collections::HashMap;

use tidegate_sdk::prelude::*;

use crate::classes::Classes;
use crate::config::InsertMode;
use crate::dialect::Dialect;
use crate::mapping::{Planned, Records, Source};
use crate::structure::Structure;
use crate::tables::Target;

/// Rows that one write takes.
#[derive(Debug)]
pub struct Run {
    pub rows: Vec<u32>,
    pub columns: Vec<Planned>,
    /// Whether all of them delete.
    pub only_deletes: bool,
}

/// The records of a batch.
pub struct Shapes<'a> {
    pub keys: &'a Classes,
    /// None: values are of no importance.
    pub values: Option<&'a Classes>,
    /// Sorted.
    pub tombstones: &'a [u32],
}

/// What records of one structure come to.
struct Shape {
    columns: std::result::Result<Vec<Planned>, String>,
    is_tombstone: bool,
    /// Whether there are nulls whose columns may not be made yet.
    waits: bool,
}

impl Shapes<'_> {
    /// Looks at `rows` in their order and makes the tables and columns that they ask for; answers
    /// how to write them, and adds those that cannot be written to `errants`.
    pub fn runs(
        &self,
        rows: &[u32],
        target: &mut Target<'_>,
        errants: &mut Vec<Errant>,
    ) -> Result<Vec<Run>> {
        let mut numbers: HashMap<(u32, Option<u32>), usize> = HashMap::new();
        let mut shapes: Vec<Shape> = Vec::new();
        let mut of_rows = Vec::with_capacity(rows.len());
        // Rows are mostly like the row before.
        let mut last = None;
        for row in rows {
            let is_tombstone = self.tombstones.binary_search(row).is_ok();
            let value = self.values.filter(|_| !is_tombstone);
            let key = (self.keys.of_row(*row), value.map(|all| all.of_row(*row)));
            let known = last.and_then(|(known, number)| (known == key).then_some(number));
            let number = match known.or_else(|| numbers.get(&key).copied()) {
                Some(number) => number,
                None => {
                    shapes.push(self.shape(key, is_tombstone, target)?);
                    numbers.insert(key, shapes.len() - 1);
                    shapes.len() - 1
                }
            };
            last = Some((key, number));
            if let Some(shape) = shapes.get(number)
                && let Some(reason) = shape.refusal(target)
            {
                errants.push(Errant { row: *row, reason });
                continue;
            }
            of_rows.push((*row, number));
        }
        // Only now are all columns there that records of these shapes may fill.
        for shape in &mut shapes {
            if let Ok(columns) = &mut shape.columns {
                // None: there is no table to delete from.
                *columns = target.ready(columns).unwrap_or_default();
            }
        }
        let mut runs: Vec<Run> = Vec::new();
        // The shapes that the last run has taken already.
        let mut taken: Vec<bool> = vec![false; shapes.len()];
        for (row, number) in of_rows {
            let (Some(shape), Some(is_taken)) = (shapes.get(number), taken.get_mut(number)) else {
                continue;
            };
            let Some(columns) = shape.columns.as_ref().ok().filter(|all| !all.is_empty()) else {
                continue;
            };
            if let Some(run) = runs.last_mut()
                && (*is_taken || run.joins(target.dialect, shape, columns))
            {
                *is_taken = true;
                run.rows.push(row);
                continue;
            }
            taken.fill(false);
            if let Some(is_taken) = taken.get_mut(number) {
                *is_taken = true;
            }
            runs.push(Run {
                rows: vec![row],
                columns: columns.clone(),
                only_deletes: shape.is_tombstone,
            });
        }
        Ok(runs)
    }

    fn shape(
        &self,
        (key, value): (u32, Option<u32>),
        is_tombstone: bool,
        target: &mut Target<'_>,
    ) -> Result<Shape> {
        let of = |classes: &Classes, number: u32| {
            let structure = classes.structures.get(number as usize);
            structure.cloned().unwrap_or(Structure::Nothing)
        };
        let (key, value) = (of(self.keys, key), self.values.zip(value));
        let value = value.map(|(values, number)| of(values, number));
        let records = Records {
            key: &key,
            value: value.as_ref(),
            config: target.config,
            dialect: target.dialect,
        };
        let mut columns = records.columns();
        let only_deletes = is_tombstone || target.config.only_deletes();
        let makes_nothing = only_deletes && target.columns.is_none();
        if let Ok(wanted) = &columns
            && !makes_nothing
            && let Err(reason) = target.require(wanted)?
        {
            columns = Err(reason);
        }
        let waits = columns.as_ref().is_ok_and(|columns| {
            let mut columns = columns.iter();
            columns.any(|column| target.waits(column))
        });
        Ok(Shape {
            columns,
            is_tombstone,
            waits,
        })
    }
}

impl Shape {
    /// Why a record of this shape cannot be written to the table as it is by now.
    fn refusal(&self, target: &Target<'_>) -> Option<String> {
        let columns = match &self.columns {
            Ok(columns) if self.waits => columns,
            Ok(_) => return None,
            Err(reason) => return Some(reason.clone()),
        };
        let filled = target.ready(columns).unwrap_or_default();
        let mut columns = filled.iter();
        let is_enough = match target.config.insert_mode {
            InsertMode::Update => columns.any(|column| !column.identifies),
            _ => !filled.is_empty(),
        };
        (!is_enough).then(|| {
            let name = target.name;
            format!("the record has nothing but nulls, for which table {name} has no columns")
        })
    }
}

impl Run {
    /// Adds the columns of records, if one write can take them with the others: rows leave out what
    /// they do not have.
    fn joins(&mut self, dialect: Dialect, shape: &Shape, columns: &[Planned]) -> bool {
        let is_tombstone = shape.is_tombstone;
        let identity = |columns: &[Planned]| -> Vec<_> {
            let identity = columns.iter().filter(|column| column.identifies);
            identity
                .map(|c| (c.name.clone(), c.source.clone()))
                .collect()
        };
        if identity(&self.columns) != identity(columns) {
            return false;
        }
        let is_whole = |columns: &[Planned]| {
            let mut columns = columns.iter();
            columns.any(|column| column.source == Source::Value)
        };
        let both_have_values = !is_tombstone && !self.only_deletes;
        if both_have_values && is_whole(&self.columns) != is_whole(columns) {
            return false;
        }
        let mut more = Vec::new();
        for column in columns {
            let mut known = self.columns.iter();
            match known.find(|known| dialect.is_same(&known.name, &column.name)) {
                Some(known) if known.source == column.source => {}
                // Another field for the same column.
                Some(_) => return false,
                None => more.push(column.clone()),
            }
        }
        self.columns.extend(more);
        self.only_deletes &= is_tombstone;
        true
    }
}
