//! Rows of a batch into a table that lives in a test.

use serde_json::Value;

use super::connection::rejected;
use super::database::Stored;
use super::{Content, TableRow, TestBatch, TestRecord};
use crate::bindings::sql::{SqlError, Write};
use crate::sql::{SqlValue, Table, ValueSource};

/// What the host or the database says before it looks at a row.
pub(super) fn check(table: &Table, how: &Write) -> Result<(), SqlError> {
    let denied = |message: &str| Err(SqlError::Denied(message.to_owned()));
    for (column, _) in &how.columns {
        if !table.columns.iter().any(|known| known.name == *column) {
            let message = format!("table {} has no column {column}", how.table);
            return Err(rejected(message));
        }
        if how
            .columns
            .iter()
            .filter(|(name, _)| name == column)
            .count()
            > 1
        {
            return denied("a column is written twice");
        }
    }
    let is_written = |name: &String| how.columns.iter().any(|(column, _)| column == name);
    if how.columns.is_empty() || !how.identity.iter().all(is_written) {
        return denied("no columns are written, or not all that identify a row");
    }
    if how.identity.is_empty() && (how.mode != "insert" || how.delete_tombstones) {
        return denied("the write needs an identity");
    }
    match how.mode.as_str() {
        "insert" | "delete" => Ok(()),
        "update" if how.columns.len() > how.identity.len() => Ok(()),
        "update" => denied("an update needs a column besides those that identify the row"),
        "upsert" if is_key(table, &how.identity) => Ok(()),
        "upsert" => Err(rejected(format!(
            "table {} has no unique index on {}",
            how.table,
            how.identity.join(", ")
        ))),
        _ => denied("the mode is not known"),
    }
}

fn is_key(table: &Table, names: &[String]) -> bool {
    let key = &table.primary_key;
    key.len() == names.len() && key.iter().all(|part| names.contains(part))
}

/// Does with one record what `how` says; an error is the reason why it is errant.
pub(super) fn apply(
    stored: &mut Stored,
    batch: &TestBatch,
    row: u32,
    record: &TestRecord,
    how: &Write,
) -> Result<(), String> {
    let deletes = how.mode == "delete" || (how.delete_tombstones && record.value == Content::Null);
    let is_wanted = |column: &String| !deletes || how.identity.contains(column);
    let mut cells = TableRow::new();
    for (column, source) in how.columns.iter().filter(|(column, _)| is_wanted(column)) {
        let cell = value(batch, row, record, source)?;
        let is_null = cell.as_ref().is_none_or(Value::is_null);
        if is_null && how.identity.contains(column) {
            return Err(format!(
                "column {column} is null, and rows are told apart by it"
            ));
        }
        // What the record does not have is not written.
        if let Some(cell) = cell {
            cells.insert(column.clone(), cell);
        }
    }
    let needed = match (deletes, how.mode.as_str()) {
        (true, _) => 0,
        (false, "update") => how.identity.len() + 1,
        (false, _) => 1,
    };
    if cells.len() < needed {
        return Err("the record has none of the fields that are written".to_owned());
    }
    if deletes {
        stored
            .rows
            .retain(|known| !agree(known, &cells, &how.identity));
        return Ok(());
    }
    if how.mode != "insert" {
        let mut known = stored.rows.iter_mut();
        if let Some(known) = known.find(|known| agree(known, &cells, &how.identity)) {
            known.extend(cells);
            return Ok(());
        }
        if how.mode == "update" {
            return Ok(());
        }
    }
    let key = &stored.table.primary_key;
    if !key.is_empty() && stored.rows.iter().any(|known| agree(known, &cells, key)) {
        return Err("the primary key is there already".to_owned());
    }
    stored.rows.push(cells);
    Ok(())
}

fn agree(one: &TableRow, other: &TableRow, columns: &[String]) -> bool {
    columns
        .iter()
        .all(|column| one.get(column) == other.get(column))
}

fn value(
    batch: &TestBatch,
    row: u32,
    record: &TestRecord,
    source: &ValueSource,
) -> Result<Option<Value>, String> {
    Ok(Some(match source {
        ValueSource::ValueField(path) => return field(&record.value, path),
        ValueSource::KeyField(path) => return field(&record.key, path),
        ValueSource::Key => record.key.to_json(),
        ValueSource::Value => record.value.to_json(),
        ValueSource::Topic => Value::from(batch.topic()),
        ValueSource::Partition => Value::from(record.partition.unwrap_or(0)),
        ValueSource::Offset => Value::from(batch.first_offset() + i64::from(row)),
        ValueSource::Timestamp => record.timestamp.into(),
        ValueSource::Header(name) => {
            let mut headers = record.headers.iter().rev();
            let found = headers.find(|(key, _)| key == name);
            let value = found.and_then(|(_, value)| value.as_deref());
            value
                .map(String::from_utf8_lossy)
                .map_or(Value::Null, |text| Value::from(&*text))
        }
        ValueSource::Constant(constant) => match constant {
            SqlValue::Null => Value::Null,
            SqlValue::Boolean(truth) => Value::from(*truth),
            SqlValue::Int64(number) | SqlValue::TimestampMicros(number) => Value::from(*number),
            SqlValue::Float64(number) => Value::from(*number),
            SqlValue::Decimal(text) | SqlValue::Text(text) => Value::from(text.as_str()),
            SqlValue::Bytes(bytes) => Value::from(bytes.as_slice()),
        },
    }))
}

/// None: there is no such field. A name with dots is nearer than a path, and what lies below a null
/// is null.
fn field(content: &Content, path: &str) -> Result<Option<Value>, String> {
    match content {
        Content::Json(object @ Value::Object(_)) => Ok(at(object, path).cloned()),
        _ => Err(format!("there is no struct to take field {path} from")),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if value.is_null() {
        return Some(value);
    }
    value.get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
            at(value.get(name)?, rest)
        })
    })
}
