//! `org.apache.kafka.connect.json.JsonConverter`, record by record.

use std::sync::Arc;

use tidegate_model::columns::ByteColumn;

use crate::{
    converter::{Converter, RowError},
    converters::{envelope, json_columns, schema_cache::SchemaCache},
    decoded::DecodedColumn,
    encoded::EncodedColumn,
    error::{ConvertError, ConverterConfigError},
    json::node::Node,
    payload::{
        read::{self, Nulls},
        write::{self, Format},
    },
    schema::Schema,
    schema_json,
    settings::Settings,
    value::{SchemaAndValue, Value},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct JsonConverter {
    /// `schemas.enable`
    pub(crate) envelope: bool,
    pub(crate) format: Format,
    pub(crate) nulls: Nulls,
    /// `schema.content` (KIP-1054): with it, records from Kafka are payloads without an envelope.
    pub(crate) fixed_schema: Option<Arc<Schema>>,
    pub(crate) cache: SchemaCache,
}

impl JsonConverter {
    /// # Errors
    /// If a setting is not allowed.
    pub(crate) fn new(settings: Settings<'_>) -> Result<Self, ConverterConfigError> {
        let envelope = settings.boolean("schemas.enable", true)?;
        let replace = settings.boolean("replace.null.with.default", true)?;
        let max_schemas = settings.int("schemas.cache.size", 1000)?;
        let numeric_decimals = match settings
            .text("decimal.format")
            .map(str::to_ascii_uppercase)
            .as_deref()
        {
            None | Some("BASE64") => false,
            Some("NUMERIC") => true,
            Some(_) => return Err(settings.wrong("decimal.format", "BASE64 or NUMERIC")),
        };
        let coerce = match settings.text("tidegate.json.coercion") {
            None | Some("strict") => false,
            Some("kafka") => true,
            Some(_) => return Err(settings.wrong("tidegate.json.coercion", "strict or kafka")),
        };
        let fixed_schema = match settings.text("schema.content") {
            None | Some("") => None,
            Some(text) => Node::parse(text.as_bytes())
                .and_then(|node| match node {
                    Node::Null | Node::Missing => Ok(None),
                    node => schema_json::parse(&node, replace, 0)
                        .map(Arc::new)
                        .map(Some),
                })
                .map_err(|source| ConverterConfigError::SchemaContent {
                    key: settings.key("schema.content"),
                    source,
                })?,
        };
        Ok(Self {
            envelope,
            format: Format {
                numeric_decimals,
                replace_nulls: replace,
            },
            nulls: Nulls {
                coerce,
                replace,
                strict: false,
            },
            fixed_schema: fixed_schema.filter(|_| envelope),
            cache: SchemaCache::new(usize::try_from(max_schemas).unwrap_or_default(), replace),
        })
    }
}

impl JsonConverter {
    /// The value of a payload.
    pub(crate) fn read(
        &self,
        schema: Option<&Arc<Schema>>,
        node: &Node<'_>,
    ) -> Result<Value, ConvertError> {
        if schema.is_none() && !self.nulls.coerce {
            read::check_numbers(node)?;
        }
        read::read(schema, node, self.nulls)
    }
}

impl Converter for JsonConverter {
    fn to_connect(&self, bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue {
                schema: None,
                value: Value::Null,
            });
        };
        if !self.envelope || self.fixed_schema.is_some() {
            let schema = self.fixed_schema.clone();
            let value = self.read(schema.as_ref(), &Node::parse(bytes)?)?;
            return Ok(SchemaAndValue { schema, value });
        }
        let (schema, payload) = envelope::split(bytes, &mut Vec::new())?;
        let schema = self.cache.get(schema)?;
        let value = self.read(schema.as_ref(), &Node::parse_span(payload)?)?;
        Ok(SchemaAndValue { schema, value })
    }

    fn from_connect(
        &self,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        if schema.is_none() && value.is_null() {
            return Ok(None);
        }
        let mut out = Vec::new();
        if self.envelope {
            out = envelope::prefix(schema, self.format)?;
        }
        write::write(&mut out, schema, value, self.format)?;
        if self.envelope {
            out.push(b'}');
        }
        Ok(Some(out))
    }

    fn encode_column(&self, input: EncodedColumn) -> (ByteColumn, Vec<RowError>) {
        json_columns::encode(self, input)
    }

    fn decode_column(&self, kafka: ByteColumn) -> (DecodedColumn, Vec<RowError>) {
        if self.envelope || self.fixed_schema.is_some() {
            json_columns::decode_envelopes(self, &kafka)
        } else {
            json_columns::decode_plain(kafka, self.nulls.coerce)
        }
    }
}
