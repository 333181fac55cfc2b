//! Values as SQLite's.

use std::path::Path;

use rusqlite::{
    Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use tidegate_convert::{Value, write_text};

use super::error::{self, Failure};
use crate::fields::Typed;

/// A statement whose parameters are given one by one.
pub(super) struct Parameters<'a, 'db> {
    pub(super) statement: &'a mut Statement<'db>,
    pub(super) file: &'a Path,
    /// Space for texts.
    pub(super) scratch: Vec<u8>,
}

impl Parameters<'_, '_> {
    /// Gives parameter `number`, from 1, a value of Connect. `column` is for errors.
    pub(super) fn value(
        &mut self,
        number: usize,
        column: &str,
        (schema, value): Typed<'_>,
    ) -> Result<(), Failure> {
        let value = match value {
            Value::Null => ValueRef::Null,
            Value::Boolean(truth) => ValueRef::Integer(i64::from(*truth)),
            Value::Int8(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int16(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int32(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int64(number) => ValueRef::Integer(*number),
            Value::Float32(number) => real(column, f64::from(*number))?,
            Value::Float64(number) => real(column, *number)?,
            Value::String(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Decimal(_)
            | Value::Date(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => {
                self.scratch.clear();
                write_text(&mut self.scratch, schema, value)
                    .map_err(|error| Failure::Row(format!("column {column:?}: {error}")))?;
                ValueRef::Text(&self.scratch)
            }
        };
        bind(self.statement, self.file, number, value)
    }
}

/// SQLite would make NULL of it without a word.
fn real(column: &str, number: f64) -> Result<ValueRef<'static>, Failure> {
    if number.is_nan() {
        return Err(Failure::Row(format!(
            "column {column:?}: the value is NaN, which SQLite cannot store"
        )));
    }
    Ok(ValueRef::Real(number))
}

struct Borrowed<'a>(ValueRef<'a>);

impl ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

fn bind(
    statement: &mut Statement<'_>,
    file: &Path,
    number: usize,
    value: ValueRef<'_>,
) -> Result<(), Failure> {
    statement
        .raw_bind_parameter(number, Borrowed(value))
        .map_err(|error| error::failure(file, &error))
}
