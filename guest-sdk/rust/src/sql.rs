//! Databases, through connections that the host holds. A connector names tables and columns;
//! the host writes rows and decides about transactions. In a `put`, what is written is committed
//! together with the offsets of the records.

use std::fmt;

use crate::batch::Batch;
use crate::bindings::sql as wire;
use crate::sink::Errant;

pub use wire::{Column, Table, Value as SqlValue, ValueSource};

#[cfg(target_family = "wasm")]
type Link = wire::Connection;
#[cfg(not(target_family = "wasm"))]
type Link = crate::testing::TestConnection;
#[cfg(target_family = "wasm")]
type Rest = wire::Cursor;
#[cfg(not(target_family = "wasm"))]
type Rest = crate::testing::TestCursor;

/// A database by name.
#[derive(Debug)]
pub struct Connection(Link);

/// Why a database call did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlError {
    /// No such connection, not granted, or not allowed here.
    Denied(String),
    /// The link broke or the server is busy; a task that passes it on is retried.
    Unavailable(String),
    /// The server refused.
    Rejected {
        /// SQLSTATE, or the dialect's own code.
        code: String,
        /// The server's message.
        message: String,
    },
}

/// How rows become rows of a table.
///
/// ```
/// use tidegate_sdk::sql::{ValueSource, Write};
///
/// let write = Write {
///     table: "orders".into(),
///     mode: "upsert".into(),
///     columns: vec![
///         ("id".into(), ValueSource::Key),
///         ("price".into(), ValueSource::ValueField("price".into())),
///     ],
///     identity: vec!["id".into()],
///     delete_tombstones: true,
/// };
/// ```
#[derive(Clone, Debug)]
pub struct Write {
    /// The table.
    pub table: String,
    /// `insert`, `upsert`, `update` or `delete`; a dialect denies what it does not know. All but
    /// `insert` need `identity`, and of several rows with equal identity the last counts.
    pub mode: String,
    /// The columns to write and where each takes its value from.
    pub columns: Vec<(String, ValueSource)>,
    /// Those of the columns that identify a row of the table. A record in which one of them is
    /// null is errant.
    pub identity: Vec<String>,
    /// Whether records whose value is null delete the row of their identity, in whatever mode.
    pub delete_tombstones: bool,
}

/// What a query has not answered yet. Dropping it ends the query.
#[derive(Debug)]
pub struct Cursor(Rest);

/// The rows of a query, batch by batch. The rows of a batch are gone with the next one: use each
/// before asking for another.
#[derive(Debug)]
pub struct Batches {
    cursor: Cursor,
    max: u32,
    over: bool,
}

impl Connection {
    /// The connection that configuration key `name` declares, or the named connection of that
    /// name.
    pub fn open(name: &str) -> Result<Self, SqlError> {
        Ok(Self(Link::open(name)?))
    }

    /// `sqlite`, ...
    pub fn dialect(&self) -> String {
        self.0.dialect()
    }

    /// The table as it is now, if there is one.
    pub fn describe(&self, table: &str) -> Result<Option<Table>, SqlError> {
        Ok(self.0.describe(table)?)
    }

    /// Creates the table or adds the columns it lacks, and answers what is there then. In a
    /// `put`: before its first write.
    pub fn ensure_table(&self, table: &str, wanted: &Table) -> Result<Table, SqlError> {
        Ok(self.0.ensure_table(table, wanted)?)
    }

    /// Reads with a statement that cannot write, from what is committed. Values are structs with a
    /// schema, one field a column, and keys are null.
    ///
    /// ```no_run
    /// use tidegate_sdk::prelude::*;
    /// use tidegate_sdk::sql::{Connection, SqlValue};
    ///
    /// fn ids(connection: &Connection) -> Result<Vec<i64>> {
    ///     let since = SqlValue::Int64(100);
    ///     let cursor = connection.query("SELECT id FROM orders WHERE id > ?1", &[since])?;
    ///     let mut ids = Vec::new();
    ///     for batch in cursor.batches(1000) {
    ///         for row in &batch?.values_json()? {
    ///             let order: std::collections::BTreeMap<String, i64> = row.value_as()?;
    ///             ids.extend(order.get("id"));
    ///         }
    ///     }
    ///     Ok(ids)
    /// }
    /// ```
    pub fn query(&self, statement: &str, parameters: &[SqlValue]) -> Result<Cursor, SqlError> {
        Ok(Cursor(self.0.query(statement, parameters)?))
    }

    /// Writes all rows of a batch and answers those that the database refused.
    pub fn write(&self, batch: &Batch, how: &Write) -> Result<Vec<Errant>, SqlError> {
        Ok(self.0.write(&batch.0, None, &how.to_wire())?)
    }

    /// Writes these rows of a batch and answers those that the database refused.
    pub fn write_rows(
        &self,
        batch: &Batch,
        rows: &[u32],
        how: &Write,
    ) -> Result<Vec<Errant>, SqlError> {
        Ok(self.0.write(&batch.0, Some(rows), &how.to_wire())?)
    }
}

impl Cursor {
    /// At most `max` further rows, none if there are no more. The batch before is gone.
    pub fn next_batch(&mut self, max: u32) -> Result<Option<Batch>, SqlError> {
        Ok(self.0.next(max)?.map(Batch))
    }

    /// All further rows in batches of at most `max`, up to the end or the first error.
    pub fn batches(self, max: u32) -> Batches {
        Batches {
            cursor: self,
            max,
            over: false,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.cursor.next_batch(self.max).transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Write {
    fn to_wire(&self) -> wire::Write {
        wire::Write {
            table: self.table.clone(),
            mode: self.mode.clone(),
            columns: self.columns.clone(),
            identity: self.identity.clone(),
            delete_tombstones: self.delete_tombstones,
        }
    }
}

impl From<wire::SqlError> for SqlError {
    fn from(error: wire::SqlError) -> Self {
        match error {
            wire::SqlError::Denied(reason) => Self::Denied(reason),
            wire::SqlError::Unavailable(reason) => Self::Unavailable(reason),
            wire::SqlError::Rejected((code, message)) => Self::Rejected { code, message },
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(reason) => write!(f, "not allowed: {reason}"),
            Self::Unavailable(reason) => write!(f, "database unavailable: {reason}"),
            Self::Rejected { code, message } => write!(f, "database refused ({code}): {message}"),
        }
    }
}

impl std::error::Error for SqlError {}
