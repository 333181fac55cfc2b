//! A closer look at records, for the type of a column that their fields alone do not tell.

use serde_json::Value;
use tidegate_sdk::Encoding;
use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::ValueSource;

use crate::kinds;
use crate::mapping::Planned;

/// Connect's type of what fills a column; none if the records do not have it.
pub fn kind(batch: &Batch, column: &Planned) -> Result<Option<String>> {
    if column.kind.is_some() {
        return Ok(column.kind.clone());
    }
    match &column.source {
        ValueSource::Value => whole_value(batch),
        ValueSource::ValueField(path) => part(batch, Part::Value, path),
        ValueSource::KeyField(path) => part(batch, Part::Key, path),
        _ => Ok(None),
    }
}

#[derive(Clone, Copy)]
enum Part {
    Key,
    Value,
}

/// Without a schema they are a mixture of anything, which texts can hold.
fn whole_value(batch: &Batch) -> Result<Option<String>> {
    let kind = schema(batch, Part::Value)?.and_then(|schema| kinds::of_schema(&schema));
    Ok(Some(kind.unwrap_or_else(|| "string".to_owned())))
}

fn part(batch: &Batch, part: Part, path: &str) -> Result<Option<String>> {
    if let Some(schema) = schema(batch, part)? {
        return Ok(kinds::schema_at(&schema, path).and_then(kinds::of_schema));
    }
    let read = match part {
        Part::Key => Read::keys(Encoding::Json),
        Part::Value => Read::values(Encoding::Json),
    };
    for row in &batch.read(read)? {
        let bytes = match part {
            Part::Key => row.key,
            Part::Value => row.value,
        };
        let value: Value =
            serde_json::from_slice(bytes.unwrap_or(b"null")).or_fail("read a record")?;
        if let Some(kind) = kinds::value_at(&value, path).and_then(kinds::of_json) {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

fn schema(batch: &Batch, part: Part) -> Result<Option<Value>> {
    let rows = batch.read(Read::schemas())?;
    let text = rows.iter().find_map(|row| match part {
        Part::Key => row.key_schema,
        Part::Value => row.value_schema,
    });
    let parse = |text| serde_json::from_str(text).or_fail("read a schema");
    text.map(parse).transpose()
}
