//! What the sandbox needs of databases: `runtime/connections` implements it, so that no crate
//! below the sandbox in the list has to be known here.

use std::pin::Pin;
use std::sync::Arc;

use crate::batch::{SinkBatch, TopicPartition};

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

/// A value of a parameter or of a constant column.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Int64(i64),
    /// A floating point number.
    Float64(f64),
    /// Digits, perhaps with a sign and a point.
    Decimal(String),
    /// Text, parsed in the type of the parameter or column.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Microseconds since the epoch.
    TimestampMicros(i64),
}

/// Where a written column takes its value from.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueSource {
    /// A field of the value; dots descend.
    ValueField(String),
    /// A field of the key; dots descend.
    KeyField(String),
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
    /// The last header of this name.
    Header(String),
    /// The same in every row.
    Constant(SqlValue),
}

/// How rows become rows of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// The table.
    pub table: String,
    /// `insert`, `upsert`, `update` or `delete`.
    pub mode: String,
    /// Column and source.
    pub columns: Vec<(String, ValueSource)>,
    /// Those of the columns that identify a row.
    pub identity: Vec<String>,
    /// Rows with a null value delete the row of their identity.
    pub delete_tombstones: bool,
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

/// In whose name offsets are kept in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOwner {
    /// The id of the Kafka cluster.
    pub cluster_id: String,
    /// The consumer group.
    pub group: String,
    /// Whether the cluster is embedded, and so cannot outlive its process: positions of another
    /// embedded cluster are nobody's.
    pub embedded: bool,
}

/// A partition whose position is kept in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPartition {
    /// The partition.
    pub at: TopicPartition,
    /// The id that Kafka gave the topic when it was created; another one is another topic.
    pub topic_id: String,
    /// The group's offset, if somebody else than this ledger's owner set it: it wins.
    pub reset_to: Option<i64>,
}

/// What opening a partition in the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerStart {
    /// Greater than that of every owner before; commits with a smaller one are refused (D4).
    pub fence: i64,
    /// Where to go on; none: nothing was stored yet.
    pub next_offset: Option<i64>,
}

/// What a put has of an opened partition: the records from one offset up to another. Between what is
/// stored and the first there may be a gap, since compaction and transactions leave some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSpan {
    /// The partition.
    pub at: TopicPartition,
    /// The offset of the first record. What is stored must not be past it, or records come twice.
    pub first_offset: i64,
    /// The offset after the last record.
    pub next_offset: i64,
}

/// A row of the ledger, as REST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerPosition {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset; none: nothing was stored yet.
    pub next_offset: Option<i64>,
    /// The fence.
    pub fence: i64,
}

/// Why the ledger did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was stored; the same may be tried again, with everything that belonged to it.
    #[error("{0}")]
    RolledBack(SqlError),
    /// The commit was sent and its answer lost: only a new open tells what is stored.
    #[error("whether the commit took place is unknown: {0}")]
    Unknown(String),
    /// Somebody opened the partitions later; this owner's part is over (D4).
    #[error("another owner has taken over: {0}")]
    Fenced(String),
    /// The put has records before what is stored, though nobody else took over: the consumer went back.
    /// They may be in the database already, or be others under the same offsets.
    #[error("{0}")]
    Overlap(String),
    /// The stored position is of another Kafka cluster, or of a topic that was deleted and created
    /// anew. Only a person can say what is meant.
    #[error("{0}")]
    Foreign(String),
}

/// The answer of a ledger call.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// The database side of one task: which connections it has, and its transaction.
///
/// At most one of a sink's connections is its ledger: what a put writes there and the offsets of
/// its records are one transaction (D8). Only the ledger can be written to.
pub trait SqlSession: Send + Sync {
    /// The connection that the configuration key `name` declares.
    fn connect(&self, name: String) -> SqlFuture<'_, Arc<dyn SqlConnection>>;
    /// Whether offsets are kept in a database.
    fn has_ledger(&self) -> bool;
    /// Takes the partitions over from whoever had them: one answer a partition, in order, durable
    /// before it is given. Later commits are in the name of `owner`.
    fn open_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>>;
    /// A put begins: until its commit or rollback the guest may write.
    fn begin(&self);
    /// Makes durable what the current put wrote, and the ends of these spans of opened partitions
    /// with it; both or neither. With neither writes nor spans it does nothing.
    fn commit_spans(&self, spans: Vec<LedgerSpan>) -> LedgerFuture<'_, ()>;
    /// As [`Self::commit_spans`], for whoever knows next offsets alone.
    fn commit(&self, positions: Vec<(TopicPartition, i64)>) -> LedgerFuture<'_, ()> {
        let span = |(at, next_offset)| LedgerSpan {
            at,
            first_offset: next_offset,
            next_offset,
        };
        self.commit_spans(positions.into_iter().map(span).collect())
    }
    /// Takes back what the current put wrote.
    fn rollback(&self) -> SqlFuture<'_, ()>;
    /// What is stored for a consumer group; empty without a ledger or if it has no table yet.
    fn ledger_positions(&self, owner: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>>;
    /// Stores other positions (none: as if nothing had been stored) and shuts present owners out.
    fn rewrite_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>>;
}

/// One connection of one task. Writes join the transaction of the current put.
pub trait SqlConnection: Send + Sync {
    /// postgresql, sqlite, ...
    fn dialect(&self) -> &'static str;
    /// The table as it is; none: there is no such table.
    fn describe(&self, table: String) -> SqlFuture<'_, Option<Table>>;
    /// Creates it or adds missing columns.
    fn ensure_table(&self, table: String, wanted: Table) -> SqlFuture<'_, Table>;
    /// Reads, on a link of its own.
    fn query(
        &self,
        statement: String,
        parameters: Vec<SqlValue>,
    ) -> SqlFuture<'_, Arc<dyn SqlCursor>>;
    /// Writes the selected rows (none: all) and answers those refused.
    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>>;
}

/// The rest of a query's rows.
pub trait SqlCursor: Send + Sync {
    /// At most `max` rows; none: there are no more.
    fn next(&self, max: u32) -> SqlFuture<'_, Option<SinkBatch>>;
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

    fn has_ledger(&self) -> bool {
        false
    }

    fn open_ledger(
        &self,
        _: LedgerOwner,
        _: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async { Err(no_ledger()) })
    }

    fn begin(&self) {}

    fn commit_spans(&self, _: Vec<LedgerSpan>) -> LedgerFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn ledger_positions(&self, _: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn rewrite_ledger(
        &self,
        _: LedgerOwner,
        _: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async { Err(no_ledger()) })
    }
}

fn no_ledger() -> LedgerError {
    LedgerError::RolledBack(SqlError::Denied("the task has no ledger".to_owned()))
}
