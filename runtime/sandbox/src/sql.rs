//! What the sandbox needs of databases: `runtime/connections` implements it, so that no crate
//! below the sandbox in the list has to be known here.

use std::pin::Pin;
use std::sync::Arc;

use crate::batch::SinkBatch;

/// Why a database call failed; `wit/sql.wit` tells the cases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// Not allowed here.
    #[error("denied: {0}")]
    Denied(String),
    /// Try again.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The server refused.
    #[error("rejected with {code}: {message}")]
    Rejected {
        /// SQLSTATE, or the dialect's own.
        code: String,
        /// The server's words.
        message: String,
    },
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The dialect's own type name.
    pub kind: String,
    /// Whether it takes NULL.
    pub nullable: bool,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// In order.
    pub columns: Vec<Column>,
    /// In order; may be empty.
    pub primary_key: Vec<String>,
}

/// Where a written column takes its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// A field of the value; dots descend.
    ValueField(String),
    /// The whole key.
    Key,
    /// The whole value.
    Value,
    /// The topic.
    Topic,
    /// The Kafka partition.
    Partition,
    /// The Kafka offset.
    Offset,
    /// The record's timestamp.
    Timestamp,
}

/// How rows become rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: String,
    /// `insert`.
    pub mode: String,
    /// Column and source.
    pub columns: Vec<(String, ValueSource)>,
}

/// A row that the database refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errant {
    /// Its row in the batch.
    pub row: u32,
    /// Code and words of the database.
    pub reason: String,
}

/// The answer of a database call.
pub type SqlFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, SqlError>> + Send + 'a>>;

/// The database side of one task: which connections it has, and its transaction.
pub trait SqlSession: Send + Sync {
    /// The connection that the configuration key `name` declares.
    fn connect(&self, name: String) -> SqlFuture<'_, Arc<dyn SqlConnection>>;
    /// Makes durable what the current put wrote; nothing if it wrote nothing.
    fn commit(&self) -> SqlFuture<'_, ()>;
    /// Takes back what the current put wrote.
    fn rollback(&self) -> SqlFuture<'_, ()>;
}

/// One connection of one task. Writes join the transaction of the current put.
pub trait SqlConnection: Send + Sync {
    /// sqlite, ...
    fn dialect(&self) -> &'static str;
    /// The table as it is; none: there is no such table.
    fn describe(&self, table: String) -> SqlFuture<'_, Option<Table>>;
    /// Creates it or adds missing columns.
    fn ensure_table(&self, table: String, wanted: Table) -> SqlFuture<'_, Table>;
    /// Writes the selected rows (none: all) and answers those refused.
    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>>;
}

/// The session of a task without any connection.
#[derive(Debug)]
pub struct NoSql;

impl SqlSession for NoSql {
    fn connect(&self, name: String) -> SqlFuture<'_, Arc<dyn SqlConnection>> {
        Box::pin(async move {
            Err(SqlError::Denied(format!(
                "the plugin has no connection {name:?}: it has to name the key in its wants"
            )))
        })
    }

    fn commit(&self) -> SqlFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
