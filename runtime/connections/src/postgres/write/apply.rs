//! Encoded rows into the table, and finding out which of them the server refuses.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::Client;
use futures_util::{
    SinkExt,
    future::{join, join_all, join3},
};
use tokio_postgres::{
    Error,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    super::error::Fault,
    columns::Columns,
    order::{self, Operation, Order, Run},
    plan::{Plan, Transport},
    statement,
};

/// Halving is worth it while few rows are at fault; after so many it is one by one.
const MAX_HALVINGS: u32 = 64;
/// The same of a slow link, where each halving waits for the server, and rows one by one do not.
const HALVING_TIME: Duration = Duration::from_secs(2);
/// Rows that are under way at a time when they are written one by one. Over a link on which an answer
/// takes a second, thousands of them still fit into the time of a call.
const ONE_BY_ONE: usize = 512;
/// What is handed on to COPY in one go.
const COPY_BYTES: usize = 256 * 1024;
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_TRAILER: i16 = -1;
/// The savepoint stays, for the next piece.
pub(super) const BACK: &str = "ROLLBACK TO tidegate_piece";
pub(super) const NEXT: &str = "RELEASE tidegate_piece; SAVEPOINT tidegate_piece";

/// A row that the server refuses, by its place in the columns, and why.
pub(super) type Refused = (u32, String);

/// Writes all rows, under the savepoint `tidegate_piece` that is there; answers those that the
/// server refuses.
///
/// First in the order that is best for the server. If it refuses that, what was written goes back
/// and the rows come again as the records came: only what is refused then is a row's own fault.
pub(super) async fn apply(
    client: &Client,
    plan: &Plan,
    columns: &Columns,
) -> Result<Vec<Refused>, Fault> {
    let runs = order::runs(plan, columns);
    let mut before = None;
    if !order::is_records_order(&runs, columns) {
        match at_once(client, plan, columns, &runs).await {
            Ok(()) => return Ok(Vec::new()),
            Err(Fault::Rows { .. }) => before = Some(BACK),
            Err(fault) => return Err(fault),
        }
    }
    in_pieces(client, plan, columns, before).await
}

/// Writes all rows as the records came, in smaller and smaller pieces where some are refused.
/// `before`: what has to be done with the savepoint first.
pub(super) async fn in_pieces(
    client: &Client,
    plan: &Plan,
    columns: &Columns,
    before: Option<&'static str>,
) -> Result<Vec<Refused>, Fault> {
    let pieces = Pieces {
        client,
        columns,
        halvings: 0,
        began: Instant::now(),
        before,
    };
    let runs = order::records_order(plan, columns);
    pieces.write(plan, runs).await
}

pub(super) async fn at_once(
    client: &Client,
    plan: &Plan,
    columns: &Columns,
    runs: &[Run],
) -> Result<(), Fault> {
    for run in runs {
        let plan = plan.without(columns.lacking(run.shape));
        let statement = Statement::prepare(client, &plan, run.operation, Order::Free).await?;
        statement.run(client, columns, &run.rows).await?;
    }
    Ok(())
}

/// Writing in pieces, one after the other.
struct Pieces<'a> {
    client: &'a Client,
    columns: &'a Columns,
    halvings: u32,
    began: Instant,
    /// What has to be done with the savepoint before the next piece.
    before: Option<&'static str>,
}

