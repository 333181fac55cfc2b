//! What is left of a batch whose put has to be tried again, while partitions may go: rows of a
//! partition that is revoked are abandoned, neither put nor accepted (D6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidegate_kafka::RecordBatch;
use tidegate_sandbox::{SinkBatch, TopicPartition};

/// Next offsets.
pub(crate) type Positions = Vec<(TopicPartition, i64)>;

/// What is left to do of one batch from Kafka.
pub(crate) struct Undelivered {
    /// Where its rows came from; keys and values are in the batches.
    pub(crate) records: RecordBatch,
    pub(crate) batches: VecDeque<Arc<SinkBatch>>,
}

impl Undelivered {
    /// The first batch that still has rows.
    pub(crate) fn next(&mut self) -> Option<Arc<SinkBatch>> {
        while self.batches.front().is_some_and(|batch| batch.is_empty()) {
            self.batches.pop_front();
        }
        self.batches.front().cloned()
    }

    /// Whether what [`Self::next`] answered is all that is left to put.
    pub(crate) fn is_last(&self) -> bool {
        self.batches.iter().skip(1).all(|batch| batch.is_empty())
    }

    /// Where to go on after all of it.
    pub(crate) fn positions(&self) -> Positions {
        let records = &self.records;
        next_offsets(&records.topic, &records.partitions, &records.offsets)
    }

    /// Drops the rows of partitions that are going.
    pub(crate) fn abandon(&mut self, gone: &[(String, i32)]) {
        self.records = without(&self.records, gone);
        for batch in &mut self.batches {
            let kept = batch.filtered(|row| {
                let partition = batch.partitions.get(row).copied();
                !gone
                    .iter()
                    .any(|(topic, p)| *topic == batch.topic && Some(*p) == partition)
            });
            *batch = Arc::new(kept);
        }
    }
}

/// The next offset of each partition. Rows of a partition ascend, so its last one counts.
pub(crate) fn next_offsets(topic: &str, partitions: &[i32], offsets: &[i64]) -> Positions {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for (partition, offset) in partitions.iter().zip(offsets) {
        next.insert(*partition, *offset + 1);
    }
    let named = |(partition, next)| {
        let topic = topic.to_owned();
        (TopicPartition { topic, partition }, next)
    };
    next.into_iter().map(named).collect()
}

/// A copy of the rows of other partitions than these.
pub(crate) fn without(records: &RecordBatch, gone: &[(String, i32)]) -> RecordBatch {
    records.filtered(|row| {
        let partition = records.partitions.get(row).copied();
        !gone
            .iter()
            .any(|(topic, p)| *topic == records.topic && Some(*p) == partition)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Converters;
    use crate::sink_batches;
    use tidegate_convert::{Side, converter};

    fn records() -> RecordBatch {
        RecordBatch {
            topic: "t".into(),
            partitions: vec![0, 1, 0],
            offsets: vec![5, 9, 6],
            timestamps: vec![-1; 3],
            keys: [None, None, None].into_iter().collect(),
            values: [b"a", b"b", b"c"]
                .map(|v| Some(v.as_slice()))
                .into_iter()
                .collect(),
            headers: None,
        }
    }

    fn string() -> Arc<dyn tidegate_convert::Converter> {
        converter("StringConverter", &Default::default(), Side::Value).unwrap()
    }

    #[test]
    fn rows_of_a_revoked_partition_are_neither_put_nor_accepted() {
        let converters = Converters {
            key: string(),
            value: string(),
        };
        let mut records = records();
        let batches = sink_batches::convert(&converters, &mut records)
            .batches
            .into();
        let mut left = Undelivered { records, batches };
        left.abandon(&[("other".into(), 1), ("t".into(), 0)]);
        let batch = left.next().unwrap();
        assert_eq!((&batch.partitions, &batch.offsets), (&vec![1], &vec![9]));
        assert_eq!(left.records.offsets, [9]);
        left.abandon(&[("t".into(), 1)]);
        assert!(left.next().is_none());
        assert!(left.records.is_empty());
    }
}
