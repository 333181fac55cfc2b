//! Why a record or a converter's settings are refused.

use crate::schema::SchemaError;

/// Why one key or value cannot be converted; Connect's `DataException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Text that RFC 8259 does not allow, or beyond the limits of [`crate::json`].
    #[error("not valid JSON at byte {offset}: {problem}")]
    Json {
        /// Byte of the record, from 0.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Bytes that RFC 8949 does not allow, or a form that records do not have.
    #[error("not valid CBOR at byte {offset}: {problem}")]
    Cbor {
        /// Byte of the record, from 0.
        offset: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Bytes that are no UTF-8.
    #[error("not valid UTF-8 after byte {valid_bytes}; binary data needs a bytes schema")]
    Utf8 {
        /// How many bytes are fine.
        valid_bytes: usize,
    },
    /// JsonConverter with `schemas.enable` was given something else than its envelope.
    #[error(
        "not an object of exactly \"schema\" and \"payload\"; \
         for plain JSON set schemas.enable=false on the converter"
    )]
    Envelope,
    /// The envelope's or the guest's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A value of another type than its schema says.
    #[error("expected {expected}, found {found}")]
    Mismatch {
        /// What the schema or converter wants.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Where in a struct something went wrong.
    #[error("field {name}: {source}")]
    Field {
        /// The struct's field.
        name: String,
        /// What went wrong.
        source: Box<ConvertError>,
    },
    /// A null where the schema has neither `optional` nor a default.
    #[error("null for a required {kind}; make the schema optional or give it a default")]
    RequiredNull {
        /// The schema's type.
        kind: &'static str,
    },
    /// A number that its type cannot hold.
    #[error("{text} is out of the range of {kind}")]
    Range {
        /// The type.
        kind: &'static str,
        /// The number, cut if long.
        text: String,
    },
    /// A primitive converter was given the wrong number of bytes.
    #[error("{kind} takes {expected} bytes, found {found}")]
    Length {
        /// The type.
        kind: &'static str,
        /// How many bytes it has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Text that is not padded base64 of RFC 4648.
    #[error("not padded base64 of RFC 4648")]
    Base64,
    /// Text that is not of the form that the logical type has.
    #[error("{text:?} is no {kind}; write it like {example}")]
    Form {
        /// The logical type.
        kind: &'static str,
        /// What is there, cut if long.
        text: String,
        /// A right one.
        example: &'static str,
    },
    /// A Decimal of another scale than its schema's.
    #[error("Decimal has scale {found} where the schema says {expected}")]
    Scale {
        /// The schema's `scale` parameter.
        expected: i32,
        /// The value's.
        found: i32,
    },
    /// A Date that is not at midnight UTC.
    #[error("Date of {millis} ms is not at midnight UTC; use Timestamp")]
    DateWithTime {
        /// Milliseconds since the epoch.
        millis: i64,
    },
    /// A Time outside of one day.
    #[error("Time of {millis} ms is not within one day; use Timestamp")]
    TimeOutsideDay {
        /// Milliseconds since midnight.
        millis: i64,
    },
    /// A struct that was made with another schema than the one given along with it.
    #[error("the struct's own schema differs from the one given with it")]
    SchemaMismatch,
    /// An object has a member that its struct schema does not.
    #[error("field {name} is not in the schema")]
    UnknownField {
        /// The member.
        name: String,
    },
    /// The converter takes no such values.
    #[error("{class} does not take {found}; use another converter, such as JsonConverter")]
    Refused {
        /// The converter's simple class name.
        class: &'static str,
        /// Type of the value or schema.
        found: &'static str,
    },
    /// Fields were asked of values that have none.
    #[error("values of type {kind} have no fields; use a converter that gives structs or maps")]
    NoFields {
        /// Type of the values.
        kind: &'static str,
    },
    /// Values nested deeper than [`crate::json::MAX_DEPTH`].
    #[error("nested deeper than 1000 levels")]
    Depth,
    /// More schemas in one batch than its index can count.
    #[error("more than 65535 different schemas in one batch")]
    TooManySchemas,
    /// A row refers to a schema that its batch does not have.
    #[error("schema index {index} is out of range")]
    SchemaIndex {
        /// The index.
        index: u16,
    },
    /// The header text `null`: Connect's SimpleHeaderConverter gives no value for it, not even a
    /// null one. Callers that want Connect's sink behaviour take the header as null.
    #[error("header text null stands for no value")]
    NullHeader,
}

impl ConvertError {
    /// The same error, said to be in field `name`.
    pub(crate) fn in_field(self, name: &str) -> Self {
        Self::Field {
            name: name.to_owned(),
            source: Box::new(self),
        }
    }

    /// A range error about `text`, which is cut: it may be as long as a record.
    pub(crate) fn range(kind: &'static str, text: &str) -> Self {
        Self::Range {
            kind,
            text: cut(text),
        }
    }

    /// A form error about `text`, cut likewise.
    pub(crate) fn form(kind: &'static str, text: &str, example: &'static str) -> Self {
        Self::Form {
            kind,
            text: cut(text),
            example,
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Why a converter cannot be made from its settings; Connect's `ConfigException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConverterConfigError {
    /// No such converter here.
    #[error("{key}: {class} is not known; use one of {known}")]
    UnknownClass {
        /// `key.converter` or `value.converter`.
        key: String,
        /// What was asked for.
        class: String,
        /// All there are, comma-separated.
        known: String,
    },
    /// A setting with a value that it does not take.
    #[error("{key}: {value:?} is not allowed; use {expected}")]
    Setting {
        /// The full key, such as `value.converter.schemas.enable`.
        key: String,
        /// What was set.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// JsonConverter's `schema.content` is no schema.
    #[error("{key}: {source}")]
    SchemaContent {
        /// The full key.
        key: String,
        /// What is wrong with it.
        source: ConvertError,
    },
}
