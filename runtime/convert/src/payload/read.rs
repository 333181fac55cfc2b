//! From JSON to values: as they are, or with the leniency of Connect's JsonConverter, in which most
//! wrong types become zero, false or null instead of errors.

use std::{borrow::Cow, collections::HashSet, fmt::Write, sync::Arc};

use crate::{
    base64_text,
    calendar::DAY_MS,
    decimal::Decimal,
    error::ConvertError,
    json::{node::Node, number},
    schema::{Logical, Schema, Type},
    value::{Struct, Value},
};

/// How nulls and wrong values are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nulls {
    /// Whether values of another type or out of range are bent as Connect does it.
    pub(crate) coerce: bool,
    /// `replace.null.with.default`
    pub(crate) replace: bool,
    /// Within structs and defaults Connect refuses nulls that its leniency made; elsewhere it
    /// lets them pass.
    pub(crate) strict: bool,
}

/// The value that `node` has under `schema`, or by its own type if there is none.
///
/// # Errors
/// Where JsonConverter has them.
pub(crate) fn read(
    schema: Option<&Arc<Schema>>,
    node: &Node<'_>,
    nulls: Nulls,
) -> Result<Value, ConvertError> {
    let Some(schema) = schema else {
        return schemaless(node);
    };
    if *node == Node::Null || (*node == Node::Missing && !nulls.coerce) {
        return match &schema.default {
            Some(default) if nulls.replace => Ok((**default).clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => Err(ConvertError::RequiredNull {
                kind: schema.kind_name(),
            }),
        };
    }
    let value = match schema.logical() {
        Some(logical) => logical_value(logical, schema, node, nulls.coerce)?,
        None if nulls.coerce => coerced(schema, node, nulls)?,
        None => exact(schema, node, nulls)?,
    };
    if nulls.strict && value.is_null() && !schema.optional {
        return Err(ConvertError::Mismatch {
            expected: schema.kind_name(),
            found: node.type_name(),
        });
    }
    Ok(value)
}

/// The value that `node` has by its own type.
///
/// # Errors
/// As [`read`].
pub(crate) fn schemaless(node: &Node<'_>) -> Result<Value, ConvertError> {
    Ok(match node {
        Node::Missing | Node::Null => Value::Null,
        Node::Boolean(truth) => Value::Boolean(*truth),
        Node::Number(text) if number::is_integral(text) => Value::Int64(number::long_value(text)),
        Node::Number(text) => Value::Float64(text.parse().unwrap_or(f64::NAN)),
        Node::String(text) => Value::String(text.clone().into_owned()),
        Node::Array(items) => Value::Array(items.iter().map(schemaless).collect::<Result<_, _>>()?),
        Node::Object(members) => Value::Map(
            members
                .iter()
                .map(|(name, item)| {
                    Ok((Value::String(name.clone().into_owned()), schemaless(item)?))
                })
                .collect::<Result<_, ConvertError>>()?,
        ),
    })
}

/// The value as it is, or an error.
fn exact(schema: &Arc<Schema>, node: &Node<'_>, nulls: Nulls) -> Result<Value, ConvertError> {
    let kind = schema.kind_name();
    let integer = || match node {
        Node::Number(text) => number::exact_long(text).ok_or_else(|| {
            // Both 7.9 and 10^30 are no int64.
            ConvertError::range(kind, text)
        }),
        _ => mismatch(kind, node),
    };
    let range = |number: i64| ConvertError::range(kind, &number.to_string());
    let float = || match node {
        Node::Number(text) if number::is_finite(text) => Ok(text.parse().unwrap_or(f64::NAN)),
        Node::Number(text) => Err(ConvertError::range(kind, text)),
        // As JsonConverter writes them.
        Node::String(text) => match &**text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => mismatch(kind, node),
        },
        _ => mismatch(kind, node),
    };
    Ok(match schema.kind {
        Type::Int8 => integer()
            .and_then(|n| n.try_into().map_err(|_| range(n)))
            .map(Value::Int8)?,
        Type::Int16 => integer()
            .and_then(|n| n.try_into().map_err(|_| range(n)))
            .map(Value::Int16)?,
        Type::Int32 => integer()
            .and_then(|n| n.try_into().map_err(|_| range(n)))
            .map(Value::Int32)?,
        Type::Int64 => Value::Int64(integer()?),
        Type::Float32 => {
            let wide = float()?;
            // Parsed as what it is, since rounding twice is not rounding once.
            let narrow = match node {
                Node::Number(text) => text.parse().unwrap_or(f32::NAN),
                _ => wide as f32,
            };
            if narrow.is_finite() != wide.is_finite() {
                return Err(ConvertError::range(kind, &wide.to_string()));
            }
            Value::Float32(narrow)
        }
        Type::Float64 => Value::Float64(float()?),
        Type::Boolean => match node {
            Node::Boolean(truth) => Value::Boolean(*truth),
            _ => return mismatch(kind, node),
        },
        Type::String => match node {
            Node::String(text) => Value::String(text.clone().into_owned()),
            _ => return mismatch(kind, node),
        },
        Type::Bytes => match node {
            Node::String(text) => Value::Bytes(base64_text::decode_like_jackson(text)?),
            _ => return mismatch("bytes as base64", node),
        },
        Type::Array => match node {
            Node::Array(_) => array(schema, node, nulls)?,
            _ => return mismatch(kind, node),
        },
        Type::Map | Type::Struct => coerced(schema, node, nulls)?,
    })
}

