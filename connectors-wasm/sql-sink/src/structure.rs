//! What a key or a value is made of: fields, or one whole.

use serde_json::Value;
use tidegate_sdk::Field;

use crate::kinds;
use crate::node::Node;

/// The structure of a key or a value, that of a schema or that of one record.
#[derive(Clone, Debug)]
pub enum Structure {
    /// Kafka's null.
    Nothing,
    /// A schema in Connect's JSON form.
    Schema(Value),
    /// A record without a schema.
    Plain(Node),
    /// Fields of which the host said what they are.
    Known(Vec<Field>),
}

/// What a structure has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No such field.
    Absent,
    /// Null, so that its type is not known.
    Null,
    /// Something of this type; none: that cannot be said.
    Kind(Option<String>),
}

/// A field of a structure.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    pub found: Found,
    pub optional: bool,
}

impl Structure {
    /// Its fields; none if it has no fields.
    pub fn parts(&self) -> Option<Vec<Part>> {
        let of_fields = |fields: &[Field]| {
            let part = |field: &Field| Part {
                name: field.name.clone(),
                found: match field.kind.as_str() {
                    NULLS => Found::Null,
                    kind => Found::Kind(Some(kind.to_owned())),
                },
                optional: field.optional,
            };
            fields.iter().map(part).collect()
        };
        match self {
            Self::Nothing => None,
            Self::Schema(schema) => kinds::fields(schema).map(|fields| of_fields(&fields)),
            Self::Known(fields) => Some(of_fields(fields)),
            Self::Plain(Node::Object(members)) => {
                let part = |(name, node): &(String, Node)| Part {
                    name: name.clone(),
                    found: of_node(Some(node)),
                    optional: true,
                };
                Some(members.iter().map(part).collect())
            }
            Self::Plain(_) => None,
        }
    }

    /// What it has at `path`.
    pub fn at(&self, path: &str) -> Found {
        match self {
            Self::Nothing => Found::Absent,
            Self::Schema(schema) => match kinds::schema_at(schema, path) {
                Some(schema) => Found::Kind(kinds::of_schema(schema)),
                None => Found::Absent,
            },
            Self::Plain(node @ Node::Object(_)) => of_node(node.at(path)),
            Self::Plain(_) => Found::Absent,
            // Nothing is known of what is further below.
            Self::Known(fields) => match fields.iter().find(|field| field.name == path) {
                Some(field) => Found::Kind(Some(field.kind.clone())),
                None => Found::Kind(None),
            },
        }
    }

    /// The type of the whole. Values without a schema are a mixture of anything, which texts can
    /// hold.
    pub fn whole_value(&self) -> String {
        match self {
            Self::Schema(schema) => kinds::of_schema(schema),
            _ => None,
        }
        .unwrap_or_else(|| "string".to_owned())
    }

    /// The type of a key without fields; none of a null.
    pub fn whole_key(&self) -> Option<String> {
        match self {
            Self::Schema(schema) => kinds::of_schema(schema),
            Self::Plain(node) => node.kind().map(str::to_owned),
            Self::Nothing | Self::Known(_) => None,
        }
    }
}

/// The host's word for the type of a field that is null in all records of a batch.
const NULLS: &str = "null";

fn of_node(node: Option<&Node>) -> Found {
    match node {
        None => Found::Absent,
        Some(node) => match node.kind() {
            None => Found::Null,
            Some(kind) => Found::Kind(Some(kind.to_owned())),
        },
    }
}
