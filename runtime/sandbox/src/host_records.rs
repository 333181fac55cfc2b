//! The `records` interface: what a guest may ask of a batch that lies on the host.

use std::sync::{Arc, Weak};

use tidegate_convert::ConvertError;
use tidegate_model::batch::NO_SCHEMA;
use tidegate_model::columns::{ByteColumn, Encoding};
use wasmtime::component::Resource;

use crate::batch::SinkBatch;
use crate::bindings::{records, types};
use crate::state::HostState;

impl types::Host for HostState {}
impl records::Host for HostState {}

pub(crate) fn encoding(encoding: records::Encoding) -> Encoding {
    match encoding {
        records::Encoding::Raw => Encoding::Raw,
        records::Encoding::Json => Encoding::Json,
        records::Encoding::Cbor => Encoding::Cbor,
    }
}

fn column(column: ByteColumn) -> records::ByteColumn {
    let (lengths, data) = column.into_parts();
    records::ByteColumn { lengths, data }
}

fn no_column() -> records::ByteColumn {
    records::ByteColumn {
        lengths: Vec::new(),
        data: Vec::new(),
    }
}

fn failure(error: ConvertError) -> types::Failure {
    types::Failure::Fatal(error.to_string())
}

fn columns(
    batch: &SinkBatch,
    parts: records::Part,
    key: records::Encoding,
    value: records::Encoding,
) -> Result<records::Columns, types::Failure> {
    use records::Part;
    let read = |part: Part, source: &tidegate_convert::DecodedColumn, wanted| {
        if !parts.contains(part) {
            return Ok(no_column());
        }
        let bytes = source.read(encoding(wanted)).map_err(failure)?;
        Ok(column(bytes.into_owned()))
    };
    let keys = read(Part::KEYS, &batch.keys, key)?;
    let values = read(Part::VALUES, &batch.values, value)?;
    let positions = parts.contains(Part::POSITIONS);
    let schemas = if parts.contains(Part::SCHEMAS) {
        schemas(batch).map_err(failure)?
    } else {
        Schemas::default()
    };
    Ok(records::Columns {
        rows: u32::try_from(batch.len()).unwrap_or(u32::MAX),
        topics: vec![batch.topic.clone()],
        topic: Vec::new(),
        partitions: if positions {
            batch.partitions.clone()
        } else {
            Vec::new()
        },
        offsets: if positions {
            batch.offsets.clone()
        } else {
            Vec::new()
        },
        timestamps: if parts.contains(Part::TIMESTAMPS) {
            batch.timestamps.clone()
        } else {
            Vec::new()
        },
        key_encoding: key,
        keys,
        value_encoding: value,
        values,
        headers: batch
            .headers
            .as_ref()
            .filter(|_| parts.contains(Part::HEADERS))
            .map(|headers| records::HeaderColumn {
                counts: headers.counts.clone(),
                keys: column(headers.keys.clone()),
                values: column(headers.values.clone()),
            }),
        schemas: schemas.all,
        key_schema: schemas.keys,
        value_schema: schemas.values,
    })
}

/// A dictionary of schemas, and where keys and values point in it.
#[derive(Default)]
struct Schemas {
    all: Vec<String>,
    keys: Vec<u16>,
    values: Vec<u16>,
}

/// The schemas of values, then those of keys, in one dictionary.
fn schemas(batch: &SinkBatch) -> Result<Schemas, ConvertError> {
    let (value_schemas, value_index) = batch.values.schemas();
    let (key_schemas, key_index) = batch.keys.schemas();
    let shift = u16::try_from(value_schemas.len()).unwrap_or(NO_SCHEMA);
    let shifted = |index: u16| {
        if index == NO_SCHEMA {
            NO_SCHEMA
        } else {
            index.saturating_add(shift)
        }
    };
    let keys = match (key_index.is_empty(), key_schemas.is_empty()) {
        (_, true) => Vec::new(),
        (true, false) => vec![shift; batch.len()],
        (false, false) => key_index.into_iter().map(shifted).collect(),
    };
    // Empty, they would have the first schema of the dictionary, which is one of keys.
    let values = match value_schemas.is_empty() && !key_schemas.is_empty() {
        true => vec![NO_SCHEMA; batch.len()],
        false => value_index,
    };
    let all: Result<Vec<String>, ConvertError> = value_schemas
        .iter()
        .chain(&key_schemas)
        .map(|schema| schema.to_json())
        .collect();
    Ok(Schemas {
        all: all?,
        keys,
        values,
    })
}

impl HostState {
    /// The batch behind a handle. The data lives as long as the put; a guest that kept the handle
    /// longer traps.
    pub(crate) fn batch(
        &self,
        handle: &Resource<Weak<SinkBatch>>,
    ) -> wasmtime::Result<Arc<SinkBatch>> {
        self.table
            .get(handle)?
            .upgrade()
            .ok_or_else(|| wasmtime::format_err!("the batch was used after its put had returned"))
    }
}

impl records::HostBatch for HostState {
    async fn length(&mut self, batch: Resource<Weak<SinkBatch>>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.batch(&batch)?.len()).unwrap_or(u32::MAX))
    }

    async fn topic(&mut self, batch: Resource<Weak<SinkBatch>>) -> wasmtime::Result<String> {
        Ok(self.batch(&batch)?.topic.clone())
    }

    async fn tombstones(&mut self, batch: Resource<Weak<SinkBatch>>) -> wasmtime::Result<Vec<u32>> {
        let batch = self.batch(&batch)?;
        Ok((0u32..)
            .zip(0..batch.len())
            .filter(|(_, row)| batch.values.is_null(*row))
            .map(|(row, _)| row)
            .collect())
    }

    async fn fields(
        &mut self,
        batch: Resource<Weak<SinkBatch>>,
    ) -> wasmtime::Result<Result<Vec<records::Field>, types::Failure>> {
        let batch = self.batch(&batch)?;
        Ok(batch.values.fields().map_err(failure).map(|fields| {
            fields
                .into_iter()
                .map(|f| records::Field {
                    name: f.name,
                    kind: match f.only_nulls {
                        true => "null".to_owned(),
                        false => f.kind,
                    },
                    optional: f.optional,
                })
                .collect()
        }))
    }

    async fn read(
        &mut self,
        batch: Resource<Weak<SinkBatch>>,
        parts: records::Part,
        key: records::Encoding,
        value: records::Encoding,
    ) -> wasmtime::Result<Result<records::Columns, types::Failure>> {
        let batch = self.batch(&batch)?;
        Ok(columns(&batch, parts, key, value))
    }

    async fn drop(&mut self, batch: Resource<Weak<SinkBatch>>) -> wasmtime::Result<()> {
        self.table.delete(batch)?;
        Ok(())
    }
}
