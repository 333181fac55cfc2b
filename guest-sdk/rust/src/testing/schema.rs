//! Schemas of records that live in a test.

use serde_json::Value;

use crate::bindings::records::Field;
use crate::testing::TestRecord;

/// The index that means: this row has no schema.
const NO_SCHEMA: u16 = u16::MAX;

/// Distinct schemas of a batch, and where its rows point.
#[derive(Default)]
pub(super) struct Schemas {
    pub(super) all: Vec<String>,
    pub(super) keys: Vec<u16>,
    pub(super) values: Vec<u16>,
}

impl Schemas {
    pub(super) fn of(records: &[TestRecord]) -> Self {
        let mut schemas = Self::default();
        for record in records {
            let value = schemas.index(record.value_schema.as_ref());
            let key = schemas.index(record.key_schema.as_ref());
            schemas.values.push(value);
            schemas.keys.push(key);
        }
        schemas
    }

    fn index(&mut self, schema: Option<&String>) -> u16 {
        let Some(schema) = schema else {
            return NO_SCHEMA;
        };
        let known = self.all.iter().position(|known| known == schema);
        let index = known.unwrap_or_else(|| {
            self.all.push(schema.clone());
            self.all.len() - 1
        });
        u16::try_from(index).unwrap_or(NO_SCHEMA)
    }
}

/// The fields of a struct's schema, as the host tells them.
pub(super) fn fields(schema: &str) -> Option<Vec<Field>> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let fields = schema.get("fields")?.as_array()?;
    let field = |field: &Value| {
        Some(Field {
            name: field.get("field")?.as_str()?.to_owned(),
            kind: kind(field)?,
            optional: field.get("optional").and_then(Value::as_bool) == Some(true),
        })
    };
    fields.iter().map(field).collect()
}

fn kind(schema: &Value) -> Option<String> {
    let name = schema.get("name").and_then(Value::as_str);
    if let Some(logical) = name.and_then(|n| n.strip_prefix("org.apache.kafka.connect.data.")) {
        return Some(logical.to_owned());
    }
    Some(match schema.get("type")?.as_str()? {
        "float" => "float32".to_owned(),
        "double" => "float64".to_owned(),
        "array" => format!("array<{}>", kind(schema.get("items")?)?),
        other => other.to_owned(),
    })
}
