//! Arrays of one dimension.

use tidegate_convert::{Schema, Value};

use super::{
    super::{binary_text, types::Kind},
    Encoded, Misfit, binary, misfit, put,
};

pub(super) fn encode(
    element: &Kind,
    oid: u32,
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Encoded {
    let Value::Array(items) = value else {
        return misfit("it takes an array");
    };
    let length = i32::try_from(items.len()).map_err(|_| Misfit::new("it is too long"))?;
    let has_nulls = items.iter().any(Value::is_null);
    put(out, i32::from(length > 0).to_be_bytes());
    put(out, i32::from(has_nulls).to_be_bytes());
    put(out, oid.to_be_bytes());
    if length == 0 {
        return Ok(());
    }
    put(out, length.to_be_bytes());
    // Counted from 1.
    put(out, 1_i32.to_be_bytes());
    let schema = schema.and_then(|schema| schema.value_schema.as_deref());
    for item in items {
        let start = out.len();
        put(out, (-1_i32).to_be_bytes());
        if item.is_null() {
            continue;
        }
        check(item)?;
        binary(element, out, schema, item)?;
        let length = i32::try_from(out.len() - start - 4);
        let length = length.map_err(|_| Misfit::new("an item is too long"))?;
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

/// As a literal, `{1,NULL,3}`.
pub(super) fn text(
    element: &Kind,
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    items: &[Value],
) -> Encoded {
    let schema = schema.and_then(|schema| schema.value_schema.as_deref());
    let mut bytes = Vec::new();
    out.push(b'{');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if item.is_null() {
            out.extend_from_slice(b"NULL");
            continue;
        }
        check(item)?;
        bytes.clear();
        binary(element, &mut bytes, schema, item)?;
        let text = binary_text::of(element, &bytes);
        let text = text.ok_or_else(|| Misfit::new("an item has no text form"))?;
        out.push(b'"');
        for byte in text.bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    out.push(b'}');
    Ok(())
}

fn check(item: &Value) -> Encoded {
    match item {
        Value::Array(_) => misfit("arrays within arrays are not supported"),
        _ => Ok(()),
    }
}
