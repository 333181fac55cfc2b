//! What every converter does.

use std::fmt::Debug;

use tidegate_model::columns::ByteColumn;

use crate::{
    decoded::DecodedColumn,
    encoded::EncodedColumn,
    error::ConvertError,
    schema::Schema,
    value::{SchemaAndValue, Value},
};

/// Which part of a record a converter is for; settings are named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `key.converter`
    Key,
    /// `value.converter`
    Value,
}

impl Side {
    /// The setting that names the converter, and the prefix of its own settings.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Key => "key.converter",
            Self::Value => "value.converter",
        }
    }
}

/// A row of a column that could not be converted; the row is null in the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The row, from 0.
    pub row: u32,
    /// Why.
    pub error: ConvertError,
}

impl RowError {
    pub(crate) fn new(row: usize, error: ConvertError) -> Self {
        Self {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            error,
        }
    }
}

/// Converts keys or values between Kafka's bytes and Connect's values.
pub trait Converter: Send + Sync + Debug {
    /// One record from Kafka (`Converter.toConnectData`); `None` is Kafka's null.
    ///
    /// # Errors
    /// Where the Java class throws.
    fn to_connect(&self, bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError>;

    /// One record for Kafka (`Converter.fromConnectData`).
    ///
    /// # Errors
    /// Where the Java class throws.
    #[allow(clippy::wrong_self_convention)] // Connect's name: from its values, by this converter.
    fn from_connect(
        &self,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError>;

    /// What a guest built, as Kafka's bytes. A row that is Kafka's null stays one whatever its
    /// schema; rows that fail become null and are listed.
    fn encode_column(&self, input: EncodedColumn) -> (ByteColumn, Vec<RowError>) {
        input.convert(|schema, value| self.from_connect(schema, value))
    }

    /// Kafka's bytes, as something that guests and transforms can read. Rows that fail become
    /// null and are listed.
    fn decode_column(&self, kafka: ByteColumn) -> (DecodedColumn, Vec<RowError>) {
        DecodedColumn::convert(&kafka, |bytes| self.to_connect(bytes))
    }
}
