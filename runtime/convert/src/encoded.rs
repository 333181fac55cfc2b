//! A column of keys or values that a guest built.

use std::sync::Arc;

use tidegate_model::columns::{ByteColumn, Encoding};

use crate::{converter::RowError, error::ConvertError, forms, schema::Schema, value::Value};

/// Index of a row without a schema.
pub const NO_SCHEMA: u16 = u16::MAX;

/// Keys or values in the form of `wit/records.wit`.
#[derive(Debug, Clone)]
pub struct EncodedColumn {
    /// How each row is encoded.
    pub encoding: Encoding,
    /// The rows.
    pub bytes: ByteColumn,
    /// Distinct schemas.
    pub schemas: Vec<Arc<Schema>>,
    /// Index into `schemas` a row, [`NO_SCHEMA`] for none. Empty: all rows have the first one, or
    /// none if there is none.
    pub schema_index: Vec<u16>,
}

impl EncodedColumn {
    /// Number of the schema of `row`, `None` if it has none.
    ///
    /// # Errors
    /// If there is no such schema.
    pub(crate) fn schema_number(&self, row: usize) -> Result<Option<usize>, ConvertError> {
        if self.schema_index.is_empty() {
            return Ok((!self.schemas.is_empty()).then_some(0));
        }
        match self.schema_index.get(row).copied().unwrap_or(NO_SCHEMA) {
            NO_SCHEMA => Ok(None),
            index if usize::from(index) < self.schemas.len() => Ok(Some(usize::from(index))),
            index => Err(ConvertError::SchemaIndex { index }),
        }
    }

    /// Whether every row has a schema that `accept` takes; it is asked about `None` if a row may
    /// have no schema.
    pub(crate) fn all_schemas(&self, accept: impl Fn(Option<&Schema>) -> bool) -> bool {
        let every = |schemas: &[Arc<Schema>]| schemas.iter().all(|schema| accept(Some(schema)));
        if self.schema_index.is_empty() {
            return match self.schemas.first() {
                Some(schema) => accept(Some(schema)),
                None => accept(None),
            };
        }
        let known = |index: &u16| *index == NO_SCHEMA || usize::from(*index) < self.schemas.len();
        let whole = self.schema_index.len() >= self.bytes.len();
        let some_without = !whole || self.schema_index.contains(&NO_SCHEMA);
        every(&self.schemas)
            && self.schema_index.iter().all(known)
            && (!some_without || accept(None))
    }

    /// Each row's schema and value; Kafka's null gives [`Value::Null`].
    pub fn rows(
        &self,
    ) -> impl Iterator<Item = Result<(Option<&Arc<Schema>>, Value), ConvertError>> {
        self.bytes.iter().enumerate().map(|(row, bytes)| {
            let schema = self
                .schema_number(row)?
                .and_then(|number| self.schemas.get(number));
            let value = match bytes {
                Some(bytes) => forms::read::read(self.encoding, schema, bytes)?,
                None => Value::Null,
            };
            Ok((schema, value))
        })
    }

    /// Row for row through `convert`, Kafka's nulls excepted.
    pub(crate) fn convert(
        &self,
        convert: impl Fn(Option<&Schema>, &Value) -> Result<Option<Vec<u8>>, ConvertError>,
    ) -> (ByteColumn, Vec<RowError>) {
        let mut out = ByteColumn::with_capacity(self.bytes.len(), self.bytes.bytes());
        let mut errors = Vec::new();
        for (row, (bytes, read)) in self.bytes.iter().zip(self.rows()).enumerate() {
            if bytes.is_none() {
                out.push(None);
                continue;
            }
            let converted =
                read.and_then(|(schema, value)| convert(schema.map(AsRef::as_ref), &value));
            match converted {
                Ok(bytes) => out.push(bytes.as_deref()),
                Err(error) => {
                    out.push(None);
                    errors.push(RowError::new(row, error));
                }
            }
        }
        (out, errors)
    }
}
