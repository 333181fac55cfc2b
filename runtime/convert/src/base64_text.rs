//! Base64 in text, read as leniently as its writer's counterpart in Java reads it.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

use crate::error::ConvertError;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Padded base64; white space between the characters and stray bits in the last one are let
/// pass, as Jackson does.
///
/// # Errors
/// If it is something else.
pub(crate) fn decode_like_jackson(text: &str) -> Result<Vec<u8>, ConvertError> {
    if text.bytes().any(|byte| byte <= b' ') {
        let dense: String = text.chars().filter(|char| *char > ' ').collect();
        return ENGINE.decode(dense).map_err(|_| ConvertError::Base64);
    }
    ENGINE.decode(text).map_err(|_| ConvertError::Base64)
}
