//! What the columns of a written row are filled with.

use std::borrow::Cow;

use tidegate_convert::{Decimal, Schema, Value, to_connect_header};
use tidegate_sandbox::{SinkBatch, SqlValue, ValueSource, Write};

use crate::fields;

/// A value and its schema, if it has one.
pub(crate) struct Found<'a> {
    pub(crate) schema: Option<&'a Schema>,
    pub(crate) value: Cow<'a, Value>,
}

/// The rows of a batch as sources of values.
pub(crate) struct RowValues<'a> {
    batch: &'a SinkBatch,
    wants_key: bool,
    wants_value: bool,
    headers: Vec<Vec<(&'a [u8], Option<&'a [u8]>)>>,
}

/// One row, its key and value unpacked once.
pub(crate) struct Row<'a> {
    values: &'a RowValues<'a>,
    row: usize,
    key: Cow<'a, Value>,
    value: Cow<'a, Value>,
}

impl<'a> RowValues<'a> {
    pub(crate) fn new(batch: &'a SinkBatch, how: &Write) -> Self {
        use ValueSource as Source;
        let wants = |want: fn(&Source) -> bool| how.columns.iter().any(|(_, source)| want(source));
        let headers = if wants(|source| matches!(source, Source::Header(_))) {
            headers(batch)
        } else {
            Vec::new()
        };
        Self {
            batch,
            wants_key: wants(|source| matches!(source, Source::Key | Source::KeyField(_))),
            wants_value: wants(|source| matches!(source, Source::Value | Source::ValueField(_))),
            headers,
        }
    }

    /// The row numbered `row`; none if there is no such row.
    pub(crate) fn row(&'a self, row: usize) -> Option<Row<'a>> {
        let unpacked = |wanted, column: &'a tidegate_convert::DecodedColumn| match wanted {
            true => column.value(row),
            false => Some(Cow::Owned(Value::Null)),
        };
        (row < self.batch.len()).then_some(())?;
        Some(Row {
            values: self,
            row,
            key: unpacked(self.wants_key, &self.batch.keys)?,
            value: unpacked(self.wants_value, &self.batch.values)?,
        })
    }
}

fn headers(batch: &SinkBatch) -> Vec<Vec<(&[u8], Option<&[u8]>)>> {
    let Some(headers) = &batch.headers else {
        return Vec::new();
    };
    let mut entries = headers.keys.iter().zip(headers.values.iter());
    let of_row = |count: &u16| {
        let row = entries.by_ref().take(usize::from(*count));
        row.map(|(key, value)| (key.unwrap_or_default(), value))
            .collect()
    };
    headers.counts.iter().map(of_row).collect()
}

impl Row<'_> {
    /// What `source` holds in this row; a field that is not there is null.
    ///
    /// # Errors
    /// Why the row has no such thing, without the column's name.
    pub(crate) fn get(&self, source: &ValueSource) -> Result<Found<'_>, String> {
        let batch = self.values.batch;
        let whole = |schema, value| Found {
            schema,
            value: Cow::Borrowed(value),
        };
        let plain = |value| Found {
            schema: None,
            value: Cow::Owned(value),
        };
        let key_schema = batch.keys.schema(self.row).map(AsRef::as_ref);
        let value_schema = batch.values.schema(self.row).map(AsRef::as_ref);
        Ok(match source {
            ValueSource::ValueField(path) => field("value", (value_schema, &self.value), path)?,
            ValueSource::KeyField(path) => field("key", (key_schema, &self.key), path)?,
            ValueSource::Key => whole(key_schema, &*self.key),
            ValueSource::Value => whole(value_schema, &*self.value),
            ValueSource::Topic => plain(Value::String(batch.topic.clone())),
            ValueSource::Partition => plain(number(&batch.partitions, self.row, Value::Int32)),
            ValueSource::Offset => plain(number(&batch.offsets, self.row, Value::Int64)),
            ValueSource::Timestamp => plain(match batch.timestamps.get(self.row) {
                Some(-1) | None => Value::Null,
                Some(millis) => Value::Date(*millis),
            }),
            ValueSource::Header(name) => plain(self.header(name)?),
            ValueSource::Constant(value) => plain(constant(value)?),
        })
    }

    fn header(&self, name: &str) -> Result<Value, String> {
        let of_row = self.values.headers.get(self.row);
        let found =
            of_row.and_then(|all| all.iter().rev().find(|(key, _)| *key == name.as_bytes()));
        match found {
            Some((_, value)) => to_connect_header(*value)
                .map(|header| header.value)
                .map_err(|error| format!("header {name:?}: {error}")),
            None => Ok(Value::Null),
        }
    }
}

fn number<T: Copy>(column: &[T], row: usize, value: impl Fn(T) -> Value) -> Value {
    column.get(row).copied().map_or(Value::Null, value)
}

fn field<'a>(
    part: &str,
    (schema, value): fields::Typed<'a>,
    path: &str,
) -> Result<Found<'a>, String> {
    if !matches!(value, Value::Struct(_) | Value::Map(_)) {
        return Err(format!(
            "the {part} is {}, which has no field {path:?}; it takes a struct or a map",
            value.type_name()
        ));
    }
    let (schema, value) = fields::field((schema, value), path).unwrap_or((None, &Value::Null));
    Ok(Found {
        schema,
        value: Cow::Borrowed(value),
    })
}

/// A constant as a value of Connect, whose timestamps have milliseconds.
pub(crate) fn constant(value: &SqlValue) -> Result<Value, String> {
    Ok(match value {
        SqlValue::Null => Value::Null,
        SqlValue::Boolean(truth) => Value::Boolean(*truth),
        SqlValue::Int64(number) => Value::Int64(*number),
        SqlValue::Float64(number) => Value::Float64(*number),
        SqlValue::Decimal(digits) => Value::Decimal(
            Decimal::parse(digits).ok_or_else(|| format!("{digits:?} is no decimal number"))?,
        ),
        SqlValue::Text(text) => Value::String(text.clone()),
        SqlValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
        SqlValue::TimestampMicros(micros) => Value::Date(micros.div_euclid(1000)),
    })
}
