//! Schemas in the JSON form of JsonConverter's envelope, which guests use as well.

use std::{collections::HashSet, sync::Arc};

use crate::{
    error::ConvertError,
    json::{node::Node, number, write as json},
    payload::{
        read::{self, Nulls},
        write::{self, Format},
    },
    schema::{Field, Schema, SchemaError, Type},
};

/// Levels of schemas within schemas: what follows a schema, such as reading its values, recurses
/// as deep. Connect has no limit but its stack.
const MAX_SCHEMA_DEPTH: usize = 100;

impl Schema {
    /// Reads `{"type":"string","optional":false}` and its like, as leniently as JsonConverter
    /// does: unknown members are ignored, and so are known ones of the wrong type where they are
    /// not needed.
    ///
    /// # Errors
    /// If the text is no JSON or the JSON no schema.
    pub fn from_json(text: &str) -> Result<Self, ConvertError> {
        let node = Node::parse(text.as_bytes())?;
        parse(&node, true, 0)
    }

    /// The form that [`Schema::from_json`] reads; decimals among the defaults in base64.
    ///
    /// # Errors
    /// If the default is no value of the schema.
    pub fn to_json(&self) -> Result<String, ConvertError> {
        let format = Format {
            numeric_decimals: false,
            replace_nulls: true,
        };
        let mut out = Vec::new();
        write_schema(&mut out, Some(self), None, format)?;
        String::from_utf8(out).map_err(|error| ConvertError::Utf8 {
            valid_bytes: error.utf8_error().valid_up_to(),
        })
    }
}

/// A schema from its tree; `replace_nulls` is `replace.null.with.default`, for nulls within
/// defaults.
///
/// # Errors
/// If the tree is no schema, or one that is `depth` levels and more too deep.
pub(crate) fn parse(
    node: &Node<'_>,
    replace_nulls: bool,
    depth: usize,
) -> Result<Schema, ConvertError> {
    if depth > MAX_SCHEMA_DEPTH {
        return Err(SchemaError::Depth.into());
    }
    let name = node
        .get("type")
        .and_then(Node::as_text)
        .ok_or(SchemaError::NoType)?;
    let kind = Type::ALL
        .into_iter()
        .find(|kind| kind.json_name() == name)
        .ok_or_else(|| SchemaError::UnknownType {
            name: name.chars().take(40).collect(),
        })?;
    let child = |part: &'static str| match node.get(part) {
        None | Some(Node::Null) => Err(ConvertError::Schema(SchemaError::NoPart {
            kind: kind.name(),
            part,
        })),
        Some(child) => parse(child, replace_nulls, depth + 1).map(|child| Some(Arc::new(child))),
    };
    let mut schema = Schema::new(kind);
    match kind {
        Type::Array => schema.value_schema = child("items")?,
        Type::Map => {
            schema.key_schema = child("keys")?;
            schema.value_schema = child("values")?;
        }
        Type::Struct => schema.fields = fields(node, replace_nulls, depth)?,
        _ => {}
    }
    schema.optional = node.get("optional") == Some(&Node::Boolean(true));
    let text = |member| node.get(member).and_then(Node::as_text).map(str::to_owned);
    schema.name = text("name");
    schema.doc = text("doc");
    schema.version = match node.get("version") {
        Some(Node::Number(text)) if number::is_integral(text) => {
            Some(number::long_value(text) as i32)
        }
        _ => None,
    };
    if let Some(Node::Object(members)) = node.get("parameters") {
        for (name, value) in members {
            let name = name.clone().into_owned();
            let Some(value) = value.as_text() else {
                return Err(SchemaError::Parameter { name }.into());
            };
            schema.parameters.push((name, value.to_owned()));
        }
    }
    let Some(default) = node.get("default") else {
        return Ok(schema);
    };
    let without = Arc::new(schema);
    let nulls = Nulls {
        // A default that is bent is Connect's too, and nobody's record.
        coerce: true,
        replace: replace_nulls,
        strict: true,
    };
    let value =
        read::read(Some(&without), default, nulls).map_err(|error| SchemaError::Default {
            kind: kind.name(),
            problem: error.to_string(),
        })?;
    let mut schema = Arc::unwrap_or_clone(without);
    schema.default = (!value.is_null()).then(|| Box::new(value));
    Ok(schema)
}

fn fields(node: &Node<'_>, replace_nulls: bool, depth: usize) -> Result<Vec<Field>, ConvertError> {
    let Some(Node::Array(nodes)) = node.get("fields") else {
        return Err(SchemaError::NoPart {
            kind: "struct",
            part: "fields",
        }
        .into());
    };
    let mut names = HashSet::with_capacity(nodes.len());
    let mut fields = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let name = node
            .get("field")
            .and_then(Node::as_text)
            .ok_or(SchemaError::NoFieldName { index })?;
        if !names.insert(name) {
            return Err(SchemaError::FieldTwice {
                name: name.to_owned(),
            }
            .into());
        }
        let schema = parse(node, replace_nulls, depth + 1).map_err(|error| error.in_field(name))?;
        fields.push(Field {
            name: name.to_owned(),
            schema: Arc::new(schema),
        });
    }
    Ok(fields)
}

/// Appends `schema`, with JsonConverter's members in JsonConverter's order; `field` is its name
/// within a struct.
pub(crate) fn write_schema(
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    field: Option<&str>,
    format: Format,
) -> Result<(), ConvertError> {
    let Some(schema) = schema else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    out.extend_from_slice(b"{\"type\":");
    json::string(out, schema.kind.json_name());
    match schema.kind {
        Type::Array => {
            out.extend_from_slice(b",\"items\":");
            write_schema(out, schema.value_schema.as_deref(), None, format)?;
        }
        Type::Map => {
            out.extend_from_slice(b",\"keys\":");
            write_schema(out, schema.key_schema.as_deref(), None, format)?;
            out.extend_from_slice(b",\"values\":");
            write_schema(out, schema.value_schema.as_deref(), None, format)?;
        }
        Type::Struct => {
            let mut result = Ok(());
            out.extend_from_slice(b",\"fields\":");
            json::list(out, b"[]", &schema.fields, |out, field| {
                if result.is_ok() {
                    result = write_schema(out, Some(&field.schema), Some(&field.name), format);
                }
            });
            result?;
        }
        _ => {}
    }
    out.extend_from_slice(if schema.optional {
        b",\"optional\":true"
    } else {
        b",\"optional\":false"
    });
    let text = |out: &mut Vec<u8>, member: &[u8], text: Option<&str>| {
        if let Some(text) = text {
            out.extend_from_slice(member);
            json::string(out, text);
        }
    };
    text(out, b",\"name\":", schema.name.as_deref());
    if let Some(version) = schema.version {
        out.extend_from_slice(b",\"version\":");
        json::int(out, i64::from(version));
    }
    text(out, b",\"doc\":", schema.doc.as_deref());
    if !schema.parameters.is_empty() {
        out.extend_from_slice(b",\"parameters\":");
        json::list(out, b"{}", &schema.parameters, |out, (name, value)| {
            json::string(out, name);
            out.push(b':');
            json::string(out, value);
        });
    }
    if let Some(default) = &schema.default {
        out.extend_from_slice(b",\"default\":");
        write::write_default(out, schema, default, format)?;
    }
    text(out, b",\"field\":", field);
    out.push(b'}');
    Ok(())
}
