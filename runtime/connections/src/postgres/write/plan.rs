//! How the columns of a write travel, by the types that the table has now.

use std::{borrow::Cow, collections::HashSet};

use deadpool_postgres::Client;
use futures_util::future::join;
use tidegate_sandbox::{SqlValue, ValueSource, Write};
use tokio_postgres::{Error, Statement, error::SqlState};

use super::{
    super::{
        error::Fault,
        types::{ColumnType, Equality, Kind},
    },
    request::{Mode, Request},
};

/// Which tables the transaction has locked against ALTER, by the statement that did so.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Seen(HashSet<String>);

impl Seen {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// How a column's values reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// In the binary form of the column's type.
    Native,
    /// As text, which is cast to the column's type.
    Text,
}

/// A column of the table that is written.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its place in [`Write::columns`].
    pub(super) place: usize,
    /// Its place among the encoded columns.
    pub(super) field: usize,
    /// Quoted.
    pub(super) name: String,
    pub(super) is_identity: bool,
    pub(super) declared: ColumnType,
    pub(super) transport: Transport,
}

/// How rows are written.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) mode: Mode,
    /// Quoted.
    pub(super) table: String,
    pub(super) columns: Vec<Column>,
    /// Whether inserts go by COPY.
    pub(super) copies: bool,
    pub(super) delete_tombstones: bool,
}

impl Plan {
    /// The same for rows that have nothing for the columns `lacking`.
    pub(super) fn without(&self, lacking: &[usize]) -> Cow<'_, Self> {
        if lacking.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut plan = self.clone();
        plan.columns.retain(|c| !lacking.contains(&c.field));
        Cow::Owned(plan)
    }

    pub(super) fn identity(&self) -> impl Iterator<Item = (usize, &Column)> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(_, column)| column.is_identity)
    }

    /// How well different bytes tell different rows apart.
    pub(super) fn equality(&self) -> Equality {
        let worst = self.identity().map(|(_, column)| column.declared.equality);
        worst.max().unwrap_or(Equality::Exact)
    }
}

/// What the rows of a piece go back to if the server refuses them. It comes after the lock on the
/// types, which has to outlast that.
const PIECE: &str = "SAVEPOINT tidegate_piece";

/// Runs `savepoint`, looks up the types, keeps them as they are until the transaction ends, and
/// sets the savepoint `tidegate_piece`.
pub(super) async fn plan(
    client: &Client,
    savepoint: &str,
    seen: &mut Seen,
    request: &Request,
    how: &Write,
) -> Result<Plan, Fault> {
    let names: Vec<_> = request.columns.iter().map(|c| c.name.as_str()).collect();
    let probe = format!(
        "SELECT {} FROM {} WHERE false",
        names.join(", "),
        request.table
    );
    // One trip to the server for all three, unless the probe has to be prepared.
    let (begun, locked) = join(
        client.batch_execute(savepoint),
        lock_and_mark(client, seen, &probe),
    )
    .await;
    begun.map_err(super::lost)?;
    let statement = locked?;
    let mut columns = Vec::with_capacity(request.columns.len());
    for (wanted, found) in request.columns.iter().zip(statement.columns()) {
        columns.push(Column {
            place: wanted.place,
            field: columns.len(),
            name: wanted.name.clone(),
            is_identity: wanted.is_identity,
            declared: ColumnType::of(found.type_()),
            transport: Transport::Native,
        });
    }
    let is_text = |column: &Column| {
        // What a constant's text means is for the server to say.
        let constant = matches!(
            how.columns.get(column.place),
            Some((_, ValueSource::Constant(SqlValue::Text(_))))
        );
        column.declared.kind == Kind::Other || (constant && column.declared.kind != Kind::Text)
    };
    let is_array = |column: &Column| matches!(column.declared.kind, Kind::Array(..));
    let copies = request.mode == Mode::Insert
        && !columns.iter().any(is_text)
        && !(request.delete_tombstones && columns.iter().any(|c| c.is_identity && is_array(c)));
    for column in &mut columns {
        // An array of arrays would be taken apart to its innermost elements.
        if is_text(column) || (is_array(column) && !copies) {
            column.transport = Transport::Text;
        }
    }
    Ok(Plan {
        mode: request.mode,
        table: request.table.clone(),
        columns,
        copies,
        delete_tombstones: request.delete_tombstones,
    })
}

/// Runs `probe`, which reads no rows but takes the lock that keeps ALTER TABLE away, and sets the
/// savepoint of the first piece behind it.
async fn lock_and_mark(client: &Client, seen: &mut Seen, probe: &str) -> Result<Statement, Fault> {
    let statement = client.prepare_cached(probe).await?;
    if seen.0.contains(probe) {
        client.batch_execute(PIECE).await?;
        return Ok(statement);
    }
    let statement = match probe_and_mark(client, &statement).await {
        Ok(()) => statement,
        // A column's type was altered since the statement was prepared.
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            again(client, probe).await?
        }
        Err(error) => return Err(error.into()),
    };
    seen.0.insert(probe.to_owned());
    Ok(statement)
}

async fn again(client: &Client, probe: &str) -> Result<Statement, Error> {
    client.batch_execute("ROLLBACK TO tidegate_write").await?;
    client.statement_cache.clear();
    let statement = client.prepare_cached(probe).await?;
    probe_and_mark(client, &statement).await?;
    Ok(statement)
}

async fn probe_and_mark(client: &Client, probe: &Statement) -> Result<(), Error> {
    let (probed, marked) = join(client.query(probe, &[]), client.batch_execute(PIECE)).await;
    // Behind a probe that failed the savepoint fails too, but not for a reason of its own.
    probed?;
    marked
}
