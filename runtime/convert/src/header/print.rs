//! Values as header text.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    calendar::{self, DAY_MS},
    java_text,
    value::Value,
};

/// Appends `value`; within brackets strings are quoted.
pub(super) fn print(out: &mut String, value: &Value, embedded: bool) {
    match value {
        Value::String(text) if embedded => {
            out.push('"');
            for char in text.chars() {
                if matches!(char, '"' | '\\') {
                    out.push('\\');
                }
                out.push(char);
            }
            out.push('"');
        }
        Value::Bytes(bytes) => out.push_str(&STANDARD.encode(bytes)),
        Value::Date(millis) => out.push_str(&date(*millis)),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                comma(out, index);
                print(out, item, true);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                comma(out, index);
                print(out, key, true);
                out.push(':');
                print(out, item, true);
            }
            out.push('}');
        }
        Value::Struct(fields) => {
            out.push('{');
            let named = fields.schema().fields.iter().zip(fields.values());
            for (index, (field, item)) in named.enumerate() {
                comma(out, index);
                print(out, &Value::String(field.name.clone()), true);
                out.push(':');
                // Struct.get, which Connect uses here, puts the default in place of null.
                let default = field.schema.default.as_deref().filter(|_| item.is_null());
                print(out, default.unwrap_or(item), true);
            }
            out.push('}');
        }
        scalar => java_text::text(out, scalar),
    }
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Within the first day, or before it, a time; at midnight a date; else a timestamp.
fn date(millis: i64) -> String {
    if millis < DAY_MS {
        format!("{}Z", calendar::time(millis))
    } else if millis % DAY_MS == 0 {
        calendar::date(millis)
    } else {
        calendar::timestamp(millis)
    }
}
