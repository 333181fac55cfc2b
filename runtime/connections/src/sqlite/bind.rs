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
    pub(super) scratch: &'a mut Vec<u8>,
}

/// Why a parameter was not given.
#[derive(Debug)]
pub(super) enum Problem {
    /// What is wrong with the value.
    Value(String),
    /// SQLite did not take it.
    Statement(Failure),
}

impl Parameters<'_, '_> {
    /// Gives parameter `number`, from 1, a value of Connect.
    pub(super) fn value(
        &mut self,
        number: usize,
        (schema, value): Typed<'_>,
    ) -> Result<(), Problem> {
        let value = match value {
            Value::Null => ValueRef::Null,
            Value::Boolean(truth) => ValueRef::Integer(i64::from(*truth)),
            Value::Int8(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int16(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int32(number) => ValueRef::Integer(i64::from(*number)),
            Value::Int64(number) => ValueRef::Integer(*number),
            Value::Float32(number) => real(f64::from(*number))?,
            Value::Float64(number) => real(*number)?,
            Value::String(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Decimal(_)
            | Value::Date(_)
            | Value::Array(_)
            | Value::Map(_)
            | Value::Struct(_) => {
                self.scratch.clear();
                write_text(self.scratch, schema, value)
                    .map_err(|error| Problem::Value(error.to_string()))?;
                ValueRef::Text(self.scratch)
            }
        };
        self.statement
            .raw_bind_parameter(number, Borrowed(value))
            .map_err(|error| Problem::Statement(error::failure(self.file, &error)))
    }
}

/// SQLite would make NULL of it without a word.
fn real(number: f64) -> Result<ValueRef<'static>, Problem> {
    if number.is_nan() {
        return Err(Problem::Value("SQLite cannot store NaN".to_owned()));
    }
    Ok(ValueRef::Real(number))
}

struct Borrowed<'a>(ValueRef<'a>);

impl ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}
