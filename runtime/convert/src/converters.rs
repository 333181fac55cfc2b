//! The converters of Kafka Connect.

pub(crate) mod byte_array;
pub(crate) mod charset;
pub(crate) mod envelope;
pub(crate) mod json;
pub(crate) mod json_columns;
pub(crate) mod primitive;
pub(crate) mod schema_cache;
pub(crate) mod string;
