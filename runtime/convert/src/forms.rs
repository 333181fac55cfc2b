//! What guests see: the table in `wit/records.wit`, both ways.

pub(crate) mod cbor_read;
pub(crate) mod cbor_write;
pub(crate) mod conform;
pub(crate) mod json_write;
pub(crate) mod read;
pub(crate) mod write;

/// Zeros that a decimal's plain digits may take: an exponent of a few bytes could ask for more
/// memory than there is.
pub(crate) const MAX_PLAIN_DECIMAL_BYTES: usize = 10_000;
