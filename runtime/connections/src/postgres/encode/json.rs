//! json and jsonb.

use serde::de::IgnoredAny;
use tidegate_convert::{Schema, Value, write_text};

use super::{Encoded, Misfit, misfit};

/// A string that is valid JSON goes as it is: that is how sources hand such columns on. What begins
/// as a document and is none is refused, since nobody means half of one to be a text. Any other
/// string becomes a JSON string.
pub(super) fn encode(out: &mut Vec<u8>, schema: Option<&Schema>, value: &Value) -> Encoded {
    match value {
        Value::String(text) => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            // Not "no JSON" but more of it than the parser takes.
            Err(error) if error.to_string().starts_with("recursion limit") => {
                misfit("it is nested deeper than 127 levels")
            }
            Err(error) if text.trim_start().starts_with(['{', '[', '"']) => {
                misfit(&format!("it is no valid JSON: {error}"))
            }
            Err(_) => {
                let written = serde_json::to_writer(out, text);
                written.map_err(|error| Misfit::new(&error.to_string()))
            }
        },
        Value::Date(_) => {
            out.push(b'"');
            plain(out, schema, value)?;
            out.push(b'"');
            Ok(())
        }
        other => plain(out, schema, other),
    }
}

fn plain(out: &mut Vec<u8>, schema: Option<&Schema>, value: &Value) -> Encoded {
    write_text(out, schema, value).map_err(|error| Misfit::new(&error.to_string()))
}
