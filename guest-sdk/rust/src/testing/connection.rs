//! A connection to a database that lives in a test.

use std::collections::VecDeque;

use serde_json::Value;

use super::database::{State, Stored};
use super::{Database, TestBatch, TestRecord, write};
use crate::bindings::sql::{SqlError as WireError, Write};
use crate::bindings::types::Errant;
use crate::sql::{SqlError, SqlValue, Table};

/// Stands in for the host's connection.
#[derive(Debug)]
pub struct TestConnection(Database);

impl TestConnection {
    pub(crate) fn open(name: &str) -> Result<Self, WireError> {
        let missing = || WireError::Denied(format!("no database {name}, install one in the test"));
        Database::find(name).map(Self).ok_or_else(missing)
    }

    pub(crate) fn dialect(&self) -> String {
        self.0.with(|state| state.dialect.clone())
    }

    pub(crate) fn describe(&self, name: &str) -> Result<Option<Table>, WireError> {
        self.call(|state| Ok(state.tables.get(name).map(|stored| stored.table.clone())))
    }

    pub(crate) fn ensure_table(&self, name: &str, wanted: &Table) -> Result<Table, WireError> {
        self.call(|state| {
            let fresh = || Stored {
                table: wanted.clone(),
                rows: Vec::new(),
            };
            let stored = state.tables.entry(name.to_owned()).or_insert_with(fresh);
            for column in &wanted.columns {
                if !stored
                    .table
                    .columns
                    .iter()
                    .any(|known| known.name == column.name)
                {
                    stored.table.columns.push(column.clone());
                }
            }
            Ok(stored.table.clone())
        })
    }

    pub(crate) fn write(
        &self,
        batch: &TestBatch,
        selection: Option<&[u32]>,
        how: &Write,
    ) -> Result<Vec<Errant>, WireError> {
        self.call(|state| {
            state.writes += 1;
            let Some(stored) = state.tables.get_mut(&how.table) else {
                return Err(rejected(format!("no such table: {}", how.table)));
            };
            write::check(&stored.table, how)?;
            let rows = (0..).zip(&batch.records);
            let wanted = rows.filter(|(row, _)| selection.is_none_or(|rows| rows.contains(row)));
            let refused = wanted.filter_map(|(row, record)| {
                let reason = write::apply(stored, batch, row, record, how).err()?;
                Some(Errant { row, reason })
            });
            Ok(refused.collect())
        })
    }

    pub(crate) fn query(
        &self,
        statement: &str,
        _parameters: &[SqlValue],
    ) -> Result<TestCursor, WireError> {
        let missing = || {
            rejected(format!(
                "the test has no answer to {statement}, give it one"
            ))
        };
        self.call(|state| match state.answers.get(statement) {
            Some(rows) => Ok(TestCursor {
                rows: rows.clone().into(),
                first: 0,
            }),
            None => Err(missing()),
        })
    }

    fn call<R>(
        &self,
        work: impl FnOnce(&mut State) -> Result<R, WireError>,
    ) -> Result<R, WireError> {
        self.0.with(|state| match state.failure.take() {
            None => work(state),
            Some(SqlError::Denied(reason)) => Err(WireError::Denied(reason)),
            Some(SqlError::Unavailable(reason)) => Err(WireError::Unavailable(reason)),
            Some(SqlError::Rejected { code, message }) => Err(WireError::Rejected((code, message))),
        })
    }
}

/// Stands in for the host's cursor.
#[derive(Debug)]
pub struct TestCursor {
    rows: VecDeque<Value>,
    first: i64,
}

impl TestCursor {
    pub(crate) fn next(&mut self, max: u32) -> Result<Option<TestBatch>, WireError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let rows: Vec<_> = self.rows.drain(..self.rows.len().min(max)).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let first = self.first;
        self.first += i64::try_from(rows.len()).unwrap_or(0);
        let records = rows.into_iter().map(TestRecord::json).collect();
        Ok(Some(TestBatch::new("", first, records)))
    }
}

pub(super) fn rejected(message: String) -> WireError {
    WireError::Rejected(("SQLITE_ERROR".to_owned(), message))
}
