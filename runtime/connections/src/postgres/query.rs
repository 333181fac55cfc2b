//! Reading for a guest: its own statement, in a transaction that cannot write, on a link that is
//! closed afterwards. Whatever the statement does to its session ends with it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use futures_util::TryStreamExt;
use tidegate_sandbox::{SinkBatch, SqlCursor, SqlError, SqlFuture, SqlValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::Row;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use super::{
    decode::{self, Shape},
    error::Fault,
    iso,
    link::Link,
};

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Rows that are asked for at once, and after which the bytes are counted.
const FETCH_ROWS: u32 = 500;
/// A batch ends with the fetch that reaches so many.
const BATCH_BYTES: usize = 4 << 20;
/// A guest's memory has a limit; what the host holds for it has this one.
const MAX_BATCH_BYTES: usize = 32 << 20;

/// Runs `statement` up to its first row. It goes through the extended protocol, which takes one
/// statement and no more, behind words that make a cursor of it or nothing.
pub(super) async fn open(
    link: Link,
    permit: OwnedSemaphorePermit,
    statement: &str,
    parameters: &[SqlValue],
) -> Result<Arc<dyn SqlCursor>, SqlError> {
    let client = link.client()?;
    if !link.is_begun() {
        let begin = client.batch_execute(BEGIN);
        begin.await.map_err(Fault::from)?;
    }
    let declare = format!("DECLARE tidegate NO SCROLL CURSOR FOR {statement}");
    let declared = client.prepare(&declare).await.map_err(Fault::from)?;
    if declared.params().len() != parameters.len() {
        return Err(SqlError::Denied(format!(
            "the statement takes {} parameters and {} are given; write $1, $2 and so on where \
             they belong",
            declared.params().len(),
            parameters.len()
        )));
    }
    let parameters: Vec<_> = parameters.iter().map(Text::of).collect();
    let run = client.execute_raw(&declared, &parameters);
    run.await.map_err(Fault::from)?;
    let fetch = client.prepare_cached(&fetch(FETCH_ROWS)).await;
    let shape = Shape::of(fetch.map_err(Fault::from)?.columns())?;
    Ok(Arc::new(Cursor {
        shape,
        rest: Mutex::new(Some((link, permit))),
    }))
}

fn fetch(rows: u32) -> String {
    format!("FETCH FORWARD {rows} FROM tidegate")
}

struct Cursor {
    shape: Shape,
    /// The link, as long as there may be more rows. A call takes it out: one that is cut off
    /// ends the cursor.
    rest: Mutex<Option<(Link, OwnedSemaphorePermit)>>,
}

impl SqlCursor for Cursor {
    fn next(&self, max: u32) -> SqlFuture<'_, Option<SinkBatch>> {
        Box::pin(async move {
            let link = {
                let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                rest.take()
            };
            let Some((link, permit)) = link else {
                return Ok(None);
            };
            let client = link.client()?;
            let mut rows: Vec<Row> = Vec::new();
            let (mut wanted, mut bytes) = (max.max(1), 0);
            let mut is_over = false;
            while wanted > 0 && bytes < BATCH_BYTES && !is_over {
                let count = wanted.min(FETCH_ROWS);
                let statement = client.prepare_cached(&fetch(count)).await;
                let statement = statement.map_err(Fault::from)?;
                let none: [i64; 0] = [];
                let more = client
                    .query_raw(&statement, none)
                    .await
                    .map_err(Fault::from)?;
                let mut more = std::pin::pin!(more);
                let before = rows.len();
                while let Some(row) = more.try_next().await.map_err(Fault::from)? {
                    bytes += row.raw_size_bytes();
                    // What was fetched cannot be given back, so this ends the query.
                    if bytes > MAX_BATCH_BYTES {
                        return Err(SqlError::Denied(format!(
                            "{FETCH_ROWS} rows of the query are larger than {MAX_BATCH_BYTES} \
                             bytes; ask for fewer rows or shorter values"
                        )));
                    }
                    rows.push(row);
                }
                is_over = rows.len() - before < count as usize;
                wanted -= count;
            }
            let batch = decode::batch(&self.shape, &rows)?;
            if !is_over {
                *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some((link, permit));
            }
            Ok((!rows.is_empty()).then_some(batch))
        })
    }
}

/// A parameter as text, which the server reads in the type that the statement gives it.
#[derive(Debug)]
struct Text(Option<String>);

impl Text {
    fn of(value: &SqlValue) -> Self {
        Self(match value {
            SqlValue::Null => None,
            SqlValue::Boolean(truth) => Some(truth.to_string()),
            SqlValue::Int64(number) => Some(number.to_string()),
            SqlValue::Float64(number) => Some(number.to_string()),
            SqlValue::Decimal(digits) => Some(digits.clone()),
            SqlValue::Text(text) => Some(text.clone()),
            SqlValue::Bytes(bytes) => {
                let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
                Some(format!("\\x{}", digits.collect::<String>()))
            }
            SqlValue::TimestampMicros(micros) => Some(iso::timestamp(*micros)),
        })
    }
}

impl ToSql for Text {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
