//! What a source task brought: rows as columns, checked, with the positions that cover them.

use crate::columns::{ByteColumn, Encoding};
use crate::offset::{SourceOffset, SourcePartition};

/// One of keys or values as a guest encoded it.
#[derive(Debug, Clone)]
pub struct EncodedPart {
    /// How the bytes are encoded.
    pub encoding: Encoding,
    /// One entry a row.
    pub bytes: ByteColumn,
    /// Index into the batch's schemas, or [`NO_SCHEMA`]. Empty: see the batch.
    pub schema: Vec<u16>,
}

/// In a schema index: this row has none.
pub const NO_SCHEMA: u16 = u16::MAX;

/// Headers of all rows, flattened: row i owns the next `counts[i]` entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// How many headers each row has.
    pub counts: Vec<u16>,
    /// Their names.
    pub keys: ByteColumn,
    /// Their values, as in Kafka.
    pub values: ByteColumn,
}

/// A header's name and value.
pub type HeaderEntry<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

impl Headers {
    /// The headers of each row in turn.
    pub fn rows(&self) -> impl Iterator<Item = Vec<HeaderEntry<'_>>> {
        let mut entries = self.keys.iter().zip(self.values.iter());
        let of_row = move |count: &u16| entries.by_ref().take(usize::from(*count)).collect();
        self.counts.iter().map(of_row)
    }

    /// A copy of the headers of the rows that `kept` marks.
    pub fn filtered(&self, kept: &[bool]) -> Self {
        let flat: Vec<bool> = self
            .counts
            .iter()
            .zip(kept)
            .flat_map(|(&count, &keep)| std::iter::repeat_n(keep, usize::from(count)))
            .collect();
        let is_kept = |entry: usize| flat.get(entry).copied().unwrap_or(false);
        Self {
            counts: kept_rows(&self.counts, kept),
            keys: self.keys.filtered(is_kept),
            values: self.values.filtered(is_kept),
        }
    }
}

/// A copy of the rows that `kept` marks.
pub fn kept_rows<T: Copy>(column: &[T], kept: &[bool]) -> Vec<T> {
    column
        .iter()
        .zip(kept)
        .filter(|(_, keep)| **keep)
        .map(|(value, _)| *value)
        .collect()
}

/// Where a transaction of the connector's own ends (`transaction.boundary=connector`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boundary {
    /// Not here.
    #[default]
    None,
    /// Here; what is in it counts.
    Commit,
    /// Here; its records are dropped, its positions count.
    Abort,
}

/// The first `rows` rows of a batch are covered by this position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// 0: the position moved without a record.
    pub rows: u32,
    /// Where.
    pub partition: SourcePartition,
    /// How far.
    pub offset: SourceOffset,
    /// Whether a transaction ends here.
    pub boundary: Boundary,
}

/// The answer to one poll that brought records. Every list was checked against `rows` when the
/// batch was taken from the guest.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    /// Number of rows.
    pub rows: usize,
    /// Distinct topics.
    pub topics: Vec<String>,
    /// Index into `topics`; empty: all rows go to the only topic.
    pub topic: Vec<u16>,
    /// Kafka partition; empty: the partitioner chooses.
    pub partitions: Vec<i32>,
    /// Milliseconds since the epoch; empty: the producer's time.
    pub timestamps: Vec<i64>,
    /// Keys.
    pub keys: EncodedPart,
    /// Values.
    pub values: EncodedPart,
    /// Headers, if any row has some.
    pub headers: Option<Headers>,
    /// Distinct schemas in Connect's JSON form. With an empty index, every value has the first.
    pub schemas: Vec<String>,
    /// Positions, by ascending `rows`.
    pub checkpoints: Vec<Checkpoint>,
    /// Records that are in no row because the guest could not handle them: why.
    pub refused: Vec<String>,
    /// Whether the positions shall be stored as soon as the records are acked.
    pub store_soon: bool,
}
