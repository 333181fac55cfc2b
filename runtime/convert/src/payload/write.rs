//! From values to JSON, as strict as Connect's JsonConverter is in this direction.

use crate::{
    calendar::DAY_MS,
    error::ConvertError,
    json::write as json,
    schema::{Logical, Schema, Type},
    value::{Struct, Value},
};

/// The settings that change what is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// `decimal.format=NUMERIC`
    pub(crate) numeric_decimals: bool,
    /// `replace.null.with.default`
    pub(crate) replace_nulls: bool,
}

/// Appends `value`.
///
/// # Errors
/// If it is not what `schema` says, or has no JSON form without one.
pub(crate) fn write(
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
    format: Format,
) -> Result<(), ConvertError> {
    let Some(schema) = schema else {
        return schemaless(out, value, format);
    };
    if value.is_null() {
        return match &schema.default {
            // A default of null would lead here again.
            Some(default) if format.replace_nulls && !default.is_null() => {
                write_default(out, schema, default, format)
            }
            _ if schema.optional => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            _ => Err(ConvertError::RequiredNull {
                kind: schema.kind_name(),
            }),
        };
    }
    match schema.logical() {
        Some(logical) => logical_value(out, logical, schema, value, format),
        None => typed(out, schema, value, format),
    }
}

/// Appends the default of `schema`. A struct there was made before its schema had the default,
/// so the two schemas are not compared.
///
/// # Errors
/// If it is no value of the schema.
pub(crate) fn write_default(
    out: &mut Vec<u8>,
    schema: &Schema,
    default: &Value,
    format: Format,
) -> Result<(), ConvertError> {
    match default {
        Value::Struct(fields) => structure(out, fields, format),
        other => write(out, Some(schema), other, format),
    }
}

fn schemaless(out: &mut Vec<u8>, value: &Value, format: Format) -> Result<(), ConvertError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Array(items) => return array(out, None, items, format),
        Value::Map(entries) => {
            let as_object = entries
                .iter()
                .all(|(key, _)| matches!(key, Value::String(_)));
            return map(out, (None, None), entries, as_object, format);
        }
        Value::Struct(fields) => return structure(out, fields, format),
        Value::Decimal(_) | Value::Date(_) => {
            return Err(ConvertError::Mismatch {
                expected: "a schema along with a logical type",
                found: value.type_name(),
            });
        }
        scalar => write_scalar(out, scalar),
    }
    Ok(())
}

fn write_scalar(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Int8(number) => json::int(out, i64::from(*number)),
        Value::Int16(number) => json::int(out, i64::from(*number)),
        Value::Int32(number) => json::int(out, i64::from(*number)),
        Value::Int64(number) => json::int(out, *number),
        Value::Float32(number) => json::float32(out, *number),
        Value::Float64(number) => json::float64(out, *number),
        Value::String(text) => json::string(out, text),
        Value::Bytes(bytes) => json::base64(out, bytes),
        _ => out.extend_from_slice(b"null"),
    }
}

fn typed(
    out: &mut Vec<u8>,
    schema: &Schema,
    value: &Value,
    format: Format,
) -> Result<(), ConvertError> {
    match (schema.kind, value) {
        (Type::Boolean, Value::Boolean(_))
        | (Type::Int8, Value::Int8(_))
        | (Type::Int16, Value::Int16(_))
        | (Type::Int32, Value::Int32(_))
        | (Type::Int64, Value::Int64(_))
        | (Type::Float32, Value::Float32(_))
        | (Type::Float64, Value::Float64(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_)) => {
            write_scalar(out, value);
            Ok(())
        }
        (Type::Array, Value::Array(items)) => {
            array(out, schema.value_schema.as_deref(), items, format)
        }
        (Type::Map, Value::Map(entries)) => {
            let schemas = (schema.key_schema.as_deref(), schema.value_schema.as_deref());
            map(out, schemas, entries, schema.has_string_keys(), format)
        }
        (Type::Struct, Value::Struct(fields)) => {
            let own = fields.schema();
            if std::ptr::eq(&raw const **own, schema) || **own == *schema {
                structure(out, fields, format)
            } else {
                Err(ConvertError::SchemaMismatch)
            }
        }
        _ => Err(ConvertError::Mismatch {
            expected: schema.kind.name(),
            found: value.type_name(),
        }),
    }
}

