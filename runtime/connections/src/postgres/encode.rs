//! Values of Connect in PostgreSQL's binary form. Nothing is cut off, rounded or guessed on the
//! way: what has no equal in the column's type is refused with the reason. (What lengths and
//! scales a type has, the server knows and applies.)

mod array;
mod json;
mod number;
mod numeric;
mod plain;
mod temporal;

use tidegate_convert::{Schema, Value};

use super::types::{ColumnType, Kind};
pub(super) use plain::plain_text;
pub(super) use temporal::instant;

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) reason: String,
}

impl Misfit {
    pub(super) fn new(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
        }
    }

    /// The whole reason, but for the column.
    pub(super) fn of(self, schema: Option<&Schema>, value: &Value, column: &ColumnType) -> Self {
        let kind = match (value, schema.and_then(|schema| schema.name.as_deref())) {
            (Value::Date(_), Some(_)) => schema.map_or("Timestamp", Schema::kind_name),
            (Value::Date(_), None) => "Timestamp",
            (value, _) => value.type_name(),
        };
        Self {
            reason: format!(
                "the value, {kind}, does not fit the type {}: {}",
                column.name, self.reason
            ),
        }
    }
}

type Encoded = Result<(), Misfit>;

fn misfit<T>(reason: &str) -> Result<T, Misfit> {
    Err(Misfit::new(reason))
}

/// Appends `value`, which is not null, as `kind`.
pub(super) fn binary(
    kind: &Kind,
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Encoded {
    match kind {
        Kind::Bool => out.push(u8::from(plain::boolean(value)?)),
        Kind::Int2 => put(out, number::ranged::<i16>(value)?.to_be_bytes()),
        Kind::Int4 => put(out, number::ranged::<i32>(value)?.to_be_bytes()),
        Kind::Int8 => put(out, number::integer(value)?.to_be_bytes()),
        Kind::Float4 => put(out, number::float4(value)?.to_be_bytes()),
        Kind::Float8 => put(out, number::float8(value)?.to_be_bytes()),
        Kind::Numeric => numeric::encode(out, value)?,
        Kind::Text | Kind::Other => plain::text(out, schema, value)?,
        Kind::Bytea => plain::bytes(out, value)?,
        Kind::Uuid => plain::uuid(out, value)?,
        Kind::Json => json::encode(out, schema, value)?,
        Kind::Jsonb => {
            // The version of the form.
            out.push(1);
            json::encode(out, schema, value)?;
        }
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
            temporal::encode(kind, out, schema, value)?;
        }
        Kind::Array(element, oid) => array::encode(element, *oid, out, schema, value)?,
    }
    Ok(())
}

/// Appends `value`, which is not null, as a text that the server casts to `kind`.
pub(super) fn text(
    kind: &Kind,
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Encoded {
    match (kind, value) {
        (Kind::Array(element, _), Value::Array(items)) => array::text(element, out, schema, items),
        (Kind::Array(..), _) => misfit("it takes an array"),
        _ => plain::text(out, schema, value),
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}
