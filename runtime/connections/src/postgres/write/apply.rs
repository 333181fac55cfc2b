//! Encoded rows into the table, and finding out which of them the server refuses.

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::Client;
use futures_util::SinkExt;
use tidegate_sandbox::Errant;
use tokio_postgres::{
    Error,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    super::error::Fault,
    columns::Columns,
    order::{Operation, Run},
    plan::{Plan, Transport},
    statement,
};

/// Halving is worth it while few rows are at fault; after so many it is one by one.
const MAX_HALVINGS: u32 = 64;
/// What is handed on to COPY in one go.
const COPY_BYTES: usize = 256 * 1024;
/// Two rows of one statement meant the same row of the table.
const SAME_ROW: &str = "21000";
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: i16 = -1;
/// The savepoint stays, for the next piece.
const BACK: &str = "ROLLBACK TO tidegate_piece";
const NEXT: &str = "RELEASE tidegate_piece; SAVEPOINT tidegate_piece";

/// Writes the runs, one after the other, the first under the savepoint `tidegate_piece` that is
/// there; rows that the server refuses are added to `errants`.
pub(super) async fn apply(
    client: &Client,
    plan: &Plan,
    columns: &Columns,
    runs: Vec<Run>,
    errants: &mut Vec<Errant>,
) -> Result<(), Fault> {
    let mut halvings = 0;
    // Whether something was written since the savepoint.
    let mut used = false;
    for run in runs {
        let statement = Statement::prepare(client, plan, run.operation).await?;
        // The next piece is last.
        let mut pieces = vec![run.rows];
        while let Some(mut piece) = pieces.pop() {
            if used {
                client.batch_execute(NEXT).await?;
            }
            let attempt = statement.run(client, columns, &piece).await;
            used = attempt.is_ok();
            match attempt.map_err(Fault::from) {
                Ok(()) => {}
                Err(Fault::Rows { reason, code }) => {
                    client.batch_execute(BACK).await?;
                    if let [row] = piece.as_slice() {
                        errants.push(Errant {
                            row: columns.number(*row),
                            reason,
                        });
                        continue;
                    }
                    if code == SAME_ROW {
                        // Written apart, the order between them counts.
                        piece.sort_unstable();
                    }
                    halvings += 1;
                    if halvings > MAX_HALVINGS {
                        pieces.extend(piece.into_iter().rev().map(|row| vec![row]));
                    } else {
                        let second = piece.split_off(piece.len() / 2);
                        pieces.extend([second, piece]);
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}

/// What is done with a run's rows.
enum Statement<'a> {
    Copy(&'a Plan, tokio_postgres::Statement),
    Arrays(Vec<Parameter>, tokio_postgres::Statement),
}

/// A column as an array parameter.
struct Parameter {
    column: usize,
    /// The type of its elements.
    oid: u32,
}

impl<'a> Statement<'a> {
    async fn prepare(client: &Client, plan: &'a Plan, operation: Operation) -> Result<Self, Error> {
        if plan.copies && operation == Operation::Insert {
            let prepared = client.prepare_cached(&statement::copy(plan)).await?;
            return Ok(Self::Copy(plan, prepared));
        }
        let prepared = client
            .prepare_cached(&statement::of(plan, operation))
            .await?;
        let places = statement::parameters(plan, operation).into_iter();
        let parameter = |place: usize| {
            let column = plan.columns.get(place)?;
            let oid = match column.transport {
                Transport::Native => column.declared.oid,
                Transport::Text => Type::TEXT.oid(),
            };
            Some(Parameter { column: place, oid })
        };
        Ok(Self::Arrays(
            places.filter_map(parameter).collect(),
            prepared,
        ))
    }

    async fn run(&self, client: &Client, columns: &Columns, rows: &[u32]) -> Result<(), Error> {
        match self {
            Self::Copy(plan, prepared) => copy(client, prepared, plan, columns, rows).await,
            Self::Arrays(parameters, prepared) => {
                let arrays = parameters.iter().map(|parameter| Array {
                    columns,
                    rows,
                    column: parameter.column,
                    oid: parameter.oid,
                });
                client.execute_raw(prepared, arrays).await?;
                Ok(())
            }
        }
    }
}

async fn copy(
    client: &Client,
    statement: &tokio_postgres::Statement,
    plan: &Plan,
    columns: &Columns,
    rows: &[u32],
) -> Result<(), Error> {
    let mut sink = std::pin::pin!(client.copy_in::<_, Bytes>(statement).await?);
    let fields = i16::try_from(plan.columns.len()).unwrap_or(i16::MAX);
    let mut chunk = BytesMut::with_capacity(COPY_BYTES + COPY_BYTES / 4);
    chunk.put_slice(COPY_HEADER);
    for row in rows {
        chunk.put_i16(fields);
        for column in 0..plan.columns.len() {
            chunk.put_slice(columns.field(column, *row));
        }
        if chunk.len() > COPY_BYTES {
            sink.send(chunk.split().freeze()).await?;
        }
    }
    chunk.put_i16(COPY_TRAILER);
    sink.send(chunk.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

/// A column's rows as a binary array.
#[derive(Debug)]
struct Array<'a> {
    columns: &'a Columns,
    rows: &'a [u32],
    column: usize,
    oid: u32,
}

impl ToSql for Array<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        // One dimension, perhaps with nulls, counted from 1.
        out.put_i32(1);
        out.put_i32(1);
        out.put_u32(self.oid);
        out.put_i32(i32::try_from(self.rows.len())?);
        out.put_i32(1);
        for row in self.rows {
            out.put_slice(self.columns.field(self.column, *row));
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
