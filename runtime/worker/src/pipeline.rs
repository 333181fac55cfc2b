//! Converters of one connector, and what they do to a batch on its way: the stage between task
//! and Kafka.

use std::sync::Arc;

use tidegate_convert::{Converter, EncodedColumn, RowError, Schema, Side, converter};
use tidegate_model::batch::{EncodedPart, SourceBatch};
use tidegate_model::columns::ByteColumn;
use tidegate_model::connector_config::{ConnectorConfig, ConverterChoice, KeyProblem};

/// The converters of a connector.
#[derive(Debug, Clone)]
pub(crate) struct Converters {
    pub(crate) key: Arc<dyn Converter>,
    pub(crate) value: Arc<dyn Converter>,
}

/// A record that a converter refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub(crate) row: u32,
    pub(crate) stage: &'static str,
    pub(crate) reason: String,
}

/// A source's batch in Kafka's bytes.
pub(crate) struct Encoded {
    pub(crate) keys: ByteColumn,
    pub(crate) values: ByteColumn,
    /// Ascending, each row once.
    pub(crate) bad: Vec<BadRow>,
}

impl Converters {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Vec<KeyProblem>> {
        let make = |choice: &ConverterChoice, side: Side| {
            converter(&choice.class, &choice.settings, side).map_err(|e| {
                vec![KeyProblem {
                    key: side.setting().to_owned(),
                    message: e.to_string(),
                }]
            })
        };
        Ok(Self {
            key: make(&config.key_converter, Side::Key)?,
            value: make(&config.value_converter, Side::Value)?,
        })
    }

    /// Converts keys and values of a batch, which is used up.
    pub(crate) fn encode(&self, batch: &mut SourceBatch, schemas: &[Arc<Schema>]) -> Encoded {
        let key_schemas = if batch.keys.schema.is_empty() {
            &[]
        } else {
            schemas
        };
        let (keys, key_errors) = self.key.encode_column(column(&mut batch.keys, key_schemas));
        let (values, value_errors) = self.value.encode_column(column(&mut batch.values, schemas));
        Encoded {
            keys,
            values,
            bad: bad_rows(key_errors, value_errors),
        }
    }
}

fn column(part: &mut EncodedPart, schemas: &[Arc<Schema>]) -> EncodedColumn {
    EncodedColumn {
        encoding: part.encoding,
        bytes: std::mem::take(&mut part.bytes),
        schemas: schemas.to_vec(),
        schema_index: std::mem::take(&mut part.schema),
    }
}

/// Rows that either converter refused, each once, ascending.
pub(crate) fn bad_rows(keys: Vec<RowError>, values: Vec<RowError>) -> Vec<BadRow> {
    let staged = |errors: Vec<RowError>, stage| {
        errors.into_iter().map(move |e| BadRow {
            row: e.row,
            stage,
            reason: e.error.to_string(),
        })
    };
    let mut all: Vec<BadRow> = staged(keys, "KEY_CONVERTER")
        .chain(staged(values, "VALUE_CONVERTER"))
        .collect();
    all.sort_by_key(|bad| bad.row);
    all.dedup_by_key(|bad| bad.row);
    all
}
