//! Rows of a query as a batch.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use rusqlite::{Rows, Statement, types::ValueRef};
use tidegate_convert::{
    DecodedColumn, Field, Schema, SchemaAndValue, Struct, Type, Value, write_text,
};
use tidegate_sandbox::{SinkBatch, SqlError};

use super::error;

/// A batch has no more rows, whatever is asked for.
const MAX_BATCH_ROWS: u32 = 10_000;
/// Nor does it grow past the row that makes it this long.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// # Errors
/// If the rows of `statement` do not make structs.
pub(super) fn check_columns(statement: &Statement<'_>) -> Result<(), SqlError> {
    let names = statement.column_names();
    if names.is_empty() {
        return Err(SqlError::Denied(
            "the statement answers no rows; use SELECT".to_owned(),
        ));
    }
    let mut known = BTreeSet::new();
    match names.iter().find(|name| !known.insert(**name)) {
        Some(twice) => Err(SqlError::Denied(format!(
            "two columns of the query are called {twice:?}; name one of them with AS"
        ))),
        None => Ok(()),
    }
}

/// The columns' names.
pub(super) fn names(statement: &Statement<'_>) -> Vec<String> {
    let names = statement.column_names();
    names.into_iter().map(str::to_owned).collect()
}

/// The next rows; none if there are no more. `first` is the number of the first of them.
pub(super) fn read(
    file: &Path,
    names: &[String],
    rows: &mut Rows<'_>,
    first: usize,
    max: u32,
) -> Result<Option<SinkBatch>, SqlError> {
    if max == 0 {
        return Err(SqlError::Denied(
            "no rows are asked for; ask for at least one".to_owned(),
        ));
    }
    let failed = |error: rusqlite::Error| error::whole(file, &error);
    let mut columns: Vec<Column> = names.iter().map(|_| Column::default()).collect();
    let (mut count, mut bytes) = (0, 0);
    while count < max.min(MAX_BATCH_ROWS) && bytes < MAX_BATCH_BYTES {
        let Some(row) = rows.next().map_err(failed)? else {
            break;
        };
        for (index, column) in columns.iter_mut().enumerate() {
            bytes += column.push(row.get_ref(index).map_err(failed)?);
        }
        count += 1;
    }
    Ok((count > 0).then(|| batch(names, columns, first, count as usize)))
}

fn batch(names: &[String], columns: Vec<Column>, first: usize, count: usize) -> SinkBatch {
    let field = |(name, column): (&String, &Column)| Field {
        name: name.clone(),
        schema: Arc::new(Schema::new(column.kind()).optional()),
    };
    let fields = names.iter().zip(&columns).map(field).collect();
    let schema = Arc::new(Schema::structure(fields));
    let mut columns: Vec<_> = columns.into_iter().map(Column::into_values).collect();
    let row = |_| {
        let values = columns.iter_mut().map(|column| column.next());
        let values = values.map(|value| value.unwrap_or(Value::Null)).collect();
        SchemaAndValue {
            schema: Some(Arc::clone(&schema)),
            value: Value::Struct(Struct::new(Arc::clone(&schema), values)),
        }
    };
    let nothing = || SchemaAndValue {
        schema: None,
        value: Value::Null,
    };
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    SinkBatch {
        topic: String::new(),
        partitions: vec![0; count],
        offsets: (first..).take(count).collect(),
        timestamps: vec![-1; count],
        keys: DecodedColumn::from_rows((0..count).map(|_| nothing())).0,
        values: DecodedColumn::from_rows((0..count).map(row)).0,
        headers: None,
    }
}

/// What one column holds in the rows of a batch: SQLite gives every value a type of its own.
#[derive(Default)]
struct Column {
    kind: Option<Type>,
    values: Vec<Value>,
}

impl Column {
    /// Answers how much memory the value takes, more or less.
    fn push(&mut self, value: ValueRef<'_>) -> usize {
        let (kind, value, bytes) = match value {
            ValueRef::Null => (None, Value::Null, 0),
            ValueRef::Integer(number) => (Some(Type::Int64), Value::Int64(number), 0),
            ValueRef::Real(number) => (Some(Type::Float64), Value::Float64(number), 0),
            ValueRef::Text(text) => {
                let value = Value::String(String::from_utf8_lossy(text).into_owned());
                (Some(Type::String), value, text.len())
            }
            ValueRef::Blob(bytes) => (Some(Type::Bytes), Value::Bytes(bytes.to_vec()), bytes.len()),
        };
        self.values.push(value);
        self.kind = match (self.kind, kind) {
            (Some(one), Some(other)) if one != other => Some(Type::String),
            (one, other) => one.or(other),
        };
        bytes + size_of::<Value>()
    }

    /// The type of all values; of a mixture, or of nothing but NULL, string.
    fn kind(&self) -> Type {
        self.kind.unwrap_or(Type::String)
    }

    fn into_values(self) -> impl Iterator<Item = Value> {
        let texts = self.kind() == Type::String;
        let value = move |value| if texts { text(value) } else { value };
        self.values.into_iter().map(value)
    }
}

/// A value among others of another type.
fn text(value: Value) -> Value {
    let text = match &value {
        Value::Null | Value::String(_) => return value,
        // So that it can be told from a whole number, as in SQLite's own texts.
        Value::Float64(number) => format!("{number:?}"),
        value => {
            let mut text = Vec::new();
            // Numbers and bytes have a text always.
            let _ = write_text(&mut text, None, value);
            // Base64 comes in quotes.
            let text = String::from_utf8_lossy(&text);
            text.trim_matches('"').to_owned()
        }
    };
    Value::String(text)
}
