//! Types of parts of keys and values, in the words that the host has for fields.

use serde_json::Value;
use tidegate_sdk::Field;

/// How names of Connect's own logical types begin.
const LOGICAL: &str = "org.apache.kafka.connect.data.";

/// How names of Debezium's begin. What they stand for is of a plain type, which is in the kind too,
/// behind [`PLAIN`]: not every dialect has a type of its own for it.
const DEBEZIUM: &str = "io.debezium.";
/// Between Debezium's name and the plain type.
pub const PLAIN: char = '|';

/// The type that a schema in Connect's JSON form describes.
pub fn of_schema(schema: &Value) -> Option<String> {
    let name = schema.get("name").and_then(Value::as_str);
    if let Some(logical) = name.and_then(|name| name.strip_prefix(LOGICAL)) {
        return Some(logical.to_owned());
    }
    let plain = plain(schema)?;
    match name.and_then(|name| name.strip_prefix(DEBEZIUM)) {
        Some(name) => Some(format!("{name}{PLAIN}{plain}")),
        None => Some(plain),
    }
}

fn plain(schema: &Value) -> Option<String> {
    Some(match schema.get("type")?.as_str()? {
        "float" => "float32".to_owned(),
        "double" => "float64".to_owned(),
        "array" => match schema.get("items").and_then(of_schema) {
            Some(items) => format!("array<{items}>"),
            None => "array".to_owned(),
        },
        other => other.to_owned(),
    })
}

/// The fields that a struct's schema has; none if it is no struct's.
pub fn fields(schema: &Value) -> Option<Vec<Field>> {
    let field = |field: &Value| {
        Some(Field {
            name: field.get("field")?.as_str()?.to_owned(),
            kind: of_schema(field)?,
            optional: field.get("optional").and_then(Value::as_bool) == Some(true),
        })
    };
    let fields = schema.get("fields")?.as_array()?;
    Some(fields.iter().filter_map(field).collect())
}

/// The schema of the field `path` below a struct's. A field that has the dots in its own name is
/// nearer.
pub fn schema_at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let of_name = |name: &str| {
        let mut fields = schema.get("fields")?.as_array()?.iter();
        fields.find(|field| field.get("field").and_then(Value::as_str) == Some(name))
    };
    of_name(path).or_else(|| {
        let (name, rest) = path.split_once('.')?;
        schema_at(of_name(name)?, rest)
    })
}