/// Whether all numbers of a value without a schema can be what they are.
///
/// # Errors
/// Which one cannot.
pub(crate) fn check_numbers(node: &Node<'_>) -> Result<(), ConvertError> {
    match node {
        Node::Number(text) if !number::fits(text) => {
            let kind = match number::is_integral(text) {
                true => "int64",
                false => "float64",
            };
            Err(ConvertError::range(kind, text))
        }
        Node::Array(items) => items.iter().try_for_each(check_numbers),
        Node::Object(members) => members
            .iter()
            .try_for_each(|(name, node)| check_numbers(node).map_err(|error| error.in_field(name))),
        _ => Ok(()),
    }
}

fn coerced(schema: &Arc<Schema>, node: &Node<'_>, nulls: Nulls) -> Result<Value, ConvertError> {
    // Jackson's intValue() and its like: zero for what is no number, cut to size otherwise.
    let text = if let Node::Number(text) = node {
        text
    } else {
        "0"
    };
    Ok(match schema.kind {
        Type::Int8 => Value::Int8(number::long_value(text) as i8),
        Type::Int16 => Value::Int16(number::long_value(text) as i16),
        Type::Int32 => Value::Int32(number::long_value(text) as i32),
        Type::Int64 => Value::Int64(number::long_value(text)),
        Type::Float32 => Value::Float32(text.parse().unwrap_or(f32::NAN)),
        Type::Float64 => Value::Float64(text.parse().unwrap_or(f64::NAN)),
        Type::Boolean => Value::Boolean(*node == Node::Boolean(true)),
        Type::String => match node {
            Node::String(text) => Value::String(text.clone().into_owned()),
            _ => Value::Null,
        },
        Type::Bytes => match node {
            Node::String(text) => Value::Bytes(base64_text::decode_like_jackson(text)?),
            _ => Value::Null,
        },
        Type::Array => array(schema, node, nulls)?,
        Type::Map => map(schema, node, nulls)?,
        Type::Struct => {
            let members = members(node, "an object, for a struct")?;
            structure(schema, members, nulls)?
        }
    })
}

/// Jackson's nodes are iterable: an object's values pass for items, and scalars for none.
fn array(schema: &Schema, node: &Node<'_>, nulls: Nulls) -> Result<Value, ConvertError> {
    let items = schema.value_schema.as_ref();
    let values = match node {
        Node::Array(nodes) => nodes.iter().map(|node| read(items, node, nulls)).collect(),
        Node::Object(members) => members
            .iter()
            .map(|(_, node)| read(items, node, nulls))
            .collect(),
        _ => Ok(Vec::new()),
    };
    values.map(Value::Array)
}

