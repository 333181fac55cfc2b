//! What happens when the group moves shards. The callback runs inside poll, on the membership's
//! thread, and holds it until what ran on shards that are going has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, SyncSender, sync_channel};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as RdKafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;

use crate::membership::{Renewal, Shared};
use crate::quiet::QuietLog;

/// What becomes of this worker's shards, in order.
#[derive(Debug)]
pub enum MembershipEvent {
    /// These are this worker's from now on.
    Gained(BTreeSet<u32>),
    /// These are going. For half the rebalance time-out they do not go before the answer.
    Going {
        /// Which.
        shards: BTreeSet<u32>,
        /// They are somebody else's already, and the lease has ended.
        lost: bool,
        /// To be answered when everything that ran on them has ended.
        done: SyncSender<()>,
    },
    /// The membership cannot go on by itself; the lease has ended. The shards count as lost, without
    /// another event.
    Failed(String),
}

pub(crate) struct MembershipContext {
    log: QuietLog,
    shared: Arc<Shared>,
    events: UnboundedSender<MembershipEvent>,
    renew: Sender<Renewal>,
}

impl MembershipContext {
    pub(crate) fn new(
        shared: Arc<Shared>,
        events: UnboundedSender<MembershipEvent>,
        renew: Sender<Renewal>,
    ) -> Self {
        Self {
            log: QuietLog::default(),
            shared,
            events,
            renew,
        }
    }

    /// Whether anybody heard.
    pub(crate) fn tell(&self, event: MembershipEvent) -> bool {
        self.events.send(event).is_ok()
    }

    fn gained(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &mut TopicPartitionList,
    ) -> KafkaResult<()> {
        // With an offset nobody asks the broker for one.
        partitions.set_all_offsets(Offset::Offset(0))?;
        consumer.incremental_assign(partitions)?;
        let shards = shards(partitions);
        self.shared.gained(&shards);
        // A lease first, so that what is started on the shards finds one.
        self.renew_lease();
        if !shards.is_empty() {
            // There is nothing to fetch, ever.
            consumer.pause(partitions)?;
            self.tell(MembershipEvent::Gained(shards));
        }
        Ok(())
    }

    /// Every rebalance comes by here, in a moment at which no request to join is under way, behind
    /// which a renewal would have to wait. Without an answer in time it comes with a later heartbeat.
    fn renew_lease(&self) {
        let (done, renewed) = sync_channel(1);
        if self.renew.send(Renewal::Now(done)).is_ok() {
            let _ = renewed.recv_timeout(self.shared.settings.heartbeat_interval);
        }
    }

    fn going(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> KafkaResult<()> {
        let shards = shards(partitions);
        let lost = consumer.assignment_lost();
        if lost {
            self.shared.lost();
        } else {
            self.renew_lease();
        }
        if !shards.is_empty() {
            self.wait_until_ended(shards.clone(), lost);
        }
        self.shared.gone(&shards);
        consumer.incremental_unassign(partitions)
    }

    fn wait_until_ended(&self, shards: BTreeSet<u32>, lost: bool) {
        let (done, ended) = sync_channel(1);
        if !self.tell(MembershipEvent::Going { shards, lost, done }) {
            return;
        }
        // Half, so that this member is back in time for a rebalance that waits for it meanwhile.
        let limit = self.shared.settings.rebalance_timeout / 2;
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                "tasks have not ended within {} ms, half of rebalance.timeout.ms; their shards go to \
                 other workers nevertheless",
                limit.as_millis()
            );
        }
    }
}

impl ConsumerContext for MembershipContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.gained(consumer, partitions)
        } else {
            self.going(consumer, partitions)
        };
        // The next rebalance puts it right.
        if let Err(error) = done {
            tracing::error!("the cluster's group moved shards: {error}");
        }
    }
}

impl ClientContext for MembershipContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.line(level, facility, message);
    }

    fn error(&self, error: RdKafkaError, reason: &str) {
        self.log.error(&error, reason);
    }
}

fn shards(partitions: &TopicPartitionList) -> BTreeSet<u32> {
    let elements = partitions.elements();
    let numbers = elements.iter().map(|e| u32::try_from(e.partition()));
    numbers.filter_map(Result::ok).collect()
}
