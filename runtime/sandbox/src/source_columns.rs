//! What a source's poll answered, checked before anybody relies on it: a guest may lie about
//! every length and index.

use tidegate_model::batch::{Boundary, Checkpoint, EncodedPart, Headers, NO_SCHEMA, SourceBatch};
use tidegate_model::columns::ByteColumn;
use tidegate_model::names::is_topic_name;
use tidegate_model::offset::{SourceOffset, SourcePartition};

use crate::bindings::records::{Columns, HeaderColumn};
use crate::bindings::source::exports::tidegate::connect::source_task as wit;
use crate::error::CallError;
use crate::host_records::encoding;

const EXPORT: &str = "poll";

/// Rows of one batch; a poll is asked for far fewer.
const MAX_ROWS: usize = 1_000_000;

/// Texts of all schemas of one batch. Parsed on the host they take a multiple of this.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

fn malformed(reason: impl ToString) -> CallError {
    CallError::malformed(EXPORT, reason)
}

/// Takes columns and checkpoints from a guest; `own_transactions` is what it said in `describe`.
pub(crate) fn batch(
    columns: Columns,
    checkpoints: Vec<wit::Checkpoint>,
    own_transactions: bool,
) -> Result<SourceBatch, CallError> {
    let rows = columns.rows as usize;
    // Before anything is made of this size: columns may be left out, so a guest can claim rows that
    // cost it nothing.
    if rows > MAX_ROWS {
        return Err(malformed(format!(
            "{rows} rows, where a batch may have {MAX_ROWS}"
        )));
    }
    if columns.topics.is_empty() && rows > 0 {
        return Err(malformed("rows without any topic"));
    }
    if let Some(topic) = columns.topics.iter().find(|topic| !is_topic_name(topic)) {
        let topic: String = topic.chars().take(80).collect();
        return Err(malformed(format!(
            "{topic:?}, which Kafka takes for no topic name"
        )));
    }
    if columns.topic.is_empty() && columns.topics.len() > 1 {
        return Err(malformed("several topics but no topic column"));
    }
    index("topic", &columns.topic, rows, columns.topics.len(), false)?;
    index(
        "key-schema",
        &columns.key_schema,
        rows,
        columns.schemas.len(),
        true,
    )?;
    index(
        "value-schema",
        &columns.value_schema,
        rows,
        columns.schemas.len(),
        true,
    )?;
    let schema_bytes: usize = columns.schemas.iter().map(String::len).sum();
    if schema_bytes > MAX_SCHEMA_BYTES {
        return Err(malformed(format!(
            "schemas of {schema_bytes} bytes, where a batch may have {MAX_SCHEMA_BYTES}"
        )));
    }
    optional("partitions", columns.partitions.len(), rows)?;
    optional("timestamps", columns.timestamps.len(), rows)?;
    if let Some(row) = columns
        .partitions
        .iter()
        .position(|&partition| partition < -1)
    {
        return Err(malformed(format!("row {row} has a negative partition")));
    }
    if let Some(row) = columns.timestamps.iter().position(|&ms| ms < -1) {
        return Err(malformed(format!("row {row} has a negative timestamp")));
    }
    let keys = bytes("keys", rows, columns.keys)?;
    let values = bytes("values", rows, columns.values)?;
    let headers = columns
        .headers
        .map(|headers| header_column(rows, headers))
        .transpose()?;
    Ok(SourceBatch {
        rows,
        topics: columns.topics,
        topic: columns.topic,
        partitions: columns.partitions,
        timestamps: columns.timestamps,
        keys: EncodedPart {
            encoding: encoding(columns.key_encoding),
            bytes: keys,
            schema: columns.key_schema,
        },
        values: EncodedPart {
            encoding: encoding(columns.value_encoding),
            bytes: values,
            schema: columns.value_schema,
        },
        headers,
        schemas: columns.schemas,
        checkpoints: positions(rows, checkpoints, own_transactions)?,
        refused: Vec::new(),
        store_soon: false,
    })
}

fn bytes(
    name: &'static str,
    rows: usize,
    column: crate::bindings::records::ByteColumn,
) -> Result<ByteColumn, CallError> {
    ByteColumn::checked(name, rows, column.lengths, column.data).map_err(CallError::column(EXPORT))
}

fn optional(name: &str, found: usize, rows: usize) -> Result<(), CallError> {
    if found == 0 || found == rows {
        return Ok(());
    }
    Err(malformed(format!(
        "{name} has {found} rows where the batch has {rows}"
    )))
}

fn index(
    name: &str,
    column: &[u16],
    rows: usize,
    dictionary: usize,
    none_allowed: bool,
) -> Result<(), CallError> {
    optional(name, column.len(), rows)?;
    let legal = |&i: &u16| usize::from(i) < dictionary || (none_allowed && i == NO_SCHEMA);
    match column.iter().position(|i| !legal(i)) {
        None => Ok(()),
        Some(row) => Err(malformed(format!(
            "{name} of row {row} points beyond the {dictionary} entries of its dictionary"
        ))),
    }
}

fn header_column(rows: usize, headers: HeaderColumn) -> Result<Headers, CallError> {
    if headers.counts.len() != rows {
        return Err(malformed(format!(
            "header counts has {} rows where the batch has {rows}",
            headers.counts.len()
        )));
    }
    let total = headers.counts.iter().map(|&n| usize::from(n)).sum();
    let keys = bytes("header keys", total, headers.keys)?;
    if keys
        .iter()
        .any(|key| key.is_none_or(|key| std::str::from_utf8(key).is_err()))
    {
        return Err(malformed("a header key that is null or not UTF-8"));
    }
    let values = bytes("header values", total, headers.values)?;
    Ok(Headers {
        counts: headers.counts,
        keys,
        values,
    })
}

fn positions(
    rows: usize,
    checkpoints: Vec<wit::Checkpoint>,
    own_transactions: bool,
) -> Result<Vec<Checkpoint>, CallError> {
    let mut before = 0;
    checkpoints
        .into_iter()
        .map(|checkpoint| {
            if checkpoint.rows as usize > rows || checkpoint.rows < before {
                return Err(malformed(format!(
                    "a checkpoint after {} rows, where the batch has {rows} and the one before \
                     covers {before}",
                    checkpoint.rows
                )));
            }
            before = checkpoint.rows;
            let boundary = match checkpoint.boundary {
                wit::Boundary::None => Boundary::None,
                wit::Boundary::Commit => Boundary::Commit,
                wit::Boundary::Abort => Boundary::Abort,
            };
            if boundary != Boundary::None && !own_transactions {
                return Err(malformed(
                    "a transaction boundary, which describe did not announce (own-transactions)",
                ));
            }
            Ok(Checkpoint {
                rows: checkpoint.rows,
                partition: SourcePartition::parse(&checkpoint.partition)
                    .map_err(CallError::offset(EXPORT))?,
                offset: SourceOffset::parse(&checkpoint.offset)
                    .map_err(CallError::offset(EXPORT))?,
                boundary,
            })
        })
        .collect()
}
