//! Kafka Connect's values, schemas and converters: between the bytes in Kafka, the values that
//! transforms work on and the columns that guests read and write.
//!
//! The converters do what the Java classes of the same names do, record by record
//! ([`Converter::to_connect`], [`Converter::from_connect`]); batches take short cuts that give
//! the same bytes ([`Converter::encode_column`], [`Converter::decode_column`]).
#![forbid(unsafe_code)]

mod base64_text;
mod calendar;
mod converter;
mod converters;
mod decimal;
mod decoded;
mod encoded;
mod error;
mod fields;
mod forms;
mod header;
mod java_text;
pub mod json;
mod members;
mod payload;
mod registry;
pub mod schema;
mod schema_json;
mod settings;
mod value;

pub use converter::{Converter, RowError, Side};
pub use decimal::Decimal;
pub use decoded::DecodedColumn;
pub use encoded::{EncodedColumn, NO_SCHEMA};
pub use error::{ConvertError, ConverterConfigError};
pub use fields::FieldInfo;
pub use forms::write_text;
pub use header::{from_connect_header, to_connect_header};
pub use registry::{converter, converter_classes};
pub use schema::{Field, Logical, Schema, SchemaError, Type};
pub use value::{SchemaAndValue, Struct, Value};
