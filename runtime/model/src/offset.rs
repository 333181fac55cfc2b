//! Source partitions and offsets: JSON objects of flat primitives in one canonical spelling,
//! because the spelling is the key under which an offset is kept (and compacted).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
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

/// The key of the record in an offsets topic that keeps how far `connector` has read in
/// `partition`: Kafka Connect's `["connector",{partition}]`, without spaces.
pub fn offset_record_key(connector: &str, partition: &SourcePartition) -> Vec<u8> {
    format!("[{},{partition}]", Value::from(connector)).into_bytes()
}

/// The connector and the partition of a record in an offsets topic; none if the key is not one of
/// [`offset_record_key`]'s form: a topic can hold what others wrote.
pub fn parse_offset_record_key(key: &[u8]) -> Option<(String, SourcePartition)> {
    let (connector, Fields(fields)): (String, Fields) = serde_json::from_slice(key).ok()?;
    if fields.values().any(is_nested) {
        return None;
    }
    let partition = serde_json::to_string(&fields).ok()?;
    Some((connector, SourcePartition(partition)))
}

fn canonical(what: &'static str, json: &str) -> Result<String, OffsetError> {
    let not_an_object = |reason: String| OffsetError::NotAnObject {
        what,
        text: json.chars().take(200).collect(),
        reason,
    };
    let Fields(fields) = serde_json::from_str(json).map_err(|e| not_an_object(e.to_string()))?;
    if let Some((field, _)) = fields.iter().find(|(_, value)| is_nested(value)) {
        return Err(OffsetError::NotFlat {
            what,
            field: field.clone(),
        });
    }
    serde_json::to_string(&fields).map_err(|e| not_an_object(e.to_string()))
}

fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// The fields of an object, sorted: serde_json's own order depends on the features of a build. A
/// field that comes twice is refused, since one of its values would be lost.
struct Fields(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if fields.contains_key(&key) {
                        return Err(M::Error::custom(format!("the field {key:?} comes twice")));
                    }
                    fields.insert(key, value);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
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
        for bad in ["", "1", "[]", "{", "null", r#"{"a":1,"a":2}"#] {
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

    #[test]
    fn keys_of_records_are_connects() {
        let partition = SourcePartition::parse(r#"{"b":1,"a":"x"}"#).unwrap();
        let key = offset_record_key("my \"own\" source", &partition);
        assert_eq!(
            String::from_utf8(key.clone()).unwrap(),
            r#"["my \"own\" source",{"a":"x","b":1}]"#
        );
        let parsed = parse_offset_record_key(&key);
        assert_eq!(parsed, Some(("my \"own\" source".to_owned(), partition)));
        // Whoever else wrote it may order fields and use spaces.
        let parsed = parse_offset_record_key(br#"[ "c" , {"b":1, "a":"x"} ]"#).unwrap();
        assert_eq!(
            offset_record_key("c", &parsed.1),
            br#"["c",{"a":"x","b":1}]"#
        );
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            br#"["c"]"#,
            br#"["c",[1]]"#,
            br#"[1,{}]"#,
            br#"["c",{},1]"#,
            b"\xff",
        ] {
            assert_eq!(parse_offset_record_key(bad), None, "{bad:?}");
        }
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
