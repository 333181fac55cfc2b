//! Values in JsonConverter's JSON, which is not the JSON that guests see: logical types are
//! numbers and base64 here.

pub(crate) mod read;
pub(crate) mod stream;
pub(crate) mod write;
