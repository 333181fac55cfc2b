//! What the keys of a batch are.

use serde_json::Value;
use tidegate_sdk::prelude::*;
use tidegate_sdk::{Encoding, Field};

use crate::kinds;

/// What the first key of a batch is; the host says of each row whether it is so there too.
pub enum RecordKey {
    /// No record has one.
    Missing,
    /// A value without fields, of this type.
    Whole(String),
    /// A struct or a map.
    Fields(Vec<Field>),
}

impl RecordKey {
    /// Looks at schemas, and at keys only if they have none.
    pub fn of(batch: &Batch) -> Result<Self> {
        let rows = batch.read(Read::schemas())?;
        if let Some(schema) = rows.iter().find_map(|row| row.key_schema) {
            return Self::of_schema(
                &serde_json::from_str(schema).or_fail("read the key's schema")?,
            );
        }
        let rows = batch.read(Read::keys(Encoding::Json))?;
        match rows.iter().find_map(|row| row.key) {
            Some(key) => Ok(Self::of_json(
                &serde_json::from_slice(key).or_fail("read a key")?,
            )),
            None => Ok(Self::Missing),
        }
    }

    fn of_schema(schema: &Value) -> Result<Self> {
        match (kinds::fields(schema), kinds::of_schema(schema)) {
            (Some(fields), _) => Ok(Self::Fields(fields)),
            (None, Some(kind)) => Ok(Self::Whole(kind)),
            (None, None) => Err(Failure::fatal(format!(
                "the key's schema has no type: {schema}"
            ))),
        }
    }

    fn of_json(key: &Value) -> Self {
        match key {
            Value::Object(members) => {
                let field = |(name, value): (&String, &Value)| Field {
                    name: name.clone(),
                    kind: kinds::of_json(value).unwrap_or_else(|| "string".to_owned()),
                    optional: true,
                };
                Self::Fields(members.iter().map(field).collect())
            }
            other => match kinds::of_json(other) {
                Some(kind) => Self::Whole(kind),
                None => Self::Missing,
            },
        }
    }
}
