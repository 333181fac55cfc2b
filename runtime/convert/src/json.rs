//! JSON as Kafka's JsonDeserializer (Jackson) reads it: RFC 8259, except that numbers may have
//! leading zeros, a byte order mark may come first and whatever follows the value is ignored.
//!
//! The texts of numbers stay as they are, so that no digit is lost on the way through. Limits are
//! Jackson's too, and are what keeps hostile records from overflowing the stack.

pub(crate) mod cursor;
pub(crate) mod node;
pub(crate) mod number;
pub(crate) mod scan;
pub(crate) mod write;

/// Levels of arrays and objects (Jackson's `StreamReadConstraints`).
pub const MAX_DEPTH: usize = 1000;
/// Digits of one number (the same).
pub const MAX_NUMBER_DIGITS: usize = 1000;
