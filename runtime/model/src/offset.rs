//! Source partitions and offsets: JSON objects of flat primitives in one canonical spelling,
//! because the spelling is the key under which an offset is kept (and compacted).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a partition or an offset of a guest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// Not JSON, or not an object.
    #[error("{what} {text:?} is not a JSON object: {reason}")]
    NotAnObject {
        /// `partition` or `offset`.
        what: &'static str,
        /// What was given, shortened.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A list or object inside.
    #[error("{what} field {field:?} is not a string, number, boolean or null")]
    NotFlat {
        /// `partition` or `offset`.
        what: &'static str,
        /// The field.
        field: String,
    },
}

/// Where in its system a source reads: a file, a table, a shard. Canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourcePartition(String);

/// How far a source has read there. Never a Kafka offset. Canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceOffset(String);

impl SourcePartition {
    /// Canonicalises `json`.
    ///
    /// # Errors
    /// If it is not an object of flat primitives.
    pub fn parse(json: &str) -> Result<Self, OffsetError> {
        canonical("partition", json).map(Self)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SourceOffset {
    /// Canonicalises `json`.
    ///
    /// # Errors
    /// If it is not an object of flat primitives.
    pub fn parse(json: &str) -> Result<Self, OffsetError> {
        canonical("offset", json).map(Self)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourcePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SourceOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn canonical(what: &'static str, json: &str) -> Result<String, OffsetError> {
    let not_an_object = |reason: String| OffsetError::NotAnObject {
        what,
        text: json.chars().take(200).collect(),
        reason,
    };
    let value: Value = serde_json::from_str(json).map_err(|e| not_an_object(e.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(not_an_object("it is another kind of value".to_owned()));
    };
    if let Some((field, _)) = fields.iter().find(|(_, v)| v.is_array() || v.is_object()) {
        return Err(OffsetError::NotFlat {
            what,
            field: field.clone(),
        });
    }
    // Sorted by hand: another crate in the build may turn on serde_json's insertion order.
    let sorted: std::collections::BTreeMap<String, Value> = fields.into_iter().collect();
    serde_json::to_string(&sorted).map_err(|e| not_an_object(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling() {
        let a = SourcePartition::parse(r#"{ "b" : 1, "a": "x" }"#).unwrap();
        let b = SourcePartition::parse(r#"{"a":"x","b":1}"#).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.as_str(), r#"{"a":"x","b":1}"#);
    }

    #[test]
    fn only_flat_objects() {
        for bad in ["", "1", "[]", "{", "null"] {
            assert!(matches!(
                SourceOffset::parse(bad),
                Err(OffsetError::NotAnObject { .. })
            ));
        }
        assert!(matches!(
            SourceOffset::parse(r#"{"a":{"b":1}}"#),
            Err(OffsetError::NotFlat { what: "offset", .. })
        ));
    }

    proptest! {
        #[test]
        fn order_of_keys_is_without_meaning(
            fields in proptest::collection::btree_map("[a-z]{1,6}", any::<i64>(), 0..6)
        ) {
            let forwards: Vec<String> = fields.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
            let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
            let parse = |f: &[String]| SourceOffset::parse(&format!("{{{}}}", f.join(","))).unwrap();
            prop_assert_eq!(parse(&forwards), parse(&backwards));
            let once = parse(&forwards);
            prop_assert_eq!(SourceOffset::parse(once.as_str()).unwrap(), once);
        }
    }
}