fn map(schema: &Schema, node: &Node<'_>, nulls: Nulls) -> Result<Value, ConvertError> {
    let (keys, values) = (schema.key_schema.as_ref(), schema.value_schema.as_ref());
    if schema.has_string_keys() {
        let members = members(node, "an object, for a map with string keys")?;
        let entry = |(name, item): &(Cow<'_, str>, Node<'_>)| {
            Ok((
                Value::String(name.clone().into_owned()),
                read(values, item, nulls)?,
            ))
        };
        return members
            .iter()
            .map(entry)
            .collect::<Result<_, _>>()
            .map(Value::Map);
    }
    let Node::Array(pairs) = node else {
        return mismatch(
            "an array of [key, value], for a map without string keys",
            node,
        );
    };
    let mut entries = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match pair {
            Node::Array(pair) => match pair.as_slice() {
                [key, item] => entries.push((read(keys, key, nulls)?, read(values, item, nulls)?)),
                _ => return mismatch("a pair of key and value", node),
            },
            other => return mismatch("an array of key and value", other),
        }
    }
    Ok(Value::Map(last_wins(entries)))
}

/// Drops all but the last of equal keys, as putting them into a Java map does.
fn last_wins(mut entries: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut text = String::new();
    entries.reverse();
    entries.retain(|(key, _)| {
        // Keys are of one type, whose debug text is as distinct as Java's equals.
        text.clear();
        let written = write!(text, "{key:?}");
        written.is_err() || seen.insert(text.clone())
    });
    entries.reverse();
    entries
}

type Members<'a> = [(Cow<'a, str>, Node<'a>)];

fn members<'a, 'n>(
    node: &'n Node<'a>,
    expected: &'static str,
) -> Result<&'n Members<'a>, ConvertError> {
    match node {
        Node::Object(members) => Ok(members),
        other => mismatch(expected, other),
    }
}

fn structure(
    schema: &Arc<Schema>,
    members: &Members<'_>,
    nulls: Nulls,
) -> Result<Value, ConvertError> {
    let mut values = Vec::with_capacity(schema.fields.len());
    for (index, field) in schema.fields.iter().enumerate() {
        // Writers keep the order of the fields, so the member is mostly at the same place.
        let member = members
            .get(index)
            .filter(|(name, _)| *name == field.name)
            .or_else(|| members.iter().find(|(name, _)| *name == field.name));
        let node = member.map_or(&Node::Null, |(_, node)| node);
        let value = read(
            Some(&field.schema),
            node,
            Nulls {
                strict: true,
                ..nulls
            },
        )
        .map_err(|error| error.in_field(&field.name))?;
        values.push(value);
    }
    Ok(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

fn logical_value(
    logical: Logical,
    schema: &Schema,
    node: &Node<'_>,
    coerce: bool,
) -> Result<Value, ConvertError> {
    let int = || match node {
        Node::Number(text) if number::is_integral(text) => number::as_int(text),
        _ => None,
    };
    match (logical, node) {
        (Logical::Decimal, Node::Number(text)) => Decimal::parse(text)
            .map(Value::Decimal)
            .ok_or_else(|| ConvertError::range("Decimal", text)),
        (Logical::Decimal, Node::String(text)) => {
            let bytes = base64_text::decode_like_jackson(text)?;
            Decimal::from_bytes(&bytes, schema.scale()?)
                .map(Value::Decimal)
                .ok_or(ConvertError::Mismatch {
                    expected: "Decimal bytes",
                    found: "no bytes",
                })
        }
        (Logical::Decimal, _) => mismatch("Decimal as a number or base64", node),
        (Logical::Date, _) => match int() {
            Some(days) => Ok(Value::Date(i64::from(days) * DAY_MS)),
            None => mismatch("Date as an int32 of days", node),
        },
        (Logical::Time, _) => match int().map(i64::from) {
            Some(millis) if (0..=DAY_MS).contains(&millis) => Ok(Value::Date(millis)),
            Some(millis) => Err(ConvertError::TimeOutsideDay { millis }),
            None => mismatch("Time as an int32 of milliseconds", node),
        },
        (Logical::Timestamp, Node::Number(text)) if number::is_integral(text) => {
            match number::exact_long(text) {
                Some(millis) => Ok(Value::Date(millis)),
                None if coerce => Ok(Value::Date(number::long_value(text))),
                None => Err(ConvertError::range("Timestamp", text)),
            }
        }
        (Logical::Timestamp, _) => mismatch("Timestamp as an int64 of milliseconds", node),
    }
}

fn mismatch<T>(expected: &'static str, node: &Node<'_>) -> Result<T, ConvertError> {
    Err(ConvertError::Mismatch {
        expected,
        found: node.type_name(),
    })
}