fn array(
    out: &mut Vec<u8>,
    items: Option<&Schema>,
    values: &[Value],
    format: Format,
) -> Result<(), ConvertError> {
    let mut result = Ok(());
    json::list(out, b"[]", values, |out, value| {
        if result.is_ok() {
            result = write(out, items, value, format);
        }
    });
    result
}

fn map(
    out: &mut Vec<u8>,
    (keys, values): (Option<&Schema>, Option<&Schema>),
    entries: &[(Value, Value)],
    as_object: bool,
    format: Format,
) -> Result<(), ConvertError> {
    let mut result = Ok(());
    let brackets = if as_object { b"{}" } else { b"[]" };
    json::list(out, brackets, entries, |out, (key, value)| {
        if result.is_err() {
            return;
        }
        result = if !as_object {
            out.push(b'[');
            let pair = write(out, keys, key, format).and_then(|()| {
                out.push(b',');
                write(out, values, value, format)
            });
            out.push(b']');
            pair
        } else {
            let name = match (key, keys) {
                (Value::String(name), _) => Ok(name.as_str()),
                // Jackson's text of its null node.
                (Value::Null, Some(keys)) if keys.optional => Ok("null"),
                (other, _) => Err(ConvertError::Mismatch {
                    expected: "string",
                    found: other.type_name(),
                }),
            };
            name.and_then(|name| {
                json::string(out, name);
                out.push(b':');
                write(out, values, value, format)
            })
        };
    });
    result
}

fn structure(out: &mut Vec<u8>, fields: &Struct, format: Format) -> Result<(), ConvertError> {
    let mut result = Ok(());
    let named = fields.schema().fields.iter().zip(fields.values());
    json::list(out, b"{}", named, |out, (field, value)| {
        if result.is_ok() {
            json::string(out, &field.name);
            out.push(b':');
            result = write(out, Some(&field.schema), value, format)
                .map_err(|error| error.in_field(&field.name));
        }
    });
    result
}

fn logical_value(
    out: &mut Vec<u8>,
    logical: Logical,
    schema: &Schema,
    value: &Value,
    format: Format,
) -> Result<(), ConvertError> {
    match (logical, value) {
        (Logical::Decimal, Value::Decimal(decimal)) if format.numeric_decimals => {
            out.extend_from_slice(decimal.to_string().as_bytes());
        }
        (Logical::Decimal, Value::Decimal(decimal)) => {
            let expected = schema.scale()?;
            if decimal.scale() != expected {
                return Err(ConvertError::Scale {
                    expected,
                    found: decimal.scale(),
                });
            }
            json::base64(out, &decimal.to_bytes());
        }
        (Logical::Date, Value::Date(millis)) => {
            if millis.rem_euclid(DAY_MS) != 0 {
                return Err(ConvertError::DateWithTime { millis: *millis });
            }
            // Java cuts days beyond int32 likewise.
            json::int(out, i64::from((millis / DAY_MS) as i32));
        }
        (Logical::Time, Value::Date(millis)) => {
            if !(0..=DAY_MS).contains(millis) {
                return Err(ConvertError::TimeOutsideDay { millis: *millis });
            }
            json::int(out, *millis);
        }
        (Logical::Timestamp, Value::Date(millis)) => json::int(out, *millis),
        _ => {
            return Err(ConvertError::Mismatch {
                expected: logical.name(),
                found: value.type_name(),
            });
        }
    }
    Ok(())
}
