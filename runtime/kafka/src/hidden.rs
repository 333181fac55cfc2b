//! What stands behind a transaction that stays open, and so is not delivered: whose records are there.
//!
//! A transaction that Kafka itself left hanging ends for nobody (KIP-664). Whoever has nothing behind it
//! need not wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::tail_thread::{TailContext, client};

/// How long one look may take; the next one goes on where it ended.
const LOOK: Duration = Duration::from_secs(3);

/// How long to wait for one record.
const POLL: Duration = Duration::from_millis(100);

/// What an open transaction hides, partition by partition.
pub(crate) struct Hidden {
    topic: String,
    /// Of a client that reads what is not committed too.
    settings: BTreeMap<String, String>,
    partitions: BTreeMap<i32, Behind>,
}

/// What is known of one partition.
struct Behind {
    /// Where the transaction begins: the last stable offset.
    stable: i64,
    /// Up to where was looked.
    next: i64,
    keys: BTreeSet<Vec<u8>>,
}

impl Hidden {
    pub(crate) fn new(topic: &str, settings: BTreeMap<String, String>) -> Self {
        Self {
            topic: topic.to_owned(),
            settings,
            partitions: BTreeMap::new(),
        }
    }

    /// Looks at the records from `stable` up to `end`. Answers whether all of them are known now.
    pub(crate) fn look(
        &mut self,
        partition: i32,
        stable: i64,
        end: i64,
    ) -> Result<bool, RdKafkaError> {
        let behind = self.partitions.entry(partition).or_insert(Behind {
            stable,
            next: stable,
            keys: BTreeSet::new(),
        });
        if behind.stable != stable {
            *behind = Behind {
                stable,
                next: stable,
                keys: BTreeSet::new(),
            };
        }
        if behind.next >= end {
            return Ok(true);
        }
        let reader: BaseConsumer<TailContext> = client(&self.settings)
            .map_err(|error| RdKafkaError::ClientCreation(error.to_string()))?;
        let mut start = TopicPartitionList::new();
        start.add_partition_offset(&self.topic, partition, Offset::Offset(behind.next))?;
        reader.assign(&start)?;
        let until = Instant::now() + LOOK;
        while behind.next < end && Instant::now() < until {
            match reader.poll(POLL) {
                Some(Ok(record)) => {
                    behind.next = record.offset() + 1;
                    behind.keys.extend(record.key().map(<[u8]>::to_vec));
                }
                // Markers of transactions are no records; behind the last one there are some.
                Some(Err(RdKafkaError::PartitionEOF(_))) => behind.next = end,
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
        Ok(behind.next >= end)
    }

    /// Whether one of the hidden records that were looked at has such a key.
    pub(crate) fn has(&self, partition: i32, owns: &dyn Fn(&[u8]) -> bool) -> bool {
        let behind = self.partitions.get(&partition);
        behind.is_some_and(|behind| behind.keys.iter().any(|key| owns(key)))
    }
}
