//! Which records of a batch have the same structure.

use std::collections::HashMap;

use serde_json::Value;
use tidegate_sdk::prelude::*;
use tidegate_sdk::{Encoding, Row, Rows};

use crate::node::Node;
use crate::structure::Structure;

/// Keys or values of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Key,
    Value,
}

/// The structures that the keys or values of a batch have, each that of its first record.
#[derive(Debug, Default)]
pub struct Classes {
    pub structures: Vec<Structure>,
    /// The structure of each row.
    of_rows: Vec<u32>,
}

/// How close a look at records without a schema is to be.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// Only whether they have fields: what they are is of no importance.
    Kinds,
    /// All fields, and what is at these paths.
    Fields(&'a [String]),
}

impl Classes {
    /// That all rows are alike.
    pub fn one(structure: Structure) -> Self {
        Self {
            structures: vec![structure],
            of_rows: Vec::new(),
        }
    }

    /// The number of a row's structure.
    pub fn of_row(&self, row: u32) -> u32 {
        self.of_rows.get(row as usize).copied().unwrap_or(0)
    }

    /// Those of a batch. Records are looked at only if they have no schema.
    pub fn of(batch: &Batch, side: Side, look: Look<'_>) -> Result<Self> {
        let schemas = batch.read(Read::schemas())?;
        if let Some(classes) = Self::of_schemas(&schemas, side)? {
            return Ok(classes);
        }
        let read = match side {
            Side::Key => Read::keys(Encoding::Json),
            Side::Value => Read::values(Encoding::Json),
        };
        let rows = batch.read(read)?;
        let mut classes = Self::default();
        let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut signature = Vec::new();
        for (row, with_schema) in rows.iter().zip(schemas.iter()) {
            let (bytes, schema) = match side {
                Side::Key => (row.key, with_schema.key_schema),
                Side::Value => (row.value, with_schema.value_schema),
            };
            if let (Some(schema), Some(_)) = (schema, bytes) {
                let next = classes.structures.len();
                let number = *known
                    .entry(schema)
                    .or_insert(u32::try_from(next).unwrap_or(0));
                if number as usize == next {
                    classes.structures.push(parse(schema)?);
                }
                classes.of_rows.push(number);
                continue;
            }
            let bytes = bytes.unwrap_or(b"null");
            let structure = |bytes: &[u8]| {
                serde_json::from_slice::<Node>(bytes).or_fail("read a record without a schema")
            };
            signature.clear();
            let node = match look {
                Look::Kinds => {
                    let first = bytes.trim_ascii_start().first().copied();
                    signature.push(match first {
                        Some(b'-' | b'0'..=b'9') => b'0',
                        other => other.unwrap_or(b' '),
                    });
                    None
                }
                Look::Fields(paths) => {
                    let node = structure(bytes)?;
                    sign(&mut signature, &node, paths);
                    Some(node)
                }
            };
            if let Some(number) = numbers.get(signature.as_slice()) {
                classes.of_rows.push(*number);
                continue;
            }
            let number = u32::try_from(classes.structures.len()).unwrap_or(u32::MAX);
            let node = node.map_or_else(|| structure(bytes), Ok)?;
            classes.structures.push(match node {
                Node::Null => Structure::Nothing,
                node => Structure::Plain(node),
            });
            numbers.insert(signature.clone(), number);
            classes.of_rows.push(number);
        }
        Ok(classes)
    }

    /// None: not all rows have the same schema.
    fn of_schemas(rows: &Rows, side: Side) -> Result<Option<Self>> {
        let schema = |row: &Row<'_>| match side {
            Side::Key => row.key_schema.map(std::ptr::from_ref),
            Side::Value => row.value_schema.map(std::ptr::from_ref),
        };
        let mut all = rows.iter();
        let Some(first) = all.next() else {
            return Ok(None);
        };
        let text = match side {
            Side::Key => first.key_schema,
            Side::Value => first.value_schema,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        // Rows with one schema share its text.
        let is_same = |row: Row<'_>| schema(&row).is_some_and(|other| std::ptr::eq(other, text));
        if !all.all(is_same) {
            return Ok(None);
        }
        Ok(Some(Self::one(parse(text)?)))
    }
}

fn parse(schema: &str) -> Result<Structure> {
    let schema: Value = serde_json::from_str(schema).or_fail("read a schema")?;
    Ok(Structure::Schema(schema))
}

/// What tells structures apart: fields and where nulls are, and whether there is something at
/// `paths`. Types do not.
fn sign(signature: &mut Vec<u8>, node: &Node, paths: &[String]) {
    let mark = |node: Option<&Node>| match node {
        None => b'-',
        Some(Node::Null) => b'0',
        Some(_) => b'1',
    };
    let Node::Object(members) = node else {
        signature.extend_from_slice(node.kind().unwrap_or("null").as_bytes());
        return;
    };
    for (name, node) in members {
        signature.push(mark(Some(node)));
        signature.extend_from_slice(name.as_bytes());
        signature.push(0);
    }
    for path in paths.iter().filter(|path| path.contains('.')) {
        signature.push(mark(node.at(path)));
    }
}
