//! `org.apache.kafka.connect.storage.StringConverter`: text, and Java's `toString` of what is none.

use std::sync::Arc;

use tidegate_model::columns::{ByteColumn, Encoding};

use crate::{
    converter::{Converter, RowError},
    converters::charset::Charset,
    decoded::{DecodedColumn, Form},
    encoded::EncodedColumn,
    error::{ConvertError, ConverterConfigError},
    java_text,
    schema::{Schema, Type},
    settings::Settings,
    value::{SchemaAndValue, Value},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct StringConverter {
    charset: Charset,
    schema: Arc<Schema>,
}

impl StringConverter {
    /// # Errors
    /// If `converter.encoding` is not supported.
    pub(crate) fn new(settings: Settings<'_>) -> Result<Self, ConverterConfigError> {
        let name = settings.text("converter.encoding").unwrap_or("UTF-8");
        let charset = Charset::named(name)
            .ok_or_else(|| settings.wrong("converter.encoding", Charset::NAMES))?;
        Ok(Self {
            charset,
            schema: Arc::new(Schema::new(Type::String).optional()),
        })
    }
}

impl Converter for StringConverter {
    fn to_connect(&self, bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError> {
        let text = |bytes| Value::String(self.charset.decode(bytes).into_owned());
        let value = bytes.map_or(Value::Null, text);
        Ok(SchemaAndValue {
            schema: Some(Arc::clone(&self.schema)),
            value,
        })
    }

    /// Bytes are the text as it is: the object's address that Java writes is of no use to anyone.
    fn from_connect(
        &self,
        _schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        Ok(match value {
            Value::Null => None,
            Value::Bytes(bytes) => Some(bytes.clone()),
            Value::String(text) => Some(self.charset.encode(text)),
            other => {
                let mut text = String::new();
                java_text::text(&mut text, other);
                Some(self.charset.encode(&text))
            }
        })
    }

    fn encode_column(&self, input: EncodedColumn) -> (ByteColumn, Vec<RowError>) {
        let text = |schema: Option<&Schema>| {
            schema.is_none_or(|schema| {
                matches!(schema.kind, Type::String | Type::Bytes) && schema.logical().is_none()
            })
        };
        let utf8 = self.charset == Charset::Utf8;
        if utf8 && input.encoding == Encoding::Raw && input.all_schemas(text) {
            return (input.bytes, Vec::new());
        }
        input.convert(|schema, value| self.from_connect(schema, value))
    }

    fn decode_column(&self, kafka: ByteColumn) -> (DecodedColumn, Vec<RowError>) {
        let column = if self.charset == Charset::Utf8 && is_utf8(&kafka) {
            kafka
        } else {
            let mut text = ByteColumn::with_capacity(kafka.len(), kafka.bytes());
            for bytes in kafka.iter() {
                text.push(
                    bytes
                        .map(|bytes| self.charset.decode(bytes))
                        .as_deref()
                        .map(str::as_bytes),
                );
            }
            text
        };
        let schema = Some(Arc::clone(&self.schema));
        (
            DecodedColumn::packed(Form::Text(Arc::new(column)), schema),
            Vec::new(),
        )
    }
}

/// Whether all rows are UTF-8; one pass over the data, without a look at single rows while all
/// of it is ASCII.
fn is_utf8(column: &ByteColumn) -> bool {
    column.data().is_ascii()
        || column
            .iter()
            .flatten()
            .all(|bytes| std::str::from_utf8(bytes).is_ok())
}
