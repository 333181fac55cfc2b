//! The work of one sink task.

use crate::TaskContext;
use crate::batch::Batch;
use crate::connector::Connector;
use crate::failure::Result;

pub use crate::bindings::types::{Errant, Position as NextOffset, TopicPartition};

/// One task of a sink. `open` comes before any `put` of a partition, and no `put` after its
/// `close`; never two calls at a time.
pub trait SinkTask: Connector {
    /// Before everything else.
    fn start(config: Self::Config, context: &TaskContext) -> Result<Self>;

    /// These partitions are this task's from now on. A partition that is not answered starts at
    /// its committed offset.
    fn open(&mut self, partitions: &[TopicPartition]) -> Result<Vec<NextOffset>> {
        let _ = partitions;
        Ok(Vec::new())
    }

    /// Delivers a batch. The rows it answers go to the dead letter queue, all others are done.
    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>>;

    /// Makes durable what was put. Only what it answers is committed; everything by default,
    /// which is right for a task that is done with a record when `put` returns.
    fn flush(&mut self, accepted: &[NextOffset]) -> Result<Flushed> {
        Ok(Flushed::all(accepted))
    }

    /// These partitions are another's from now on.
    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let _ = partitions;
        Ok(())
    }

    /// The last call.
    fn stop(&mut self) {}
}

/// What is durable in the target, and records it refused after it had accepted them.
#[derive(Clone, Debug, Default)]
pub struct Flushed {
    /// Everything below these offsets is durable.
    pub durable: Vec<NextOffset>,
    /// Refused late; they go to the dead letter queue.
    pub errants: Vec<LateErrant>,
}

impl Flushed {
    /// Everything that was accepted is durable.
    pub fn all(accepted: &[NextOffset]) -> Self {
        Self {
            durable: accepted.to_vec(),
            errants: Vec::new(),
        }
    }
}

/// A record that the target refused after `put` had accepted it.
#[derive(Clone, Debug)]
pub struct LateErrant {
    /// Where it came from.
    pub at: TopicPartition,
    /// Its Kafka offset.
    pub offset: i64,
    /// Why.
    pub reason: String,
}
