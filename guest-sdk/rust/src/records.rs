//! The records that one `poll` answers, filled row by row.

mod record;

use std::collections::BTreeMap;

use crate::batch::Encoding;
use crate::bindings::records as wire;
use crate::columns::ColumnBuilder;
use crate::position::{Offset, Partition};
use crate::source::Boundary;

pub use record::RecordBuilder;

/// Connect's schema of a plain string.
const STRING_SCHEMA: &str = r#"{"type":"string","optional":false}"#;
/// The index that means: this row has no schema.
const NO_SCHEMA: u16 = u16::MAX;

/// Records and positions on their way to Kafka.
///
/// ```
/// use tidegate_sdk::prelude::*;
///
/// let mut records = Records::to("numbers");
/// records.push().key("a").value("1");
/// records.push().value("2").header("origin", b"test");
/// records.checkpoint(&Partition::new().with("name", "all"), &Offset::new().with("n", 2));
/// assert_eq!(records.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Records {
    rows: usize,
    topics: Dictionary,
    topic: Vec<u16>,
    partitions: Vec<i32>,
    timestamps: Vec<i64>,
    keys: ColumnBuilder,
    key_encoding: Encoding,
    values: ColumnBuilder,
    value_encoding: Encoding,
    header_counts: Vec<u16>,
    headers: usize,
    header_keys: ColumnBuilder,
    header_values: ColumnBuilder,
    schemas: Dictionary,
    default_key_schema: u16,
    default_value_schema: u16,
    key_schema: Vec<u16>,
    value_schema: Vec<u16>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) refused: Vec<String>,
    pub(crate) store_soon: bool,
}

/// A position that covers the first `rows` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) rows: usize,
    pub(crate) partition: String,
    pub(crate) offset: String,
    pub(crate) boundary: Boundary,
}

impl Records {
    /// None yet; they go to `topic` unless a record says otherwise.
    pub fn to(topic: &str) -> Self {
        Self::with_capacity(topic, 0, 0)
    }

    /// As [`Records::to`], with room for that many records and bytes of values.
    pub fn with_capacity(topic: &str, records: usize, bytes: usize) -> Self {
        let mut topics = Dictionary::default();
        topics.index(topic);
        Self {
            rows: 0,
            topics,
            topic: Vec::new(),
            partitions: Vec::new(),
            timestamps: Vec::new(),
            keys: ColumnBuilder::default(),
            key_encoding: Encoding::Raw,
            values: ColumnBuilder::with_capacity(records, bytes),
            value_encoding: Encoding::Raw,
            header_counts: Vec::new(),
            headers: 0,
            header_keys: ColumnBuilder::default(),
            header_values: ColumnBuilder::default(),
            schemas: Dictionary::default(),
            default_key_schema: NO_SCHEMA,
            default_value_schema: NO_SCHEMA,
            key_schema: Vec::new(),
            value_schema: Vec::new(),
            checkpoints: Vec::new(),
            refused: Vec::new(),
            store_soon: false,
        }
    }

    /// Values are strings in Connect's type system, not bytes of unknown meaning.
    #[must_use]
    pub fn of_strings(self) -> Self {
        self.of_schema(STRING_SCHEMA)
    }

    /// Values follow this schema, in Connect's JSON form, unless a record says otherwise.
    #[must_use]
    pub fn of_schema(mut self, schema: &str) -> Self {
        self.default_value_schema = self.schemas.index(schema);
        self
    }

    /// Keys are strings in Connect's type system, not bytes of unknown meaning.
    #[must_use]
    pub fn with_string_keys(mut self) -> Self {
        self.default_key_schema = self.schemas.index(STRING_SCHEMA);
        self
    }

    /// Values are written in this encoding; raw bytes if this is not called.
    #[must_use]
    pub fn encoded(mut self, encoding: Encoding) -> Self {
        self.value_encoding = encoding;
        self
    }

    /// Keys are written in this encoding; raw bytes if this is not called.
    #[must_use]
    pub fn with_keys_encoded(mut self, encoding: Encoding) -> Self {
        self.key_encoding = encoding;
        self
    }

