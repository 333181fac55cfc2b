//! JsonConverter's envelope, `{"schema":...,"payload":...}`.

use std::sync::Arc;

use crate::{
    error::ConvertError,
    json::{
        cursor::Cursor,
        node::{Node, unescaped},
        scan,
    },
    payload::{
        read::{self, Nulls},
        stream,
        write::Format,
    },
    schema::Schema,
    schema_json,
    value::Value,
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
        scan::scan(bytes, stack, &mut false)?;
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

/// What a record begins with whose payload comes last: most records of a topic begin alike, and
/// what was read once need not be read again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning<'a>(&'a [u8]);

impl<'a> Beginning<'a> {
    /// That of a record and what [`split`] answered for it; none if its payload comes first.
    pub(crate) fn of(bytes: &'a [u8], schema: &str, payload: &str) -> Option<Self> {
        let place = |part: &str| part.as_ptr() as usize - bytes.as_ptr() as usize;
        if place(schema) > place(payload) {
            return None;
        }
        bytes.get(..place(payload)).map(Self)
    }

    /// The value of a record that begins alike and ends behind its payload; none if it does not.
    pub(crate) fn value(
        &self,
        bytes: &[u8],
        schema: Option<&Arc<Schema>>,
        nulls: Nulls,
    ) -> Option<Result<Value, ConvertError>> {
        let cursor = Cursor::new(bytes.strip_prefix(self.0)?);
        // A byte order mark that begins the rest has been skipped, but is none in the middle.
        if cursor.left() != bytes.len() - self.0.len() {
            return None;
        }
        let ends = |mut cursor: Cursor<'_>| {
            cursor.skip_space();
            cursor.eat(b'}')
        };
        if let Some(schema) = schema.filter(|schema| stream::is_struct(schema)) {
            let mut cursor = cursor.clone();
            let value = stream::structure(&mut cursor, schema, nulls, 1);
            if let Some(value) = value.filter(|_| ends(cursor)) {
                return Some(Ok(value));
            }
        }
        let mut cursor = cursor;
        let payload = Node::parse_next(&mut cursor, 1).ok()?;
        ends(cursor).then(|| {
            if schema.is_none() && !nulls.coerce {
                read::check_numbers(&payload)?;
            }
            read::read(schema, &payload, nulls)
        })
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
