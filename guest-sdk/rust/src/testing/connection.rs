//! A connection to a database that lives in a test.

use serde_json::Value;

use super::database::{State, Stored};
use super::{Database, TableRow, TestBatch, TestRecord};
use crate::bindings::sql::{SqlError as WireError, Write};
use crate::bindings::types::Errant;
use crate::sql::{SqlError, Table, ValueSource};

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
            let Some(stored) = state.tables.get_mut(&how.table) else {
                return Err(rejected(format!("no such table: {}", how.table)));
            };
            for (column, _) in &how.columns {
                if !stored
                    .table
                    .columns
                    .iter()
                    .any(|known| known.name == *column)
                {
                    return Err(rejected(format!(
                        "table {} has no column {column}",
                        how.table
                    )));
                }
            }
            for (row, record) in (0..).zip(&batch.records) {
                if selection.is_none_or(|rows| rows.contains(&row)) {
                    let cell = |(column, source): &(String, ValueSource)| {
                        (column.clone(), value(batch, row, record, source))
                    };
                    stored
                        .rows
                        .push(how.columns.iter().map(cell).collect::<TableRow>());
                }
            }
            Ok(Vec::new())
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

fn value(batch: &TestBatch, row: u32, record: &TestRecord, source: &ValueSource) -> Value {
    match source {
        ValueSource::ValueField(path) => {
            let whole = record.value.to_json();
            path.split('.')
                .try_fold(&whole, |value, name| value.get(name))
                .cloned()
                .unwrap_or_default()
        }
        ValueSource::Key => record.key.to_json(),
        ValueSource::Value => record.value.to_json(),
        ValueSource::Topic => Value::from(batch.topic()),
        ValueSource::Partition => Value::from(record.partition.unwrap_or(0)),
        ValueSource::Offset => Value::from(batch.first_offset() + i64::from(row)),
        ValueSource::Timestamp => record.timestamp.into(),
    }
}

fn rejected(message: String) -> WireError {
    WireError::Rejected(("1".to_owned(), message))
}
