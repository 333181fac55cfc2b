//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: header values as text, whose type is
//! guessed from what it looks like.

mod merge;
mod parse;
mod print;
mod tokens;

use std::sync::Arc;

use crate::{
    error::ConvertError,
    schema::{Schema, Type},
    value::{SchemaAndValue, Value},
};

/// Reads a header from Kafka. What looks like nothing else is a string.
///
/// # Errors
/// Only for the text `null`: see [`ConvertError::NullHeader`].
pub fn to_connect_header(bytes: Option<&[u8]>) -> Result<SchemaAndValue, ConvertError> {
    let Some(bytes) = bytes else {
        return Ok(SchemaAndValue {
            schema: None,
            value: Value::Null,
        });
    };
    let text = String::from_utf8_lossy(bytes);
    match parse::parse(&text) {
        Some(parse::Parsed {
            schema: None,
            value: Value::Null,
        }) => Err(ConvertError::NullHeader),
        Some(parse::Parsed { schema, value }) => Ok(SchemaAndValue { schema, value }),
        None => Ok(SchemaAndValue {
            schema: Some(Arc::new(Schema::new(Type::String))),
            value: Value::String(text.into_owned()),
        }),
    }
}

/// Writes a header for Kafka (`Values.convertToString`). The schema makes no difference: dates
/// are written by what their milliseconds look like.
///
/// # Errors
/// None so far; the type is that of the other converters.
pub fn from_connect_header(
    _schema: Option<&Schema>,
    value: &Value,
) -> Result<Option<Vec<u8>>, ConvertError> {
    if value.is_null() {
        return Ok(None);
    }
    let mut text = String::new();
    print::print(&mut text, value, false);
    Ok(Some(text.into_bytes()))
}
