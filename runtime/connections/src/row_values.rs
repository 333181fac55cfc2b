//! What the columns of a written row are filled with.

use std::borrow::Cow;

use tidegate_convert::{ConvertError, Decimal, DecodedColumn, Schema, Value, to_connect_header};
use tidegate_model::batch::{HeaderEntry, Headers};
use tidegate_sandbox::{SinkBatch, SqlValue, ValueSource, Write};

use crate::{fields, members::Names};

/// A value and its schema, if it has one.
pub(crate) struct Found<'a> {
    pub(crate) schema: Option<&'a Schema>,
    pub(crate) value: Cow<'a, Value>,
}

/// The rows of a batch as sources of values.
pub(crate) struct RowValues<'a> {
    batch: &'a SinkBatch,
    of_key: Wanted<'a>,
    of_value: Wanted<'a>,
    headers: Vec<Vec<HeaderEntry<'a>>>,
}

/// One row, its key and value unpacked once.
pub(crate) struct Row<'a> {
    values: &'a RowValues<'a>,
    row: usize,
    key: Part<'a>,
    value: Part<'a>,
}

/// What the columns take from keys, or from values.
enum Wanted<'a> {
    Nothing,
    Members(Names<'a>),
    Whole,
}

/// A key or a value as far as it is wanted.
enum Part<'a> {
    Whole(Cow<'a, Value>),
    Members(&'a Names<'a>, Vec<Option<Value>>),
}

impl<'a> Wanted<'a> {
    fn new(whole: bool, paths: Vec<&'a str>) -> Self {
        match (whole, paths.is_empty()) {
            (true, _) => Self::Whole,
            (false, true) => Self::Nothing,
            (false, false) => Names::of(paths.into_iter()).map_or(Self::Whole, Self::Members),
        }
    }

    /// That of `row`; none if there is no such row.
    fn part(&'a self, column: &'a DecodedColumn, row: usize) -> Option<Part<'a>> {
        match self {
            Self::Nothing => return Some(Part::Whole(Cow::Owned(Value::Null))),
            Self::Members(names) => {
                if let Some(members) = column.members(row, names.sorted()) {
                    return Some(Part::Members(names, members));
                }
            }
            Self::Whole => {}
        }
        column.value(row).map(Part::Whole)
    }
}

impl Part<'_> {
    /// Where members are enough, nobody asks for it.
    fn whole(&self) -> &Value {
        match self {
            Self::Whole(value) => value,
            Self::Members(..) => &Value::Null,
        }
    }
}

impl<'a> RowValues<'a> {
    pub(crate) fn new(batch: &'a SinkBatch, how: &'a Write) -> Self {
        use ValueSource as Source;
        let wants = |want: fn(&Source) -> bool| how.columns.iter().any(|(_, source)| want(source));
        let headers = if wants(|source| matches!(source, Source::Header(_))) {
            batch.headers.iter().flat_map(Headers::rows).collect()
        } else {
            Vec::new()
        };
        let paths = |path: fn(&Source) -> Option<&str>| {
            let sources = how.columns.iter().map(|(_, source)| source);
            sources.filter_map(path).collect()
        };
        let key_paths = paths(|source| match source {
            Source::KeyField(path) => Some(path),
            _ => None,
        });
        let value_paths = paths(|source| match source {
            Source::ValueField(path) => Some(path),
            _ => None,
        });
        Self {
            batch,
            of_key: Wanted::new(wants(|source| *source == Source::Key), key_paths),
            of_value: Wanted::new(wants(|source| *source == Source::Value), value_paths),
            headers,
        }
    }

    /// The row numbered `row`; none if there is no such row.
    pub(crate) fn row(&'a self, row: usize) -> Option<Row<'a>> {
        (row < self.batch.len()).then_some(())?;
        Some(Row {
            values: self,
            row,
            key: self.of_key.part(&self.batch.keys, row)?,
            value: self.of_value.part(&self.batch.values, row)?,
        })
    }
}

impl Row<'_> {
    /// What `source` holds in this row; none: a field that the record does not have, which is
    /// another thing than null.
    ///
    /// # Errors
    /// Why the row has no such thing, without the column's name.
    pub(crate) fn get(&self, source: &ValueSource) -> Result<Option<Found<'_>>, String> {
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
        Ok(Some(match source {
            ValueSource::ValueField(path) => {
                return field("value", value_schema, &self.value, path);
            }
            ValueSource::KeyField(path) => return field("key", key_schema, &self.key, path),
            ValueSource::Key => whole(key_schema, self.key.whole()),
            ValueSource::Value => whole(value_schema, self.value.whole()),
            ValueSource::Topic => plain(Value::String(batch.topic.clone())),
            ValueSource::Partition => plain(number(&batch.partitions, self.row, Value::Int32)),
            ValueSource::Offset => plain(number(&batch.offsets, self.row, Value::Int64)),
            ValueSource::Timestamp => plain(match batch.timestamps.get(self.row) {
                Some(-1) | None => Value::Null,
                Some(millis) => Value::Date(*millis),
            }),
            ValueSource::Header(name) => plain(self.header(name)?),
            ValueSource::Constant(value) => plain(constant(value)?),
        }))
    }

    fn header(&self, name: &str) -> Result<Value, String> {
        let of_row = self.values.headers.get(self.row);
        let found = of_row.and_then(|all| {
            all.iter()
                .rev()
                .find(|(key, _)| *key == Some(name.as_bytes()))
        });
        match found {
            Some((_, value)) => match to_connect_header(*value) {
                Ok(header) => Ok(header.value),
                Err(ConvertError::NullHeader) => Ok(Value::Null),
                Err(error) => Err(format!("header {name:?}: {error}")),
            },
            None => Ok(Value::Null),
        }
    }
}

fn number<T: Copy>(column: &[T], row: usize, value: impl Fn(T) -> Value) -> Value {
    column.get(row).copied().map_or(Value::Null, value)
}

fn field<'a>(
    name: &str,
    schema: Option<&'a Schema>,
    part: &'a Part<'_>,
    path: &str,
) -> Result<Option<Found<'a>>, String> {
    let find = |path: &str| match part {
        Part::Members(names, members) => names.field(members, path),
        Part::Whole(value) => fields::field((schema, value), path),
    };
    if let Part::Whole(value) = part
        && !matches!(**value, Value::Struct(_) | Value::Map(_))
    {
        return Err(format!(
            "the {name} is {}, which has no field {path:?}; it takes a struct or a map",
            value.type_name()
        ));
    }
    // What lies below a null is there, and null.
    let below_null = || {
        let mut above = path
            .match_indices('.')
            .filter_map(|(dot, _)| path.get(..dot));
        above.find_map(|path| find(path).filter(|(_, value)| value.is_null()))
    };
    let found = find(path).or_else(below_null);
    Ok(found.map(|(schema, value)| Found {
        schema,
        value: Cow::Borrowed(value),
    }))
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
