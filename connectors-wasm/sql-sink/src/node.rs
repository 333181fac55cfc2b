//! What a record without a schema looks like: its fields, in their order, and of what type they are.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Null,
    Boolean,
    Integer,
    Float,
    Text,
    Array,
    /// No name twice: the last one counts.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Connect's type; none of null.
    pub fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean => "boolean",
            Self::Integer => "int64",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Array => "array",
            Self::Object(_) => "map",
        })
    }

    /// The field `path`. A field that has the dots in its own name is nearer; what lies below a
    /// null is null.
    pub fn at(&self, path: &str) -> Option<&Self> {
        if *self == Self::Null {
            return Some(self);
        }
        let Self::Object(members) = self else {
            return None;
        };
        let of_name = |name: &str| {
            let mut members = members.iter();
            members.find(|(known, _)| known == name).map(|(_, at)| at)
        };
        of_name(path).or_else(|| {
            path.rmatch_indices('.').find_map(|(dot, _)| {
                let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
                of_name(name)?.at(rest)
            })
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Integer)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Integer)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Float)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some((name, node)) = entries.next_entry::<String, Node>()? {
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = node,
                None => members.push((name, node)),
            }
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn fields_keep_their_order_and_the_last_of_a_name_counts() {
        let found = node(r#"{"z": 1, "a": [1, {}], "z": "x"}"#);
        let expected = [("z", Node::Text), ("a", Node::Array)];
        let expected = expected.map(|(name, node)| (name.to_owned(), node));
        assert_eq!(found, Node::Object(expected.into()));
    }

    #[test]
    fn paths_descend_and_end_at_nulls() {
        let found = node(r#"{"a": {"b": 1.5, "n": null}, "a.c": true, "s": 5}"#);
        assert_eq!(found.at("a.b"), Some(&Node::Float));
        assert_eq!(found.at("a.c"), Some(&Node::Boolean));
        assert_eq!(found.at("a.n.x.y"), Some(&Node::Null));
        for missing in ["a.x", "s.x", "b", ""] {
            assert_eq!(found.at(missing), None, "{missing}");
        }
    }
}
