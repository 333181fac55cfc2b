//! One schema for all items of a list that was guessed item by item.

use std::sync::Arc;

use crate::{
    schema::{Schema, Type},
    value::Value,
};

/// The schema that the items so far have in common.
#[derive(Debug, Default)]
pub(super) struct Merged {
    common: Option<Arc<Schema>>,
    incompatible: bool,
}

impl Merged {
    /// Takes another item's schema into account; null items have none.
    pub(super) fn add(&mut self, schema: Option<&Arc<Schema>>) {
        let Some(schema) = schema else { return };
        self.common = match self.common.take() {
            _ if self.incompatible => None,
            None => Some(Arc::clone(schema)),
            Some(known) => {
                let merged = merge(&known, schema);
                self.incompatible = merged.is_none();
                merged
            }
        };
    }

    /// What the items have in common; `None` if nothing.
    pub(super) fn schema(&self) -> Option<Arc<Schema>> {
        self.common.clone()
    }

    /// An item as a value of the common schema. `None` where Connect cannot do that: then it
    /// takes the whole text for a string.
    pub(super) fn align(&self, value: Value) -> Option<Value> {
        let Some(schema) = &self.common else {
            return Some(value);
        };
        let whole = match &value {
            Value::Null => return None,
            Value::Int8(number) => i64::from(*number),
            Value::Int16(number) => i64::from(*number),
            Value::Int32(number) => i64::from(*number),
            Value::Int64(number) => *number,
            Value::Float32(number) if schema.kind == Type::Float64 => {
                return Some(Value::Float64(f64::from(*number)));
            }
            _ => return Some(value),
        };
        match schema.kind {
            Type::Int16 => i16::try_from(whole).ok().map(Value::Int16),
            Type::Int32 => i32::try_from(whole).ok().map(Value::Int32),
            Type::Int64 => Some(Value::Int64(whole)),
            Type::Float32 => Some(Value::Float32(whole as f32)),
            Type::Float64 => Some(Value::Float64(whole as f64)),
            _ => Some(value),
        }
    }
}

/// The wider of two number types; otherwise the later of two equal types.
fn merge(known: &Arc<Schema>, new: &Arc<Schema>) -> Option<Arc<Schema>> {
    let width = |schema: &Schema| match schema.kind {
        Type::Int8 => Some(1),
        Type::Int16 => Some(2),
        Type::Int32 => Some(3),
        Type::Int64 => Some(4),
        Type::Float32 => Some(5),
        Type::Float64 => Some(6),
        _ => None,
    };
    if known.kind == new.kind {
        return Some(Arc::clone(new));
    }
    let wider = if width(known)? > width(new)? {
        known
    } else {
        new
    };
    Some(Arc::clone(wider))
}
