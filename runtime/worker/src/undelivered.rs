//! What is left of a batch whose put has to be tried again, while partitions may go: rows of a
//! partition that is revoked are abandoned, neither put nor accepted (D6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidegate_kafka::RecordBatch;
use tidegate_sandbox::{LedgerSpan, SinkBatch, TopicPartition};

/// What is left to do of one batch from Kafka.
pub(crate) struct Undelivered {
    /// Where its rows came from; keys and values are in the batches.
    pub(crate) records: RecordBatch,
    pub(crate) batches: VecDeque<Arc<SinkBatch>>,
    /// Next offsets of what was put of it.
    put: BTreeMap<i32, i64>,
}

impl Undelivered {
    pub(crate) fn new(records: RecordBatch, batches: Vec<Arc<SinkBatch>>) -> Self {
        Self {
            records,
            batches: batches.into(),
            put: BTreeMap::new(),
        }
    }

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
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let all = spans(&self.records.topic, self.places());
        all.into_iter()
            .map(|span| (span.at, span.next_offset))
            .collect()
    }

    /// What a put of this batch has. The last one speaks for records behind it too, which no batch
    /// holds since nothing can handle them.
    pub(crate) fn spans(&self, batch: &SinkBatch) -> Vec<LedgerSpan> {
        let rows = batch.partitions.iter().zip(&batch.offsets);
        let rows = spans(&batch.topic, rows.map(|(p, o)| (*p, *o)));
        if !self.is_last() {
            return rows;
        }
        let mut rest = self.rest();
        for span in &mut rest {
            if let Some(put) = rows.iter().find(|put| put.at == span.at) {
                span.first_offset = span.first_offset.min(put.first_offset);
            }
        }
        rest
    }

    /// What was not put of it.
    pub(crate) fn rest(&self) -> Vec<LedgerSpan> {
        let is_put = |partition, offset| self.put.get(&partition).is_some_and(|put| *put > offset);
        let mut rest = spans(
            &self.records.topic,
            self.places().filter(|(p, o)| !is_put(*p, *o)),
        );
        // All of a partition was put: it stays where it is.
        for (at, next_offset) in self.positions() {
            if !rest.iter().any(|span| span.at == at) {
                rest.push(LedgerSpan {
                    at,
                    first_offset: next_offset,
                    next_offset,
                });
            }
        }
        rest
    }

    /// The first batch in two, if it has two rows: all of it takes longer than the target has time for.
    pub(crate) fn halve(&mut self) {
        if let Some(batch) = self.batches.pop_front_if(|batch| batch.len() > 1) {
            let half = batch.len() / 2;
            let (first, second) = (
                batch.filtered(|row| row < half),
                batch.filtered(|row| row >= half),
            );
            self.batches.push_front(Arc::new(second));
            self.batches.push_front(Arc::new(first));
        }
    }

    /// The first batch was put and is stored.
    pub(crate) fn was_put(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            let places = batch.partitions.iter().zip(&batch.offsets);
            self.put
                .extend(places.map(|(partition, offset)| (*partition, offset + 1)));
        }
    }

    fn places(&self) -> impl Iterator<Item = (i32, i64)> {
        let places = self.records.partitions.iter().zip(&self.records.offsets);
        places.map(|(partition, offset)| (*partition, *offset))
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

/// From where to where the rows of each partition are. Rows of a partition ascend, so its last one
/// counts; should a partition have gone back within them, its smallest is the first.
fn spans(topic: &str, places: impl Iterator<Item = (i32, i64)>) -> Vec<LedgerSpan> {
    let mut ends: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for (partition, offset) in places {
        let (first, next) = ends.entry(partition).or_insert((offset, offset));
        *first = offset.min(*first);
        *next = offset + 1;
    }
    let named = |(partition, (first_offset, next_offset))| LedgerSpan {
        at: TopicPartition {
            topic: topic.to_owned(),
            partition,
        },
        first_offset,
        next_offset,
    };
    ends.into_iter().map(named).collect()
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

    fn batches(mut records: RecordBatch) -> Vec<Arc<SinkBatch>> {
        let converters = Converters {
            key: string(),
            value: string(),
        };
        sink_batches::convert(&converters, &mut records).batches
    }

    #[test]
    fn rows_of_a_revoked_partition_are_neither_put_nor_accepted() {
        let mut left = Undelivered::new(records(), batches(records()));
        left.abandon(&[("other".into(), 1), ("t".into(), 0)]);
        let batch = left.next().unwrap();
        assert_eq!((&batch.partitions, &batch.offsets), (&vec![1], &vec![9]));
        assert_eq!(left.records.offsets, [9]);
        left.abandon(&[("t".into(), 1)]);
        assert!(left.next().is_none());
        assert!(left.records.is_empty());
    }

    #[test]
    fn a_put_tells_where_it_begins_and_the_last_one_speaks_for_what_no_batch_holds() {
        // No batch holds the last row of partition 0.
        let only = |row: usize| batches(records().filtered(|other| other == row)).remove(0);
        let span = |partition, first_offset, next_offset| LedgerSpan {
            at: TopicPartition {
                topic: "t".into(),
                partition,
            },
            first_offset,
            next_offset,
        };
        let mut left = Undelivered::new(records(), vec![only(0), only(1)]);
        assert_eq!(left.rest(), [span(0, 5, 7), span(1, 9, 10)]);
        let first = left.next().unwrap();
        assert_eq!(left.spans(&first), [span(0, 5, 6)]);
        left.was_put();
        let last = left.next().unwrap();
        assert_eq!(left.spans(&last), [span(0, 6, 7), span(1, 9, 10)]);
        left.was_put();
        assert_eq!(left.rest(), [span(0, 6, 7), span(1, 10, 10)]);
        // Put in halves, each tells where it begins.
        let mut left = Undelivered::new(records(), batches(records()));
        left.halve();
        let first = left.next().unwrap();
        assert_eq!(left.spans(&first), [span(0, 5, 6)]);
        left.halve();
        left.was_put();
        left.halve();
        let second = left.next().unwrap();
        assert_eq!(left.spans(&second), [span(1, 9, 10)]);
        left.was_put();
        let third = left.next().unwrap();
        assert_eq!(left.spans(&third), [span(0, 6, 7), span(1, 10, 10)]);
        left.was_put();
        assert!(left.next().is_none());
        // A partition that went back within one batch begins at its smallest offset.
        let mut back = records();
        back.offsets = vec![5, 9, 3];
        let left = Undelivered::new(back, Vec::new());
        assert_eq!(left.rest(), [span(0, 3, 4), span(1, 9, 10)]);
    }
}
