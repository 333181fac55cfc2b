//! A sink task under test.

use std::collections::BTreeMap;

use crate::export::glue::{self, Slot};
use crate::testing::{TestBatch, TestRecord, context};
use crate::{Errant, Flushed, NextOffset, RawConfig, Result, SinkTask, TopicPartition};

/// A sink task that a test feeds. Records get consecutive offsets, by topic.
pub struct SinkTest<T> {
    slot: Slot<T>,
    next_offsets: BTreeMap<String, i64>,
    accepted: BTreeMap<(String, i32), i64>,
}

impl<T: SinkTask> SinkTest<T> {
    /// Starts a task.
    pub fn start(config: impl Into<RawConfig>) -> Result<Self> {
        let slot = Slot::new();
        glue::start_sink(&slot, config.into().into_wire(), &context())?;
        Ok(Self {
            slot,
            next_offsets: BTreeMap::new(),
            accepted: BTreeMap::new(),
        })
    }

    /// Gives the task these partitions of a topic, and answers where it wants to start.
    pub fn open(&mut self, topic: &str, partitions: &[i32]) -> Result<Vec<NextOffset>> {
        Ok(glue::open(
            &self.slot,
            &topic_partitions(topic, partitions),
        )?)
    }

    /// Delivers one batch. If that fails, the same records may be put again.
    pub fn put(
        &mut self,
        topic: &str,
        records: impl IntoIterator<Item = TestRecord>,
    ) -> Result<Vec<Errant>> {
        let records: Vec<TestRecord> = records.into_iter().collect();
        let first = self.next_offsets.get(topic).copied().unwrap_or(0);
        let mut next = first;
        let mut ends = BTreeMap::new();
        for record in &records {
            next += 1;
            ends.insert((topic.to_owned(), record.partition.unwrap_or(0)), next);
        }
        let errants = glue::put(&self.slot, TestBatch::new(topic, first, records))?;
        self.next_offsets.insert(topic.to_owned(), next);
        self.accepted.append(&mut ends);
        Ok(errants)
    }

    /// Asks what is durable of everything that was put.
    pub fn flush(&mut self) -> Result<Flushed> {
        let position = |((topic, partition), next_offset): (&(String, i32), &i64)| NextOffset {
            at: TopicPartition {
                topic: topic.clone(),
                partition: *partition,
            },
            next_offset: *next_offset,
        };
        let accepted: Vec<NextOffset> = self.accepted.iter().map(position).collect();
        Ok(glue::flush(&self.slot, &accepted)?)
    }

    /// Takes these partitions of a topic away.
    pub fn close(&mut self, topic: &str, partitions: &[i32]) -> Result<()> {
        Ok(glue::close(
            &self.slot,
            &topic_partitions(topic, partitions),
        )?)
    }

    /// The last call.
    pub fn stop(self) {
        glue::stop_sink(&self.slot);
    }
}

fn topic_partitions(topic: &str, partitions: &[i32]) -> Vec<TopicPartition> {
    let all = partitions.iter();
    all.map(|partition| TopicPartition {
        topic: topic.to_owned(),
        partition: *partition,
    })
    .collect()
}
