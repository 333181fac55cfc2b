//! Records of one topic as they came from Kafka, as columns.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};
use tidegate_model::batch::{Headers, kept_rows};
use tidegate_model::columns::ByteColumn;

/// Records of one topic in the order in which they were read. Every list has one entry a row.
#[derive(Debug, Clone, Default)]
pub struct RecordBatch {
    /// The topic.
    pub topic: String,
    /// Kafka partitions.
    pub partitions: Vec<i32>,
    /// Kafka offsets.
    pub offsets: Vec<i64>,
    /// Milliseconds since the epoch; -1: none.
    pub timestamps: Vec<i64>,
    /// Kafka's bytes.
    pub keys: ByteColumn,
    /// Kafka's bytes.
    pub values: ByteColumn,
    /// If any row has some.
    pub headers: Option<Headers>,
}

impl RecordBatch {
    pub(crate) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>) {
        self.partitions.push(message.partition());
        self.offsets.push(message.offset());
        self.timestamps
            .push(message.timestamp().to_millis().unwrap_or(-1));
        self.keys.push(message.key());
        self.values.push(message.payload());
        match message.headers() {
            Some(found) => {
                let rows = self.len() - 1;
                let headers = self.headers.get_or_insert_with(|| Headers {
                    counts: vec![0; rows],
                    ..Headers::default()
                });
                headers
                    .counts
                    .push(u16::try_from(found.count()).unwrap_or(u16::MAX));
                for header in found.iter().take(usize::from(u16::MAX)) {
                    headers.keys.push(Some(header.key.as_bytes()));
                    headers.values.push(header.value);
                }
            }
            None => {
                if let Some(headers) = &mut self.headers {
                    headers.counts.push(0);
                }
            }
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Keys and values together.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filtering_keeps_headers_with_their_rows() {
        let column = |rows: &[&str]| {
            rows.iter()
                .map(|r| Some(r.as_bytes()))
                .collect::<ByteColumn>()
        };
        let batch = RecordBatch {
            topic: "t".into(),
            partitions: vec![0, 1, 0],
            offsets: vec![5, 6, 7],
            timestamps: vec![1, 2, 3],
            keys: column(&["a", "b", "c"]),
            values: column(&["x", "y", "z"]),
            headers: Some(Headers {
                counts: vec![2, 1, 0],
                keys: column(&["h1", "h2", "h3"]),
                values: column(&["1", "2", "3"]),
            }),
        };
        let kept = batch.filtered(|row| row > 0);
        assert_eq!(
            (kept.offsets, kept.values),
            (vec![6, 7], column(&["y", "z"]))
        );
        let headers = kept.headers.unwrap();
        assert_eq!(
            (headers.counts, headers.keys),
            (vec![1, 0], column(&["h3"]))
        );
    }
}
