//! Truth values, texts, bytes and UUIDs.

use tidegate_convert::{Schema, Value, write_text};

use super::{Encoded, Misfit, misfit};

pub(super) fn boolean(value: &Value) -> Result<bool, Misfit> {
    match value {
        Value::Boolean(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => misfit("it takes true or false"),
    }
}

/// Strings as they are, anything else in the text form of `wit/records.wit`.
pub(super) fn text(out: &mut Vec<u8>, schema: Option<&Schema>, value: &Value) -> Encoded {
    match value {
        Value::String(text) => plain_text(out, text),
        // Base64 would be a guess.
        Value::Bytes(_) => misfit("bytes go into columns of the type bytea"),
        other => {
            let start = out.len();
            write_text(out, schema, other).map_err(|error| Misfit::new(&error.to_string()))?;
            check(out.get(start..).unwrap_or_default())
        }
    }
}

/// A text as it is.
pub(in super::super) fn plain_text(out: &mut Vec<u8>, text: &str) -> Encoded {
    check(text.as_bytes())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn check(text: &[u8]) -> Encoded {
    match text.contains(&0) {
        true => misfit("it has a NUL character, which PostgreSQL's texts cannot have"),
        false => Ok(()),
    }
}

pub(super) fn bytes(out: &mut Vec<u8>, value: &Value) -> Encoded {
    match value {
        Value::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Value::String(_) => misfit(
            "whether a string is base64, hexadecimal or itself is not guessed; use a schema or a \
             converter that gives bytes, or a column of the type text",
        ),
        _ => misfit("it takes bytes"),
    }
}

pub(super) fn uuid(out: &mut Vec<u8>, value: &Value) -> Encoded {
    let bytes = match value {
        Value::Bytes(bytes) => <[u8; 16]>::try_from(bytes.as_slice()).ok(),
        Value::String(text) => parse_uuid(text),
        _ => None,
    };
    match bytes {
        Some(bytes) => {
            super::put(out, bytes);
            Ok(())
        }
        None => misfit("it takes 16 bytes or a text such as 123e4567-e89b-12d3-a456-426614174000"),
    }
}

/// 32 hexadecimal digits, with the usual hyphens or with none, perhaps in braces.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let text = inner.unwrap_or(text);
    let hyphens: &[usize] = match text.len() {
        36 => &[8, 13, 18, 23],
        32 => &[],
        _ => return None,
    };
    let mut number: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        if hyphens.contains(&place) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = char::from(byte).to_digit(16)?;
        number = number << 4 | u128::from(digit);
    }
    Some(number.to_be_bytes())
}
