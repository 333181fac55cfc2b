//! Schemas of envelopes by their text: records repeat the same schema over and over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{error::ConvertError, json::node::Node, schema::Schema, schema_json};

/// Bounded by `schemas.cache.size`. When full it starts anew, which costs a few parses where a
/// list of recent use would cost something with every record.
#[derive(Debug)]
pub(crate) struct SchemaCache {
    max_schemas: usize,
    replace_nulls: bool,
    schemas: Mutex<HashMap<Box<str>, Option<Arc<Schema>>>>,
}

impl SchemaCache {
    pub(crate) fn new(max_schemas: usize, replace_nulls: bool) -> Self {
        Self {
            max_schemas,
            replace_nulls,
            schemas: Mutex::default(),
        }
    }

    /// The schema of `text`; `None` for `null`.
    ///
    /// # Errors
    /// If the text is no schema. That is not remembered.
    pub(crate) fn get(&self, text: &str) -> Result<Option<Arc<Schema>>, ConvertError> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        if let Some(known) = self
            .schemas
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(text)
        {
            return Ok(known.clone());
        }
        let schema = match Node::parse_span(text)? {
            Node::Null => None,
            node => Some(Arc::new(schema_json::parse(&node, self.replace_nulls, 0)?)),
        };
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= self.max_schemas {
            schemas.clear();
        }
        if self.max_schemas > 0 {
            schemas.insert(text.into(), schema.clone());
        }
        Ok(schema)
    }
}
