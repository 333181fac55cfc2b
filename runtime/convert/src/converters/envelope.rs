//! JsonConverter's envelope, `{"schema":...,"payload":...}`.

use crate::{
    error::ConvertError,
    json::{cursor::Cursor, node::unescaped, scan},
    payload::write::Format,
    schema::Schema,
    schema_json,
};

/// Texts of the schema and of the payload, both checked.
///
/// # Errors
/// If `bytes` are not an object of exactly these two members.
pub(crate) fn split<'a>(
    bytes: &'a [u8],
    stack: &mut Vec<bool>,
) -> Result<(&'a str, &'a str), ConvertError> {
    let mut cursor = Cursor::new(bytes);
    cursor.skip_space();
    if !cursor.eat(b'{') {
        // What is no JSON at all shall be said to be that.
        scan::scan(bytes, stack)?;
        return Err(ConvertError::Envelope);
    }
    let (mut schema, mut payload, mut other) = (None, None, false);
    cursor.skip_space();
    let mut more = !cursor.eat(b'}');
    while more {
        let name = unescaped(cursor.member()?);
        cursor.skip_space();
        let start = cursor.at();
        scan::skip_value(&mut cursor, stack, 1)?;
        let text = Some(cursor.since(start));
        // As in any object, the last one wins.
        match &*name {
            "schema" => schema = text,
            "payload" => payload = text,
            _ => other = true,
        }
        cursor.skip_space();
        more = cursor.eat(b',');
        if !more {
            cursor.expect(b'}', "expected a comma or a closing bracket")?;
        }
    }
    match (schema, payload) {
        (Some(schema), Some(payload)) if !other => Ok((schema, payload)),
        _ => Err(ConvertError::Envelope),
    }
}

/// All that comes before the payload.
///
/// # Errors
/// If the schema's default is no value of it.
pub(crate) fn prefix(schema: Option<&Schema>, format: Format) -> Result<Vec<u8>, ConvertError> {
    let mut out = b"{\"schema\":".to_vec();
    schema_json::write_schema(&mut out, schema, None, format)?;
    out.extend_from_slice(b",\"payload\":");
    Ok(out)
}
