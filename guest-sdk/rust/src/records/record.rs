//! One record on its way to Kafka.

use serde::Serialize;

use super::Records;
use crate::batch::Encoding;
use crate::failure::Result;

/// One record under construction; it belongs to the [`Records`] already.
#[derive(Debug)]
pub struct RecordBuilder<'a> {
    records: &'a mut Records,
    row: usize,
}

impl<'a> RecordBuilder<'a> {
    pub(super) fn new(records: &'a mut Records, row: usize) -> Self {
        Self { records, row }
    }

    /// Sends it to another topic than the others.
    pub fn topic(self, topic: &str) -> Self {
        let index = self.records.topics.index(topic);
        put(&mut self.records.topic, self.row, 0, index);
        self
    }

    /// Sends it to this Kafka partition instead of leaving that to the partitioner.
    pub fn partition(self, partition: i32) -> Self {
        put(&mut self.records.partitions, self.row, -1, partition);
        self
    }

    /// Milliseconds since the epoch.
    pub fn timestamp(self, millis: i64) -> Self {
        put(&mut self.records.timestamps, self.row, -1, millis);
        self
    }

    /// The key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        self.records.keys.set(self.row, key.as_ref());
        self
    }

    /// The schema of the key, in Connect's JSON form.
    pub fn key_schema(self, schema: &str) -> Self {
        let index = self.records.schemas.index(schema);
        let others = self.records.default_key_schema;
        put(&mut self.records.key_schema, self.row, others, index);
        self
    }

    /// The value.
    pub fn value(self, value: impl AsRef<[u8]>) -> Self {
        self.records.values.set(self.row, value.as_ref());
        self
    }

    /// The value as JSON text; the batch is [encoded](Records::encoded) as JSON then.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value)?;
        self.records.value_encoding = Encoding::Json;
        Ok(self.value(text))
    }

    /// The schema of the value, in Connect's JSON form.
    pub fn value_schema(self, schema: &str) -> Self {
        let index = self.records.schemas.index(schema);
        let others = self.records.default_value_schema;
        put(&mut self.records.value_schema, self.row, others, index);
        self
    }

    /// One more header.
    pub fn header(self, key: &str, value: impl AsRef<[u8]>) -> Self {
        let records = self.records;
        records.header_keys.set(records.headers, key.as_bytes());
        records.header_values.set(records.headers, value.as_ref());
        records.headers += 1;
        let before = records.header_counts.get(self.row).copied().unwrap_or(0);
        put(
            &mut records.header_counts,
            self.row,
            0,
            before.saturating_add(1),
        );
        Self {
            records,
            row: self.row,
        }
    }
}

/// Sets entry `row`; entries between get `default`.
fn put<T: Clone>(column: &mut Vec<T>, row: usize, default: T, value: T) {
    column.truncate(row);
    column.resize(row, default);
    column.push(value);
}
