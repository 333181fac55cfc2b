//! From the types that JSON and CBOR have to those that a schema says, without leniency: a guest
//! that builds something else than its schema has a bug that should show.

use std::sync::Arc;

use crate::{
    base64_text, calendar,
    decimal::Decimal,
    error::ConvertError,
    schema::{Logical, Schema, Type},
    value::{Struct, Value},
};

/// `free`, which has the types of JSON or CBOR, as a value of `schema`. `binary` says that bytes
/// are bytes (CBOR) and not base64 (JSON).
///
/// # Errors
/// If it is none.
pub(crate) fn conform(
    schema: &Arc<Schema>,
    free: Value,
    binary: bool,
) -> Result<Value, ConvertError> {
    if free.is_null() {
        return if schema.optional || schema.default.is_some() {
            Ok(Value::Null)
        } else {
            Err(ConvertError::RequiredNull {
                kind: schema.kind_name(),
            })
        };
    }
    if let Some(logical) = schema.logical() {
        return logical_value(logical, schema, free);
    }
    let int = |number: i64| ConvertError::range(schema.kind.name(), &number.to_string());
    Ok(match (schema.kind, free) {
        (Type::Int8, Value::Int64(n)) => Value::Int8(i8::try_from(n).map_err(|_| int(n))?),
        (Type::Int16, Value::Int64(n)) => Value::Int16(i16::try_from(n).map_err(|_| int(n))?),
        (Type::Int32, Value::Int64(n)) => Value::Int32(i32::try_from(n).map_err(|_| int(n))?),
        (Type::Int64, free @ Value::Int64(_))
        | (Type::Float64, free @ Value::Float64(_))
        | (Type::Boolean, free @ Value::Boolean(_))
        | (Type::String, free @ Value::String(_)) => free,
        (Type::Float32, Value::Float64(number)) => {
            let narrow = number as f32;
            if number.is_finite() && narrow.is_infinite() {
                return Err(ConvertError::range("float32", &number.to_string()));
            }
            Value::Float32(narrow)
        }
        (Type::Float32, Value::Int64(number)) => Value::Float32(number as f32),
        (Type::Float64, Value::Int64(number)) => Value::Float64(number as f64),
        (Type::Float32, Value::String(text)) => Value::Float32(not_finite(&text)? as f32),
        (Type::Float64, Value::String(text)) => Value::Float64(not_finite(&text)?),
        (Type::Bytes, free @ Value::Bytes(_)) => free,
        (Type::Bytes, Value::String(text)) if !binary => {
            Value::Bytes(base64_text::decode_like_jackson(&text)?)
        }
        (Type::Array, Value::Array(items)) => Value::Array(match &schema.value_schema {
            Some(schema) => items
                .into_iter()
                .map(|item| conform(schema, item, binary))
                .collect::<Result<_, _>>()?,
            None => items,
        }),
        (Type::Map, free @ (Value::Map(_) | Value::Array(_))) => map(schema, free, binary)?,
        (Type::Struct, Value::Map(members)) => structure(schema, members, binary)?,
        (kind, other) => {
            return Err(ConvertError::Mismatch {
                expected: kind.name(),
                found: other.type_name(),
            });
        }
    })
}

fn not_finite(text: &str) -> Result<f64, ConvertError> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(ConvertError::form(
            "float",
            text,
            "1.5, \"NaN\" or \"-Infinity\"",
        )),
    }
}

fn map(schema: &Schema, free: Value, binary: bool) -> Result<Value, ConvertError> {
    let of = |schema: &Option<Arc<Schema>>, free: Value| match schema {
        Some(schema) => conform(schema, free, binary),
        None => Ok(free),
    };
    let entry = |(key, value): (Value, Value)| {
        Ok((
            of(&schema.key_schema, key)?,
            of(&schema.value_schema, value)?,
        ))
    };
    match free {
        Value::Map(entries) => entries.into_iter().map(entry).collect(),
        // JSON's form of maps without string keys.
        Value::Array(pairs) if !schema.has_string_keys() && !binary => pairs
            .into_iter()
            .map(|pair| match pair {
                Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([key, value]) => entry((key, value)),
                    Err(_) => Err(ConvertError::Mismatch {
                        expected: "[key, value]",
                        found: "array",
                    }),
                },
                other => Err(ConvertError::Mismatch {
                    expected: "[key, value]",
                    found: other.type_name(),
                }),
            })
            .collect(),
        other => Err(ConvertError::Mismatch {
            expected: "map",
            found: other.type_name(),
        }),
    }
    .map(Value::Map)
}

fn structure(
    schema: &Arc<Schema>,
    members: Vec<(Value, Value)>,
    binary: bool,
) -> Result<Value, ConvertError> {
    let mut slots: Vec<Option<Value>> = Vec::new();
    slots.resize_with(schema.fields.len(), || None);
    for (at, (name, free)) in members.into_iter().enumerate() {
        let Value::String(name) = name else {
            return Err(ConvertError::Mismatch {
                expected: "a field's name",
                found: name.type_name(),
            });
        };
        // Members mostly come in the order of the fields.
        let here = schema
            .fields
            .get(at)
            .filter(|field| field.name == name)
            .map(|_| at);
        let index = here.or_else(|| schema.field_index(&name));
        match index.and_then(|index| slots.get_mut(index)) {
            Some(slot) => *slot = Some(free),
            None => return Err(ConvertError::UnknownField { name }),
        }
    }
    let mut values = Vec::with_capacity(slots.len());
    for (field, slot) in schema.fields.iter().zip(slots) {
        let value = conform(&field.schema, slot.unwrap_or(Value::Null), binary)
            .map_err(|error| error.in_field(&field.name))?;
        values.push(value);
    }
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

fn logical_value(logical: Logical, schema: &Schema, free: Value) -> Result<Value, ConvertError> {
    match (logical, free) {
        (Logical::Decimal, Value::Decimal(decimal)) => scaled(schema, &decimal),
        (Logical::Decimal, Value::String(text)) => match Decimal::parse(&text) {
            Some(decimal) => scaled(schema, &decimal),
            None => Err(ConvertError::form("Decimal", &text, "\"12.50\"")),
        },
        (Logical::Decimal, Value::Int64(number)) => scaled(schema, &Decimal::new(number.into(), 0)),
        (Logical::Date, Value::String(text)) => calendar::parse_date(&text)
            .map(Value::Date)
            .ok_or_else(|| ConvertError::form("Date", &text, "\"2026-01-31\"")),
        (Logical::Time, Value::String(text)) => calendar::parse_time(&text)
            .map(Value::Date)
            .ok_or_else(|| ConvertError::form("Time", &text, "\"13:14:15.123\"")),
        (Logical::Timestamp, Value::String(text)) => calendar::parse_timestamp(&text)
            .map(Value::Date)
            .ok_or_else(|| ConvertError::form("Timestamp", &text, "\"2026-01-31T13:14:15.123Z\"")),
        (logical, other) => Err(ConvertError::Mismatch {
            expected: logical.name(),
            found: other.type_name(),
        }),
    }
}

/// Connect's Decimal has exactly its schema's scale. Zeros are added or dropped to get there, for
/// a guest that formats numbers should not have to count them.
fn scaled(schema: &Schema, decimal: &Decimal) -> Result<Value, ConvertError> {
    let expected = schema.scale()?;
    decimal
        .rescaled(expected)
        .map(Value::Decimal)
        .ok_or(ConvertError::Scale {
            expected,
            found: decimal.scale(),
        })
}