    /// Adds a record. What is not set on the answer stays null.
    pub fn push(&mut self) -> RecordBuilder<'_> {
        let row = self.rows;
        self.rows += 1;
        RecordBuilder::new(self, row)
    }

    /// Adds a record that has only a value; the fastest way.
    #[inline]
    pub fn push_value(&mut self, value: &[u8]) {
        self.values.set(self.rows, value);
        self.rows += 1;
    }

    /// All records so far (of this partition: since its last checkpoint) end at `offset`. With
    /// none of them new it moves the position alone.
    pub fn checkpoint(&mut self, partition: &Partition, offset: &Offset) {
        self.checkpoint_with(partition, offset, Boundary::None);
    }

    /// As [`Records::checkpoint`], and a transaction of the connector's own ends here.
    pub fn checkpoint_with(&mut self, partition: &Partition, offset: &Offset, boundary: Boundary) {
        self.checkpoints.push(Checkpoint {
            rows: self.rows,
            partition: partition.to_json(),
            offset: offset.to_json(),
            boundary,
        });
    }

    /// A record of the source cannot be handled, and is in no row. That fails the task, or with
    /// `errors.tolerance=all` it is skipped and counted, before a position behind it is stored.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        self.refused.push(reason.into());
    }

    /// Has the positions stored as soon as these records are acked, and not with the next interval:
    /// for what cannot be found again by the position before.
    pub fn store_soon(&mut self) {
        self.store_soon = true;
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of keys, values and headers.
    pub fn bytes(&self) -> usize {
        let headers = self.header_keys.bytes() + self.header_values.bytes();
        self.keys.bytes() + self.values.bytes() + headers
    }

    /// Whether there is a position.
    pub fn has_checkpoints(&self) -> bool {
        !self.checkpoints.is_empty()
    }

    /// Whether there is nothing in it that a runtime would have to hear.
    pub fn says_nothing(&self) -> bool {
        self.is_empty() && self.checkpoints.is_empty() && self.refused.is_empty()
    }

    pub(crate) fn finish(mut self) -> (wire::Columns, Vec<Checkpoint>) {
        let rows = self.rows;
        fill(&mut self.topic, rows, 0);
        fill(&mut self.partitions, rows, -1);
        fill(&mut self.timestamps, rows, -1);
        if self.default_key_schema != NO_SCHEMA || !self.key_schema.is_empty() {
            self.key_schema.resize(rows, self.default_key_schema);
        }
        // Without an entry a row, the contract gives every value schemas[0].
        let implied = if self.schemas.entries.is_empty() {
            NO_SCHEMA
        } else {
            0
        };
        if self.default_value_schema != implied || !self.value_schema.is_empty() {
            self.value_schema.resize(rows, self.default_value_schema);
        }
        fill(&mut self.header_counts, rows, 0);
        let headers = (self.headers > 0).then(|| wire::HeaderColumn {
            counts: self.header_counts,
            keys: self.header_keys.finish(self.headers),
            values: self.header_values.finish(self.headers),
        });
        let columns = wire::Columns {
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            topics: self.topics.entries,
            topic: self.topic,
            partitions: self.partitions,
            offsets: Vec::new(),
            timestamps: self.timestamps,
            key_encoding: self.key_encoding.into(),
            keys: self.keys.finish(rows),
            value_encoding: self.value_encoding.into(),
            values: self.values.finish(rows),
            headers,
            schemas: self.schemas.entries,
            key_schema: self.key_schema,
            value_schema: self.value_schema,
        };
        (columns, self.checkpoints)
    }
}

/// Distinct strings, each with its index.
#[derive(Clone, Debug, Default)]
struct Dictionary {
    entries: Vec<String>,
    indexes: BTreeMap<String, u16>,
}

impl Dictionary {
    fn index(&mut self, entry: &str) -> u16 {
        if let Some(index) = self.indexes.get(entry) {
            return *index;
        }
        let index = u16::try_from(self.entries.len()).unwrap_or(NO_SCHEMA);
        self.entries.push(entry.to_owned());
        self.indexes.insert(entry.to_owned(), index);
        index
    }
}

/// Completes a column that was begun; one that was not stays empty.
fn fill<T: Clone>(column: &mut Vec<T>, rows: usize, default: T) {
    if !column.is_empty() {
        column.resize(rows, default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_nobody_set_stay_empty() {
        let mut records = Records::to("t").of_strings();
        records.push_value(b"a");
        records.push_value(b"");
        let (columns, _) = records.finish();
        assert_eq!((columns.rows, columns.values.lengths), (2, vec![1, 0]));
        assert!(columns.topic.is_empty() && columns.keys.lengths.is_empty());
        assert!(columns.headers.is_none() && columns.value_schema.is_empty());
        assert_eq!(columns.schemas, [STRING_SCHEMA]);
    }

    #[test]
    fn a_schema_of_keys_does_not_become_that_of_values() {
        let mut records = Records::to("t").with_string_keys();
        records.push().key("k").value("v");
        let (columns, _) = records.finish();
        assert_eq!(
            (columns.key_schema, columns.value_schema),
            (vec![0], vec![NO_SCHEMA])
        );

        let mut records = Records::to("t");
        records.push().value("1");
        records.push().value_schema("{}").value("2");
        records.push().value("3");
        let (columns, _) = records.finish();
        assert_eq!(columns.value_schema, [NO_SCHEMA, 0, NO_SCHEMA]);
    }

    #[test]
    fn parts_that_some_rows_set_are_complete() {
        let mut records = Records::to("t");
        records.push().value("1");
        records
            .push()
            .topic("u")
            .partition(3)
            .timestamp(7)
            .key("k")
            .header("h", "x")
            .header("i", "");
        records.push().value("3");
        let (columns, _) = records.finish();
        assert_eq!(columns.topics, ["t", "u"]);
        assert_eq!(columns.topic, [0, 1, 0]);
        assert_eq!(columns.partitions, [-1, 3, -1]);
        assert_eq!(columns.timestamps, [-1, 7, -1]);
        assert_eq!(columns.keys.lengths, [-1, 1, -1]);
        assert_eq!(columns.values.lengths, [1, -1, 1]);
        let headers = columns.headers.unwrap();
        assert_eq!(
            (headers.counts, headers.keys.data),
            (vec![0, 2, 0], b"hi".to_vec())
        );
    }
}
