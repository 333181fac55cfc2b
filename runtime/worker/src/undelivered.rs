//! What is left of a batch whose put has to be tried again, while partitions may go: rows of a
//! partition that is revoked are abandoned, neither put nor accepted (D6).

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_kafka::RecordBatch;
use tidegate_sandbox::SinkBatch;

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