impl Pieces<'_> {
    async fn write(mut self, plan: &Plan, runs: Vec<Run>) -> Result<Vec<Refused>, Fault> {
        let mut refused = Vec::new();
        for run in runs {
            // A failed transaction prepares nothing.
            self.settle().await?;
            let plan = plan.without(self.columns.lacking(run.shape));
            let statement =
                Statement::prepare(self.client, &plan, run.operation, Order::Records).await?;
            // The next piece is last.
            let mut pieces = vec![run.rows];
            while let Some(mut piece) = pieces.pop() {
                let Err(reason) = self.attempt(&statement, &piece).await? else {
                    continue;
                };
                if let [row] = piece.as_slice() {
                    refused.push((*row, reason));
                    continue;
                }
                self.halvings += 1;
                if self.halvings > MAX_HALVINGS || self.began.elapsed() > HALVING_TIME {
                    self.settle().await?;
                    let single = Single::prepare(self.client, &plan, &statement).await?;
                    self.one_by_one(&single, &piece, &mut refused).await?;
                } else {
                    let second = piece.split_off(piece.len() / 2);
                    pieces.extend([second, piece]);
                }
            }
        }
        self.settle().await?;
        Ok(refused)
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        if self.before == Some(BACK) {
            self.client.batch_execute(BACK).await?;
            self.before = None;
        }
        Ok(())
    }

    /// Writes rows one by one without waiting for the answer to each. What follows a row is the same
    /// whether the server takes it or not: if it does, the savepoint moves behind it, and going back
    /// to that undoes nothing; if not, the savepoint cannot move, and going back undoes the row.
    async fn one_by_one(
        &mut self,
        single: &Single<'_>,
        rows: &[u32],
        refused: &mut Vec<Refused>,
    ) -> Result<(), Fault> {
        if let Some(before) = self.before.take() {
            self.client.batch_execute(before).await?;
        }
        for window in rows.chunks(ONE_BY_ONE) {
            let sent = window.iter().map(|row| {
                join3(
                    single.run(self.client, self.columns, *row),
                    self.client.batch_execute(NEXT),
                    self.client.batch_execute(BACK),
                )
            });
            let answers = join_all(sent).await;
            for (row, (written, moved, back)) in window.iter().zip(answers) {
                match written.map_err(Fault::from) {
                    Ok(()) => moved?,
                    Err(Fault::Rows { reason, .. }) => refused.push((*row, reason)),
                    Err(fault) => return Err(fault),
                }
                back?;
            }
        }
        Ok(())
    }

    /// Writes a piece; the inner error is why the server refuses some of its rows. What goes before
    /// it travels with it: over a slow link, each wait counts.
    async fn attempt(
        &mut self,
        statement: &Statement<'_>,
        piece: &[u32],
    ) -> Result<Result<(), String>, Fault> {
        let run = statement.run(self.client, self.columns, piece);
        let done = match self.before {
            Some(before) => {
                let (set, done) = join(self.client.batch_execute(before), run).await;
                set?;
                done
            }
            None => run.await,
        };
        match done.map_err(Fault::from) {
            Ok(()) => {
                self.before = Some(NEXT);
                Ok(Ok(()))
            }
            Err(Fault::Rows { reason, .. }) => {
                self.before = Some(BACK);
                Ok(Err(reason))
            }
            Err(fault) => Err(fault),
        }
    }
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
    async fn prepare(
        client: &Client,
        plan: &'a Plan,
        operation: Operation,
        order: Order,
    ) -> Result<Self, Error> {
        if plan.copies && operation == Operation::Insert {
            let prepared = client.prepare_cached(&statement::copy(plan)).await?;
            return Ok(Self::Copy(plan, prepared));
        }
        let prepared = client
            .prepare_cached(&statement::of(plan, operation, order))
            .await?;
        let places = statement::parameters(plan, operation).into_iter();
        let parameter = |place: usize| {
            let column = plan.columns.get(place)?;
            let oid = match column.transport {
                Transport::Native => column.declared.oid,
                Transport::Text => Type::TEXT.oid(),
            };
            Some(Parameter {
                column: column.field,
                oid,
            })
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

/// What is done with one row of a run.
enum Single<'a> {
    /// As the run.
    Same(&'a Statement<'a>),
    /// COPY waits for an answer before it takes anything: an INSERT instead, of these columns.
    Values(Vec<usize>, tokio_postgres::Statement),
}

impl<'a> Single<'a> {
    async fn prepare(
        client: &Client,
        plan: &Plan,
        of_run: &'a Statement<'a>,
    ) -> Result<Self, Error> {
        let Statement::Copy(..) = of_run else {
            return Ok(Self::Same(of_run));
        };
        let prepared = client.prepare_cached(&statement::values(plan)).await?;
        let columns = plan.columns.iter().map(|column| column.field).collect();
        Ok(Self::Values(columns, prepared))
    }

    async fn run(&self, client: &Client, columns: &Columns, row: u32) -> Result<(), Error> {
        match self {
            Self::Same(statement) => statement.run(client, columns, &[row]).await,
            Self::Values(fields, prepared) => {
                let values = fields.iter().map(|field| One(columns.field(*field, row)));
                client.execute_raw(prepared, values).await?;
                Ok(())
            }
        }
    }
}

/// A field as COPY has it, with its length in front, as a parameter.
#[derive(Debug)]
struct One<'a>(&'a [u8]);

impl ToSql for One<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let (length, value) = self.0.split_first_chunk().ok_or("a field has no length")?;
        if i32::from_be_bytes(*length) < 0 {
            return Ok(IsNull::Yes);
        }
        out.put_slice(value);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
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
        for column in &plan.columns {
            chunk.put_slice(columns.field(column.field, *row));
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
