//! Values as the JSON that guests see.

use crate::{
    calendar,
    decimal::Decimal,
    error::ConvertError,
    forms::MAX_PLAIN_DECIMAL_BYTES,
    json::write as json,
    schema::{Logical, Schema},
    value::Value,
};

/// Appends `value`. Only dates need the schema: it says which of the three logical types they
/// are; without one they are timestamps.
///
/// # Errors
/// If a decimal's plain digits are too many.
pub(crate) fn write(
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Result<(), ConvertError> {
    let child = |schema: Option<&Schema>| schema.and_then(|schema| schema.value_schema.clone());
    let mut result = Ok(());
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Int8(number) => json::int(out, i64::from(*number)),
        Value::Int16(number) => json::int(out, i64::from(*number)),
        Value::Int32(number) => json::int(out, i64::from(*number)),
        Value::Int64(number) => json::int(out, *number),
        Value::Float32(number) => json::float32(out, *number),
        Value::Float64(number) => json::float64(out, *number),
        Value::String(text) => json::string(out, text),
        Value::Bytes(bytes) => json::base64(out, bytes),
        Value::Decimal(decimal) => json::string(out, &plain(decimal)?),
        Value::Date(millis) => json::string(out, &date(schema, *millis)),
        Value::Array(items) => {
            let schema = child(schema);
            json::list(out, b"[]", items, |out, item| {
                if result.is_ok() {
                    result = write(out, schema.as_deref(), item);
                }
            });
        }
        Value::Map(entries) => {
            let keys = schema.and_then(|schema| schema.key_schema.as_deref());
            let values = child(schema);
            let as_object = entries
                .iter()
                .all(|(key, _)| matches!(key, Value::String(_)))
                && (keys.is_none() || schema.is_some_and(Schema::has_string_keys));
            let brackets = if as_object { b"{}" } else { b"[]" };
            json::list(out, brackets, entries, |out, (key, item)| {
                if result.is_err() {
                    return;
                }
                out.extend_from_slice(if as_object { b"" } else { b"[" });
                result = write(out, keys, key).and_then(|()| {
                    out.push(if as_object { b':' } else { b',' });
                    write(out, values.as_deref(), item)
                });
                out.extend_from_slice(if as_object { b"" } else { b"]" });
            });
        }
        Value::Struct(fields) => {
            let named = fields.schema().fields.iter().zip(fields.values());
            json::list(out, b"{}", named, |out, (field, item)| {
                if result.is_ok() {
                    json::string(out, &field.name);
                    out.push(b':');
                    result = write(out, Some(&field.schema), item)
                        .map_err(|error| error.in_field(&field.name));
                }
            });
        }
    }
    result
}

/// Plain digits of a decimal.
///
/// # Errors
/// If they are too many.
pub(crate) fn plain(decimal: &Decimal) -> Result<String, ConvertError> {
    decimal
        .to_plain(MAX_PLAIN_DECIMAL_BYTES)
        .ok_or_else(|| ConvertError::range("Decimal", &decimal.to_string()))
}

/// The text of a date.
pub(crate) fn date(schema: Option<&Schema>, millis: i64) -> String {
    match schema.and_then(Schema::logical) {
        Some(Logical::Date) => calendar::date(millis),
        Some(Logical::Time) => calendar::time(millis),
        _ => calendar::timestamp(millis),
    }
}
