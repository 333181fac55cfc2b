//! Databases, through connections that the host holds. A connector names tables and columns;
//! the host writes rows and decides about transactions.

use std::fmt;

use crate::batch::Batch;
use crate::bindings::sql as wire;
use crate::sink::Errant;

pub use wire::{Column, Table, ValueSource};

#[cfg(target_family = "wasm")]
type Link = wire::Connection;
#[cfg(not(target_family = "wasm"))]
type Link = crate::testing::TestConnection;

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
#[derive(Clone, Debug)]
pub struct Write {
    /// The table.
    pub table: String,
    /// `insert`, or what else the dialect knows.
    pub mode: String,
    /// The columns to write and where each takes its value from.
    pub columns: Vec<(String, ValueSource)>,
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

impl Write {
    fn to_wire(&self) -> wire::Write {
        wire::Write {
            table: self.table.clone(),
            mode: self.mode.clone(),
            columns: self.columns.clone(),
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
