//! Values as Connect has them in memory: what transforms work on.

use std::sync::Arc;

use crate::{decimal::Decimal, schema::Schema};

/// A value; its schema, if there is one, travels beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `Boolean`
    Boolean(bool),
    /// `Byte`
    Int8(i8),
    /// `Short`
    Int16(i16),
    /// `Integer`
    Int32(i32),
    /// `Long`
    Int64(i64),
    /// `Float`
    Float32(f32),
    /// `Double`
    Float64(f64),
    /// `String`; lone surrogates, which Java can hold, are U+FFFD here.
    String(String),
    /// `byte[]` or `ByteBuffer`
    Bytes(Vec<u8>),
    /// `List`
    Array(Vec<Value>),
    /// `Map`: no key twice; the order is kept but means nothing.
    Map(Vec<(Value, Value)>),
    /// `Struct`
    Struct(Struct),
    /// `BigDecimal`, the value of the logical type Decimal.
    Decimal(Decimal),
    /// `java.util.Date` in milliseconds since the epoch: the value of all three of Date, Time and
    /// Timestamp, which only the schema's name tells apart.
    Date(i64),
}

impl Value {
    /// Connect's name of the value's type, for errors.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Int8(_) => "int8",
            Self::Int16(_) => "int16",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float32(_) => "float32",
            Self::Float64(_) => "float64",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
            Self::Decimal(_) => "Decimal",
            Self::Date(_) => "Date",
        }
    }

    /// Whether this is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Values of a struct schema's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    schema: Arc<Schema>,
    values: Vec<Value>,
}

impl Struct {
    /// A struct of `values`, one a field and in the fields' order; missing ones are null, ones
    /// too many are dropped. Types are checked when a converter writes the struct, not here.
    pub fn new(schema: Arc<Schema>, mut values: Vec<Value>) -> Self {
        values.resize(schema.fields.len(), Value::Null);
        Self { schema, values }
    }

    /// The struct's schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Values in the order of the fields, without defaults for nulls
    /// (`Struct.getWithoutDefault`).
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of `field`, null included; `None` if there is no such field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.values.get(self.schema.field_index(field)?)
    }

    /// Takes the struct apart.
    pub fn into_parts(self) -> (Arc<Schema>, Vec<Value>) {
        (self.schema, self.values)
    }
}

/// A value and what describes it; neither needs the other.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaAndValue {
    /// `None`: schemaless.
    pub schema: Option<Arc<Schema>>,
    /// The value.
    pub value: Value,
}
