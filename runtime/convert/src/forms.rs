//! What guests see: the table in `wit/records.wit`, both ways.

pub(crate) mod cbor_read;
pub(crate) mod cbor_write;
pub(crate) mod conform;
pub(crate) mod json_write;
pub(crate) mod read;
pub(crate) mod write;

use crate::{error::ConvertError, schema::Schema, value::Value};

/// Zeros that a decimal's plain digits may take: an exponent of a few bytes could ask for more
/// memory than there is.
pub(crate) const MAX_PLAIN_DECIMAL_BYTES: usize = 10_000;

/// Appends the text that stands for `value` where there are no Connect types, such as in a
/// database: strings, decimals and dates as the table in `wit/records.wit` has them but without
/// quotes, anything else as JSON.
///
/// # Errors
/// If a decimal's plain digits are too many.
pub fn write_text(
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Result<(), ConvertError> {
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Decimal(decimal) => {
            out.extend_from_slice(json_write::plain(decimal)?.as_bytes());
        }
        Value::Date(millis) => {
            out.extend_from_slice(json_write::date(schema, *millis).as_bytes());
        }
        other => json_write::write(out, schema, other)?,
    }
    Ok(())
}
