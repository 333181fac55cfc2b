//! What happens to a sink's consumer when the group moves partitions. The callback runs inside
//! poll, on the consumer's thread, and does not return before the task's loop has dealt with it:
//! that is what makes a revoke wait for puts in flight (D6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::mpsc::Sender;

use crate::TopicPartition;
use crate::quiet::QuietLog;
use crate::record_batch::RecordBatch;
use crate::recreated::{self, Recreated};
use crate::retention::Retention;

/// How long the loop may take over a rebalance. It is bounded by the calls it makes (open, flush,
/// close), each of which has a limit of its own; this one only guards against a loop that died.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(280);

/// How long to wait for the end of a partition.
const WATERMARK_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to start in partitions; those absent start at the committed offset.
pub type StartPositions = Vec<(TopicPartition, i64)>;

/// A start: wherever the partition begins.
pub const BEGINNING: i64 = -2;

/// What the consumer's thread tells the task's loop, in order.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// These are the task's from now on. Answer where to start.
    Assigned(Vec<TopicPartition>, SyncSender<StartPositions>),
    /// These are going. Answer when no put of theirs is in flight and what shall be is committed.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// They are somebody else's already: a commit would be refused.
        lost: bool,
        /// The answer.
        done: SyncSender<()>,
    },
    /// These topics were deleted and created again: nothing of the new ones has been handed over,
    /// since the offsets here are not theirs. Close the consumer and open them anew.
    Recreated(Vec<String>),
    /// Records of one topic.
    Records(Box<RecordBatch>),
    /// The consumer cannot go on.
    Failed(String),
}

impl ConsumerEvent {
    /// The partitions that this event takes away.
    pub fn revoked(&self) -> Vec<TopicPartition> {
        match self {
            Self::Revoked { partitions, .. } => partitions.clone(),
            _ => Vec::new(),
        }
    }
}

pub(crate) struct SinkContext {
    pub(crate) log: QuietLog,
    pub(crate) recreated: Recreated,
    pub(crate) events: Sender<ConsumerEvent>,
    /// Rows read and not yet handed to the loop.
    pub(crate) pending: Arc<Mutex<Vec<RecordBatch>>>,
    pub(crate) retention: Option<Arc<Retention>>,
    pub(crate) group: String,
    /// Whether the task is paused.
    pub(crate) paused: Arc<AtomicBool>,
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == recreated::FACILITY {
            self.recreated.line(message);
        } else {
            self.log.line(level, facility, message);
        }
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

impl ConsumerContext for SinkContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, partitions)
        } else {
            self.revoke(consumer, partitions)
        };
        if let Err(error) = done {
            let _ = self
                .events
                .blocking_send(ConsumerEvent::Failed(error.to_string()));
        }
    }
}

impl SinkContext {
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let list = names(partitions);
        let (answer, answered) = sync_channel(1);
        let told = self
            .events
            .blocking_send(ConsumerEvent::Assigned(list.clone(), answer));
        // Start positions go into the assignment itself: a seek right after it fails.
        let starts = if told.is_ok() { wait(&answered) } else { None };
        let Some(positions) = starts else {
            // Without the answer it is not known where to start: the loop has ended, or is too late.
            let reason = "partitions were not opened".to_owned();
            let _ = self.events.try_send(ConsumerEvent::Failed(reason));
            let nothing = TopicPartitionList::new();
            return match consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => consumer.incremental_assign(&nothing),
                _ => consumer.assign(&nothing),
            };
        };
        for ((topic, partition), offset) in positions {
            let start = if offset == BEGINNING {
                Offset::Beginning
            } else {
                self.check_start(consumer, &topic, partition, offset);
                Offset::Offset(offset)
            };
            if let Some(mut found) = partitions.find_partition(&topic, partition) {
                found.set_offset(start)?;
            }
        }
        if let Some(retention) = &self.retention {
            self.start_explicitly(consumer, partitions)?;
            for (topic, partition) in &list {
                retention.reads(&self.group, topic, *partition);
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions)?,
            _ => consumer.assign(partitions)?,
        }
        // A partition keeps its pause through a loss and a new assignment: one that was paused
        // while the loop was busy would stay silent for ever.
        if self.paused.load(Ordering::Relaxed) {
            consumer.pause(partitions)
        } else {
            consumer.resume(partitions)
        }
    }

    /// A start past the end would count as out of range and quietly become the beginning: everything
    /// would be delivered again.
    fn check_start(&self, consumer: &BaseConsumer<Self>, topic: &str, partition: i32, offset: i64) {
        let Ok((begin, end)) = consumer.fetch_watermarks(topic, partition, WATERMARK_TIMEOUT)
        else {
            return;
        };
        if offset < begin {
            tracing::warn!(
                "{topic}-{partition} begins at {begin}, so records from {offset} on were deleted before \
                 they were read; auto.offset.reset says where to go on"
            );
        }
        if offset > end {
            let reason = format!(
                "open answered {topic}-{partition}@{offset} as the start, but the partition ends at \
                 {end}; was the topic recreated?"
            );
            let _ = self.events.blocking_send(ConsumerEvent::Failed(reason));
        }
    }

    /// On the embedded cluster an offset that is gone must not pass for "from the beginning", so
    /// `auto.offset.reset` is `error` there and fresh partitions start at 0 by name.
    fn start_explicitly(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let committed = consumer.committed_offsets(partitions.clone(), Duration::from_secs(10))?;
        for element in committed.elements() {
            if element.offset() == Offset::Invalid
                && let Some(mut found) =
                    partitions.find_partition(element.topic(), element.partition())
                && found.offset() == Offset::Invalid
            {
                found.set_offset(Offset::Offset(0))?;
            }
        }
        Ok(())
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        let list = names(partitions);
        self.forget_pending(&list);
        let lost = consumer.assignment_lost();
        let (done, answered) = sync_channel(1);
        let event = ConsumerEvent::Revoked {
            partitions: list,
            lost,
            done,
        };
        if self.events.blocking_send(event).is_ok() {
            wait(&answered);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        }
    }

    /// Rows of partitions that are going and that the loop has not seen: their next owner reads
    /// them again.
    fn forget_pending(&self, gone: &[TopicPartition]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in pending.iter_mut() {
            let is_gone = |row: usize| {
                batch.partitions.get(row).is_some_and(|partition| {
                    gone.iter()
                        .any(|(topic, p)| *topic == batch.topic && p == partition)
                })
            };
            *batch = batch.filtered(|row| !is_gone(row));
        }
        pending.retain(|batch| !batch.is_empty());
    }
}

fn names(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    partitions
        .elements()
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()))
        .collect()
}

/// The loop's answer; none if it has ended.
fn wait<T>(answered: &std::sync::mpsc::Receiver<T>) -> Option<T> {
    match answered.recv_timeout(ANSWER_TIMEOUT) {
        Ok(answer) => Some(answer),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            tracing::error!("a sink task did not answer a rebalance in time");
            None
        }
    }
}
