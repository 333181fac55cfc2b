//! Connect's schemas: `org.apache.kafka.connect.data.Schema`.

use std::sync::Arc;

use crate::value::Value;

/// Schema name of decimals; parameter `scale`, carried as bytes.
pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// Schema name of dates; days since the epoch, carried as int32.
pub const DATE: &str = "org.apache.kafka.connect.data.Date";
/// Schema name of times of day; milliseconds since midnight, carried as int32.
pub const TIME: &str = "org.apache.kafka.connect.data.Time";
/// Schema name of timestamps; milliseconds since the epoch, carried as int64.
pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";

/// Connect's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is its name.
pub enum Type {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

impl Type {
    /// All of them, for look-ups by name.
    pub const ALL: [Self; 12] = [
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::Boolean,
        Self::String,
        Self::Bytes,
        Self::Array,
        Self::Map,
        Self::Struct,
    ];

    /// Connect's name: `float32`, not `float`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Array => "array",
            Self::Map => "map",
            Self::Struct => "struct",
        }
    }

    /// The name in JsonConverter's envelope: `float`, not `float32`.
    pub fn json_name(self) -> &'static str {
        match self {
            Self::Float32 => "float",
            Self::Float64 => "double",
            other => other.name(),
        }
    }
}

/// The logical types that converters treat apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Each is its name.
pub enum Logical {
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl Logical {
    /// The name in the table of `wit/records.wit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decimal => "Decimal",
            Self::Date => "Date",
            Self::Time => "Time",
            Self::Timestamp => "Timestamp",
        }
    }
}

/// A field of a struct schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Unique in its struct.
    pub name: String,
    /// What it holds.
    pub schema: Arc<Schema>,
}

/// What a value looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The type in memory and on the wire, below any logical type.
    pub kind: Type,
    /// Whether null is a value.
    pub optional: bool,
    /// Stands in for null where a converter is told so; boxed, as few schemas have one.
    pub default: Option<Box<Value>>,
    /// Of a struct or a logical type.
    pub name: Option<String>,
    /// Of the schema.
    pub version: Option<i32>,
    /// For people.
    pub doc: Option<String>,
    /// Such as `scale`; in the order given, no key twice.
    pub parameters: Vec<(String, String)>,
    /// Of a struct; empty otherwise.
    pub fields: Vec<Field>,
    /// Of a map. Connect's header parser makes maps without one.
    pub key_schema: Option<Arc<Schema>>,
    /// Of a map's values or an array's items; may be missing likewise.
    pub value_schema: Option<Arc<Schema>>,
}

impl Schema {
    /// A required schema of `kind` and nothing else.
    pub fn new(kind: Type) -> Self {
        Self {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            fields: Vec::new(),
            key_schema: None,
            value_schema: None,
        }
    }

    /// The same, null allowed.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same under another name and version.
    pub fn named(mut self, name: &str, version: i32) -> Self {
        self.name = Some(name.to_owned());
        self.version = Some(version);
        self
    }

    /// `Decimal.schema(scale)`, required.
    pub fn decimal(scale: i32) -> Self {
        let mut schema = Self::new(Type::Bytes).named(DECIMAL, 1);
        schema
            .parameters
            .push(("scale".to_owned(), scale.to_string()));
        schema
    }

    /// A required array; `items` as Connect's header parser may leave them out.
    pub fn array(items: Option<Arc<Schema>>) -> Self {
        Self {
            value_schema: items,
            ..Self::new(Type::Array)
        }
    }

    /// A required map.
    pub fn map(keys: Option<Arc<Schema>>, values: Option<Arc<Schema>>) -> Self {
        Self {
            key_schema: keys,
            value_schema: values,
            ..Self::new(Type::Map)
        }
    }

    /// A required struct.
    pub fn structure(fields: Vec<Field>) -> Self {
        Self {
            fields,
            ..Self::new(Type::Struct)
        }
    }

    /// Which of Connect's logical types the name says, whatever the type below is: Connect's
    /// converters look at the name alone.
    pub fn logical(&self) -> Option<Logical> {
        match self.name.as_deref()? {
            DECIMAL => Some(Logical::Decimal),
            DATE => Some(Logical::Date),
            TIME => Some(Logical::Time),
            TIMESTAMP => Some(Logical::Timestamp),
            _ => None,
        }
    }

    /// Name of the logical type if there is one, else of the type.
    pub fn kind_name(&self) -> &'static str {
        self.logical().map_or(self.kind.name(), Logical::name)
    }

    /// The parameter `key`.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Index of the field `name`.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// A Decimal's scale.
    ///
    /// # Errors
    /// If the parameter is missing or no number.
    pub fn scale(&self) -> Result<i32, SchemaError> {
        self.parameter("scale")
            .and_then(|scale| scale.parse().ok())
            .ok_or(SchemaError::Scale)
    }

    /// Whether map keys are strings, so that JSON writes the map as an object.
    pub(crate) fn has_string_keys(&self) -> bool {
        self.key_schema
            .as_ref()
            .is_some_and(|keys| keys.kind == Type::String)
    }
}

/// Why something is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No `type`, or one that is no text.
    #[error("schema has no \"type\"; write one such as {{\"type\":\"int32\"}}")]
    NoType,
    /// Not a type of Connect.
    #[error("schema type {name} is not known")]
    UnknownType {
        /// The text found.
        name: String,
    },
    /// `items`, `keys`, `values` or `fields` is missing.
    #[error("{kind} schema has no \"{part}\"")]
    NoPart {
        /// The type.
        kind: &'static str,
        /// What it lacks.
        part: &'static str,
    },
    /// A field without a name.
    #[error("field {index} of a struct schema has no name in \"field\"")]
    NoFieldName {
        /// Which, from 0.
        index: usize,
    },
    /// A name used twice.
    #[error("field {name} is twice in a struct schema")]
    FieldTwice {
        /// The name.
        name: String,
    },
    /// A parameter that is not text.
    #[error("schema parameter {name} is no string; quote it")]
    Parameter {
        /// Which.
        name: String,
    },
    /// A Decimal without a usable scale.
    #[error("Decimal schema needs a whole number in its parameter \"scale\"")]
    Scale,
    /// Schemas within schemas within schemas.
    #[error("schema is nested deeper than 100 levels")]
    Depth,
    /// A default that is no value of the schema.
    #[error("default of a {kind} schema is not a value of it: {problem}")]
    Default {
        /// The type.
        kind: &'static str,
        /// What is wrong.
        problem: String,
    },
}
