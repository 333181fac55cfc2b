//! The vectors' ways to write values and bytes.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use tidegate_convert::{Decimal, Schema, Struct, Value};

/// `null`, `{"utf8": ...}` or `{"base64": ...}`.
pub fn bytes_of(json: &Json) -> Option<Vec<u8>> {
    match (json["utf8"].as_str(), json["base64"].as_str()) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (_, Some(text)) => Some(STANDARD.decode(text).unwrap()),
        _ => None,
    }
}

/// A schema as in JsonConverter's envelope, or null.
pub fn schema_of(json: &Json) -> Option<Arc<Schema>> {
    (!json.is_null()).then(|| Arc::new(Schema::from_json(&json.to_string()).unwrap()))
}

/// A value from its `typed` form; structs take their schema from the schema given.
pub fn value_of(schema: Option<&Arc<Schema>>, json: &Json) -> Value {
    let Some((kind, inner)) = json.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    let items = schema.and_then(|schema| schema.value_schema.as_ref());
    let keys = schema.and_then(|schema| schema.key_schema.as_ref());
    let int = || inner.as_i64().unwrap();
    let float = || match inner.as_str() {
        Some(text) => text.parse::<f64>().unwrap(),
        None => inner.as_f64().unwrap(),
    };
    let text = || inner.as_str().unwrap();
    let list = || inner.as_array().unwrap().iter();
    match kind.as_str() {
        "int8" => Value::Int8(int() as i8),
        "int16" => Value::Int16(int() as i16),
        "int32" => Value::Int32(int() as i32),
        "int64" => Value::Int64(int()),
        "float32" => Value::Float32(float() as f32),
        "float64" => Value::Float64(float()),
        "boolean" => Value::Boolean(inner.as_bool().unwrap()),
        "string" => Value::String(text().to_owned()),
        "bytes" => Value::Bytes(STANDARD.decode(text()).unwrap()),
        "decimal" => Value::Decimal(Decimal::parse(text()).unwrap()),
        "date" => Value::Date(int()),
        "array" => Value::Array(list().map(|item| value_of(items, item)).collect()),
        "map" => Value::Map(
            list()
                .map(|pair| (value_of(keys, &pair[0]), value_of(items, &pair[1])))
                .collect(),
        ),
        "struct" => {
            let schema = schema.unwrap();
            let value = |field: &tidegate_convert::Field| {
                value_of(Some(&field.schema), &inner[&field.name])
            };
            let values = schema.fields.iter().map(value).collect();
            Value::Struct(Struct::new(Arc::clone(schema), values))
        }
        other => panic!("unknown type {other}"),
    }
}

/// The `typed` form of a value.
pub fn typed(value: &Value) -> Json {
    let float = |number: f64, text: Json| {
        if number.is_nan() {
            json!("NaN")
        } else if number.is_infinite() {
            json!(if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            })
        } else {
            text
        }
    };
    match value {
        Value::Null => Json::Null,
        Value::Boolean(truth) => json!({ "boolean": truth }),
        Value::Int8(number) => json!({ "int8": number }),
        Value::Int16(number) => json!({ "int16": number }),
        Value::Int32(number) => json!({ "int32": number }),
        Value::Int64(number) => json!({ "int64": number }),
        Value::Float32(number) => {
            // The shortest digits, read by the same parser as the vectors are.
            let text = serde_json::from_str(&format!("{number:?}")).unwrap_or_default();
            json!({ "float32": float(f64::from(*number), text) })
        }
        Value::Float64(number) => json!({ "float64": float(*number, json!(number)) }),
        Value::String(text) => json!({ "string": text }),
        Value::Bytes(bytes) => json!({ "bytes": STANDARD.encode(bytes) }),
        Value::Decimal(decimal) => json!({ "decimal": decimal.to_string() }),
        Value::Date(millis) => json!({ "date": millis }),
        Value::Array(items) => json!({ "array": items.iter().map(typed).collect::<Vec<_>>() }),
        Value::Map(entries) => {
            let mut pairs: Vec<Json> = entries
                .iter()
                .map(|(key, item)| json!([typed(key), typed(item)]))
                .collect();
            pairs.sort_by_key(|pair| pair[0].to_string());
            json!({ "map": pairs })
        }
        Value::Struct(fields) => {
            let named = fields.schema().fields.iter().zip(fields.values());
            let members: serde_json::Map<String, Json> = named
                .map(|(field, item)| (field.name.clone(), typed(item)))
                .collect();
            json!({ "struct": members })
        }
    }
}
