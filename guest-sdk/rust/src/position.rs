//! Where a source is: partitions and offsets, JSON objects of flat primitives.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::{Failure, Result};

macro_rules! flat_object {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(BTreeMap<String, Value>);

        impl $name {
            /// No entries.
            pub fn new() -> Self {
                Self::default()
            }

            /// With one more entry: a string, a number or a boolean.
            #[must_use]
            pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
                self.0.insert(key.to_owned(), value.into());
                self
            }

            /// The entry, whatever it is.
            pub fn get(&self, key: &str) -> Option<&Value> {
                self.0.get(key)
            }

            /// The entry if it is a string.
            pub fn str(&self, key: &str) -> Option<&str> {
                self.get(key).and_then(Value::as_str)
            }

            /// The entry if it is a whole number.
            pub fn i64(&self, key: &str) -> Option<i64> {
                self.get(key).and_then(Value::as_i64)
            }

            /// The entry if it is a whole number and not negative.
            pub fn u64(&self, key: &str) -> Option<u64> {
                self.get(key).and_then(Value::as_u64)
            }

            /// Reads a JSON object of flat primitives.
            pub fn from_json(text: &str) -> Result<Self> {
                let entries: BTreeMap<String, Value> = serde_json::from_str(text)
                    .map_err(|error| Failure::fatal(format!("{text} is no JSON object: {error}")))?;
                let nested = entries.iter().find(|(_, v)| v.is_object() || v.is_array());
                match nested {
                    None => Ok(Self(entries)),
                    Some((key, _)) => Err(Failure::fatal(format!(
                        "{text} has a nested value at {key}, use strings, numbers and booleans"
                    ))),
                }
            }

            /// The canonical form: one line, keys sorted.
            pub fn to_json(&self) -> String {
                self.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{")?;
                for (index, (key, value)) in self.0.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{value}", Value::from(key.as_str()))?;
                }
                f.write_str("}")
            }
        }
    };
}

flat_object! {
    /// A part of the source system that is read by itself: a file, a table, a shard.
    Partition
}

flat_object! {
    /// How far a partition was read.
    Offset
}

/// What was committed for the partitions of a connector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(Vec<(Partition, Offset)>);

impl Positions {
    /// How far `partition` was read; none: never.
    pub fn offset(&self, partition: &Partition) -> Option<&Offset> {
        self.iter()
            .find(|(known, _)| *known == partition)
            .map(|(_, offset)| offset)
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, &Offset)> {
        self.0.iter().map(|(partition, offset)| (partition, offset))
    }

    /// Whether nothing was ever committed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn from_wire(pairs: &[(String, String)]) -> Result<Self> {
        let parse = |(partition, offset): &(String, String)| {
            Ok((Partition::from_json(partition)?, Offset::from_json(offset)?))
        };
        pairs.iter().map(parse).collect::<Result<_>>().map(Self)
    }
}

impl FromIterator<(Partition, Offset)> for Positions {
    fn from_iter<I: IntoIterator<Item = (Partition, Offset)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_is_sorted_and_tight() {
        let offset = Offset::new().with("b", 2).with("a", "x\"y").with("c", true);
        assert_eq!(offset.to_json(), r#"{"a":"x\"y","b":2,"c":true}"#);
        assert_eq!(Offset::from_json(&offset.to_json()).unwrap(), offset);
    }

    #[test]
    fn nested_values_are_refused_by_name() {
        let failure = Offset::from_json(r#"{"a":{"b":1}}"#).unwrap_err();
        assert!(failure.reason().contains("nested value at a"), "{failure}");
        assert!(Offset::from_json("[1]").is_err());
    }

    #[test]
    fn a_position_is_found_by_its_partition() {
        let positions = Positions::from_wire(&[
            (r#"{"f":"a"}"#.into(), r#"{"p":1}"#.into()),
            (
                r#"{"f":"b"}"#.into(),
                r#"{"p":18446744073709551615}"#.into(),
            ),
        ])
        .unwrap();
        let offset = positions.offset(&Partition::new().with("f", "b")).unwrap();
        assert_eq!((offset.u64("p"), offset.i64("p")), (Some(u64::MAX), None));
        assert_eq!(positions.offset(&Partition::new().with("f", "c")), None);
    }
}
