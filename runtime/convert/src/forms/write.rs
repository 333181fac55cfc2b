//! A value as the bytes that a guest asked for.

use tidegate_model::columns::Encoding;

use crate::{
    error::ConvertError,
    forms::{cbor_write, json_write},
    schema::Schema,
    value::Value,
};

/// Appends a value that is not null, in the form that the table in `wit/records.wit` gives.
///
/// # Errors
/// If a decimal's plain digits are too many.
pub(crate) fn write(
    out: &mut Vec<u8>,
    encoding: Encoding,
    schema: Option<&Schema>,
    value: &Value,
) -> Result<(), ConvertError> {
    match (encoding, value) {
        (Encoding::Raw, Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        (Encoding::Raw, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Encoding::Raw | Encoding::Json, _) => json_write::write(out, schema, value)?,
        (Encoding::Cbor, _) => cbor_write::write(out, schema, value)?,
    }
    Ok(())
}
