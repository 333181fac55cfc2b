//! `org.apache.kafka.connect.converters.ByteArrayConverter`: bytes as they are.

use std::sync::Arc;

use tidegate_model::columns::{ByteColumn, Encoding};

use crate::{
    converter::{Converter, RowError},
    decoded::{DecodedColumn, Form},
    encoded::EncodedColumn,
    error::ConvertError,
    schema::{Schema, Type},
    value::{SchemaAndValue, Value},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct ByteArrayConverter {
    schema: Arc<Schema>,
}

impl ByteArrayConverter {
    pub(crate) fn new() -> Self {
        Self {
            schema: Arc::new(Schema::new(Type::Bytes).optional()),
        }
    }
}

impl Converter for ByteArrayConverter {
    fn to_connect(&self, bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError> {
        let value = bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.to_vec()));
        Ok(SchemaAndValue {
            schema: Some(Arc::clone(&self.schema)),
            value,
        })
    }

    fn from_connect(
        &self,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let refused = |found| {
            Err(ConvertError::Refused {
                class: "ByteArrayConverter",
                found,
            })
        };
        match (schema, value) {
            (Some(schema), _) if schema.kind != Type::Bytes => refused(schema.kind.name()),
            (_, Value::Null) => Ok(None),
            (_, Value::Bytes(bytes)) => Ok(Some(bytes.clone())),
            (_, other) => refused(other.type_name()),
        }
    }

    fn encode_column(&self, input: EncodedColumn) -> (ByteColumn, Vec<RowError>) {
        let plain = |schema: Option<&Schema>| {
            schema.is_none_or(|schema| schema.kind == Type::Bytes && schema.logical().is_none())
        };
        if input.encoding == Encoding::Raw && input.all_schemas(plain) {
            return (input.bytes, Vec::new());
        }
        input.convert(|schema, value| self.from_connect(schema, value))
    }

    fn decode_column(&self, kafka: ByteColumn) -> (DecodedColumn, Vec<RowError>) {
        let schema = Some(Arc::clone(&self.schema));
        (
            DecodedColumn::packed(Form::Bytes(Arc::new(kafka)), schema),
            Vec::new(),
        )
    }
}
