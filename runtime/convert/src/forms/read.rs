//! A guest's bytes as a value.

use std::sync::Arc;

use tidegate_model::columns::Encoding;

use crate::{
    error::ConvertError,
    forms::{cbor_read, conform},
    json::{node::Node, number},
    schema::{Schema, Type},
    value::Value,
};

/// The value of one row that is not null.
///
/// # Errors
/// If the bytes are not of the encoding's form, or not of the schema's type.
pub(crate) fn read(
    encoding: Encoding,
    schema: Option<&Arc<Schema>>,
    bytes: &[u8],
) -> Result<Value, ConvertError> {
    let free = match encoding {
        Encoding::Raw => match schema.map(|schema| (schema.kind, schema.logical())) {
            None | Some((Type::Bytes, None)) => return Ok(Value::Bytes(bytes.to_vec())),
            Some((Type::String, None)) => {
                return utf8(bytes).map(|text| Value::String(text.into()));
            }
            Some(_) => json(bytes)?,
        },
        Encoding::Json => json(bytes)?,
        Encoding::Cbor => cbor_read::read(bytes)?,
    };
    match schema {
        Some(schema) => conform::conform(schema, free, encoding == Encoding::Cbor),
        None => Ok(free),
    }
}

/// The bytes as text.
///
/// # Errors
/// If they are no UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, ConvertError> {
    std::str::from_utf8(bytes).map_err(|error| ConvertError::Utf8 {
        valid_bytes: error.valid_up_to(),
    })
}

/// JSON's own types: null, boolean, int64 (if there is neither point nor exponent), float64,
/// string, array, map.
fn json(bytes: &[u8]) -> Result<Value, ConvertError> {
    match Node::parse(bytes)? {
        Node::Missing => Err(ConvertError::Json {
            offset: 0,
            problem: "no value",
        }),
        node => from_node(node),
    }
}

fn from_node(node: Node<'_>) -> Result<Value, ConvertError> {
    Ok(match node {
        Node::Missing | Node::Null => Value::Null,
        Node::Boolean(truth) => Value::Boolean(truth),
        Node::Number(text) if number::is_integral(text) => Value::Int64(
            text.parse()
                .map_err(|_| ConvertError::range("int64", text))?,
        ),
        Node::Number(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float64(number),
            _ => return Err(ConvertError::range("float64", text)),
        },
        Node::String(text) => Value::String(text.into_owned()),
        Node::Array(items) => {
            Value::Array(items.into_iter().map(from_node).collect::<Result<_, _>>()?)
        }
        Node::Object(members) => Value::Map(
            members
                .into_iter()
                .map(|(name, node)| Ok((Value::String(name.into_owned()), from_node(node)?)))
                .collect::<Result<_, ConvertError>>()?,
        ),
    })
}
