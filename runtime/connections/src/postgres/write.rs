//! Rows of a batch into a table.

mod apply;
mod columns;
mod defaults;
mod deferred;
mod order;
mod plan;
mod request;
mod statement;

use tidegate_sandbox::{Errant, SinkBatch, SqlError, Write};

use super::{error::Fault, link::Link};
pub(super) use plan::Seen;
pub(super) use request::Request;

/// The rows to write: the selected ones, or all.
///
/// # Errors
/// If one is not in the batch.
pub(super) fn rows(batch: &SinkBatch, selection: Option<Vec<u32>>) -> Result<Vec<u32>, SqlError> {
    let count = batch.len();
    let Some(selection) = selection else {
        return Ok((0..u32::try_from(count).unwrap_or(u32::MAX)).collect());
    };
    match selection.iter().find(|row| **row as usize >= count) {
        Some(row) => Err(SqlError::Denied(format!(
            "row {row} is not in the batch of {count} rows"
        ))),
        None => Ok(selection),
    }
}

/// Whatever the server's default: the fence is compared with what is committed by then.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// The same, and what the first write goes back to if it fails.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SAVEPOINT tidegate_write";
/// The savepoint of the write before goes only now, so that it takes no round trip of its own.
const NEXT_WRITE: &str = "RELEASE tidegate_write; SAVEPOINT tidegate_write";

/// What the first write of a put is preceded by, in a transaction that is begun already or not.
fn first(is_begun: bool) -> &'static str {
    match is_begun {
        true => "SAVEPOINT tidegate_write",
        false => BEGIN_WRITE,
    }
}

/// Writes `rows`, which are some, in the transaction at hand: all but those it answers, or none.
/// Without anything `seen` the transaction begins here, unless it began with the loan of the link. After any error but [`Fault::Lost`] it is
/// as it was before, and begun. `careful`: deferred constraints refuse some rows, as a put before has
/// shown.
pub(super) async fn write(
    link: &Link,
    careful: bool,
    seen: &mut Option<Seen>,
    batch: &SinkBatch,
    rows: Vec<u32>,
    how: &Write,
    request: &Request,
) -> Result<Vec<Errant>, Fault> {
    let client = link.client()?;
    let savepoint = match seen {
        None => first(link.is_begun()),
        Some(_) => NEXT_WRITE,
    };
    let seen = seen.get_or_insert_default();
    let written = async {
        let plan = plan::plan(client, savepoint, seen, request, how).await?;
        let (mut columns, mut errants) = columns::encode(batch, &rows, how, &plan).await;
        if columns.have_gaps() && plan.mode == request::Mode::Insert {
            // What a new row does not name is NULL, unless the column knows better.
            let kept = defaults::columns(client, &plan).await?;
            columns.fill_gaps(|column| kept.contains(&column));
        }
        let refused = match careful {
            true => deferred::apply(client, &plan, &columns).await?,
            false => apply::apply(client, &plan, &columns).await?,
        };
        errants.extend(refused.into_iter().map(|(row, reason)| Errant {
            row: columns.number(row),
            reason,
        }));
        errants.sort_by_key(|errant| errant.row);
        Ok(errants)
    };
    match written.await {
        Err(fault @ Fault::Lost(_)) => Err(fault),
        Err(fault) => {
            // What was locked since the savepoint is so no more.
            seen.clear();
            let back = client.batch_execute("ROLLBACK TO tidegate_write").await;
            back.map_err(lost)?;
            Err(fault)
        }
        written => written,
    }
}

/// A savepoint that is not there takes the transaction with it.
fn lost(error: tokio_postgres::Error) -> Fault {
    Fault::Lost(super::error::words(&error))
}
