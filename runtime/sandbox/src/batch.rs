//! The records of one put, held by the host while the guest decides what to do with them.

use std::fmt;

use tidegate_convert::DecodedColumn;
use tidegate_model::batch::{Headers, kept_rows};

/// One partition of a Kafka topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Records of one topic and one value schema. Every list has one entry a row.
#[derive(Debug)]
pub struct SinkBatch {
    /// The topic of all rows.
    pub topic: String,
    /// Kafka partition of each row.
    pub partitions: Vec<i32>,
    /// Kafka offset of each row.
    pub offsets: Vec<i64>,
    /// Milliseconds since the epoch; -1: none.
    pub timestamps: Vec<i64>,
    /// Keys.
    pub keys: DecodedColumn,
    /// Values.
    pub values: DecodedColumn,
    /// Headers, if any row has some.
    pub headers: Option<Headers>,
}

impl SinkBatch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}

/// What a guest's `batch` resource stands for. Weak: the data goes when the put returns, whatever
/// the guest does with the handle.
pub type BatchHandle = std::sync::Weak<SinkBatch>;

impl SinkBatch {
    /// A copy of the rows that `keep` accepts.
    pub fn filtered(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let kept: Vec<bool> = (0..self.len()).map(&mut keep).collect();
        let is_kept = |row: usize| kept.get(row).copied().unwrap_or(false);
        Self {
            topic: self.topic.clone(),
            partitions: kept_rows(&self.partitions, &kept),
            offsets: kept_rows(&self.offsets, &kept),
            timestamps: kept_rows(&self.timestamps, &kept),
            keys: self.keys.filtered(is_kept),
            values: self.values.filtered(is_kept),
            headers: self.headers.as_ref().map(|headers| headers.filtered(&kept)),
        }
    }
}
