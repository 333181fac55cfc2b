//! Structs straight from their text, without a tree of it in between. Only what nearly all writers
//! write is read here, the fields of the schema, all of them and in its order. Everything else,
//! errors too, is for [`read`] to judge, so that there is one place that says what is lenient.

use std::sync::Arc;

use crate::{
    json::{
        cursor::Cursor,
        node::{Node, unescaped},
        number,
    },
    payload::read::{self, Nulls},
    schema::{Schema, Type},
    value::{Struct, Value},
};

/// The struct of `schema` that comes next, `depth` levels deep already. None: it is written in
/// another way, and `cursor` is of no use any more.
pub(crate) fn structure(
    cursor: &mut Cursor<'_>,
    schema: &Arc<Schema>,
    nulls: Nulls,
    depth: usize,
) -> Option<Value> {
    let depth = depth + 1;
    cursor.check_depth(depth).ok()?;
    cursor.skip_space();
    cursor.eat(b'{').then_some(())?;
    let strict = Nulls {
        strict: true,
        ..nulls
    };
    let mut values = Vec::with_capacity(schema.fields.len());
    for (index, field) in schema.fields.iter().enumerate() {
        if index > 0 {
            cursor.skip_space();
            cursor.eat(b',').then_some(())?;
        }
        // No field is in a schema twice, so none that is found like this is in the text twice.
        let name = cursor.member().ok()?;
        (!name.escaped && name.inner == field.name).then_some(())?;
        member(&mut values, cursor, &field.schema, strict, depth)?;
    }
    cursor.skip_space();
    cursor.eat(b'}').then_some(())?;
    Some(Value::Struct(Struct::new(Arc::clone(schema), values)))
}

/// Appends the value that comes next. The most frequent ones are made where they stay: handing
/// them through results takes longer than reading them.
fn member(
    values: &mut Vec<Value>,
    cursor: &mut Cursor<'_>,
    schema: &Arc<Schema>,
    nulls: Nulls,
    depth: usize,
) -> Option<()> {
    cursor.skip_space();
    let is_plain = schema.name.is_none();
    match (cursor.peek()?, schema.kind) {
        (b'{', Type::Struct) if is_struct(schema) => {
            values.push(structure(cursor, schema, nulls, depth)?);
        }
        (b'"', Type::String) if is_plain => {
            let text = unescaped(cursor.string().ok()?);
            values.push(Value::String(text.into_owned()));
        }
        (b'-' | b'0'..=b'9', Type::Int32) if is_plain => {
            let text = cursor.number().ok()?;
            values.push(Value::Int32(match text.parse() {
                Ok(number) => number,
                Err(_) if nulls.coerce => number::long_value(text) as i32,
                Err(_) => number::exact_long(text)?.try_into().ok()?,
            }));
        }
        (b'-' | b'0'..=b'9', Type::Int64) if is_plain => {
            let text = cursor.number().ok()?;
            values.push(Value::Int64(match nulls.coerce {
                true => number::long_value(text),
                false => number::exact_long(text)?,
            }));
        }
        (b'-' | b'0'..=b'9', Type::Float64) if is_plain => {
            let number: f64 = cursor.number().ok()?.parse().unwrap_or(f64::NAN);
            (nulls.coerce || number.is_finite()).then_some(())?;
            values.push(Value::Float64(number));
        }
        _ => {
            // The tree of a scalar is a slice of the text.
            let node = Node::parse_next(cursor, depth).ok()?;
            values.push(read::read(Some(schema), &node, nulls).ok()?);
        }
    }
    Some(())
}

/// Whether values of it are structs: a logical type's name counts more than the type.
pub(crate) fn is_struct(schema: &Schema) -> bool {
    schema.kind == Type::Struct && schema.logical().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nearly_all_writers_write_needs_no_tree() {
        let schema = Arc::new(
            Schema::from_json(
                r#"{"type":"struct","fields":[
                    {"field":"a","type":"int32"},
                    {"field":"b","type":"struct","fields":[
                        {"field":"c","type":"string","optional":true}]}]}"#,
            )
            .unwrap(),
        );
        let nulls = Nulls {
            coerce: true,
            replace: true,
            strict: false,
        };
        let streamed = |text: &str| structure(&mut Cursor::new(text.as_bytes()), &schema, nulls, 1);
        for text in [
            r#"{"a":1,"b":{"c":"x"}}"#,
            r#" { "a" : 01.5 , "b" : { "c" : null } } behind"#,
        ] {
            let tree = Node::parse(text.as_bytes()).unwrap();
            let long = read::read(Some(&schema), &tree, nulls).unwrap();
            assert_eq!(streamed(text), Some(long), "{text}");
        }
        for text in [
            r#"{"b":{"c":"x"},"a":1}"#,
            r#"{"a":1}"#,
            r#"{"a":1,"b":{}}"#,
            r#"{"a":1,"b":{"c":"x"},"d":1}"#,
            r#"{"a":1,"b":{"c":"x","c":"y"}}"#,
            r#"{"\u0061":1,"b":{"c":"x"}}"#,
            r#"{"a":null,"b":{"c":"x"}}"#,
            r#"{"a":1,"b":null}"#,
            r#"{"a":1,"b":{"c":"x"}"#,
            "[]",
            "",
        ] {
            assert_eq!(streamed(text), None, "{text}");
        }
    }
}
