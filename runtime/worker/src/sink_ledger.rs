//! A sink whose offsets are in its database: taking partitions over there, and what the group's own
//! offsets say beside it (design: the row wins, unless somebody else moved the group).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{Committed, GroupSettings, Kafka, SinkConsumer};
use tidegate_sandbox::{
    LedgerError, LedgerOwner, LedgerPartition, LedgerStart, SqlError, SqlSession, TopicPartition,
};
use tokio::time::{Instant, sleep};

use crate::backoff::Pauses;
use crate::error::TaskError;
use crate::waits::{Attempt, Waits};

/// How long opening is tried: longer than a database keeps the locks of an owner that stands still,
/// shorter than the group waits for a rebalance.
const OPEN_TIMEOUT: Duration = Duration::from_secs(90);

/// What our own commits to the group begin with. One without it was made by somebody else.
const METADATA: &str = "tidegate:";

/// The ledger of a sink's task; does nothing for sinks without.
pub(crate) struct SinkLedger {
    kafka: Kafka,
    sql: Arc<dyn SqlSession>,
    group: String,
    fences: BTreeMap<TopicPartition, i64>,
    waits: Waits,
}

impl SinkLedger {
    pub(crate) fn new(
        kafka: Kafka,
        sql: Arc<dyn SqlSession>,
        group: &GroupSettings,
        waits: Waits,
    ) -> Self {
        Self {
            kafka,
            sql,
            group: Kafka::group_name(group),
            fences: BTreeMap::new(),
            waits,
        }
    }

    /// Takes the partitions over, before anything of them is fetched: former owners can commit no
    /// more (D4). Answers where to start.
    pub(crate) async fn open(
        &mut self,
        consumer: &SinkConsumer,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, i64)>, TaskError> {
        // A rebalance that gives nothing more is told too.
        if !self.sql.has_ledger() || partitions.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<(String, i32)> = partitions
            .iter()
            .map(|at| (at.topic.clone(), at.partition))
            .collect();
        let committed = consumer.committed(&names).await;
        let committed = committed.map_err(|e| TaskError::Recoverable(e.to_string()))?;
        let resets = outside_resets(&committed);
        let (owner, topic_ids) = self.identities(partitions).await?;
        let wanted = partitions
            .iter()
            .map(|at| LedgerPartition {
                at: at.clone(),
                topic_id: topic_ids.get(&at.topic).cloned().unwrap_or_default(),
                reset_to: resets.get(at).copied(),
            })
            .collect();
        let starts = self.take_over(&owner, wanted).await?;
        for (at, start) in partitions.iter().zip(&starts) {
            self.fences.insert(at.clone(), start.fence);
        }
        self.claim(consumer, &resets).await?;
        let starts = partitions.iter().zip(starts);
        let known = starts.filter_map(|(at, start)| Some((at.clone(), start.next_offset?)));
        Ok(known.collect())
    }

    async fn identities(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<(LedgerOwner, BTreeMap<String, String>), TaskError> {
        let topics: BTreeSet<String> = partitions.iter().map(|at| at.topic.clone()).collect();
        let topics: Vec<String> = topics.into_iter().collect();
        let (cluster_id, topic_ids) = self.kafka.identities(topics.clone()).await?;
        let missing = topics.iter().find(|topic| !topic_ids.contains_key(*topic));
        if let (Some(missing), false) = (missing, self.kafka.is_embedded()) {
            return Err(TaskError::Recoverable(format!(
                "topic {missing} is not there any more"
            )));
        }
        let owner = LedgerOwner {
            cluster_id,
            group: self.group.clone(),
            embedded: self.kafka.is_embedded(),
        };
        Ok((owner, topic_ids))
    }

    /// An owner before that stands still in the middle of a commit holds the rows until its database
    /// gives it up: that is waited for.
    async fn take_over(
        &self,
        owner: &LedgerOwner,
        wanted: Vec<LedgerPartition>,
    ) -> Result<Vec<LedgerStart>, TaskError> {
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let mut pauses = Pauses::new();
        loop {
            let opened = self.sql.open_ledger(owner.clone(), wanted.clone()).await;
            match opened {
                Ok(starts) => return Ok(starts),
                Err(LedgerError::RolledBack(SqlError::Unavailable(reason)))
                    if Instant::now() < deadline =>
                {
                    tracing::warn!(group = self.group, "open the ledger again: {reason}");
                    self.waits.target(Attempt::Open, &reason);
                    sleep(pauses.next(None).min(Duration::from_secs(5))).await;
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Marks the group's offset as ours once a reset is in the ledger: found again without the mark,
    /// it would pass for another reset, and records would come twice.
    async fn claim(
        &self,
        consumer: &SinkConsumer,
        resets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), TaskError> {
        if resets.is_empty() {
            return Ok(());
        }
        for (at, offset) in resets {
            tracing::info!(
                group = self.group,
                "somebody else set the offset of {at} to {offset}: go on there"
            );
        }
        let positions = resets.iter().map(|(at, offset)| (at.clone(), *offset));
        let marked = consumer.commit(self.marked(positions)).await;
        marked.map_err(|e| TaskError::Recoverable(e.to_string()))
    }

    /// Positions as they are committed to the group.
    pub(crate) fn marked(
        &self,
        positions: impl IntoIterator<Item = (TopicPartition, i64)>,
    ) -> Vec<Committed> {
        let marked = |(at, offset): (TopicPartition, i64)| {
            let fence = self.fences.get(&at);
            Committed {
                metadata: fence.map_or_else(String::new, |fence| metadata(*fence)),
                at: (at.topic, at.partition),
                offset,
            }
        };
        positions.into_iter().map(marked).collect()
    }
}

/// The mark of our own commits.
pub(crate) fn metadata(fence: i64) -> String {
    format!("{METADATA}{fence}")
}

fn outside_resets(committed: &[Committed]) -> BTreeMap<TopicPartition, i64> {
    let foreign = committed
        .iter()
        .filter(|c| !c.metadata.starts_with(METADATA));
    let reset = |c: &Committed| {
        let (topic, partition) = c.at.clone();
        (TopicPartition { topic, partition }, c.offset)
    };
    foreign.map(reset).collect()
}

/// What a ledger's answer means for the task.
pub(crate) fn failed(error: LedgerError) -> TaskError {
    match error {
        LedgerError::RolledBack(SqlError::Denied(_) | SqlError::Rejected { .. })
        | LedgerError::Overlap(_)
        | LedgerError::Foreign(_) => TaskError::Failed(format!("keep offsets: {error}")),
        // Opening again tells what is stored, and shuts others out (or finds itself shut out).
        LedgerError::RolledBack(SqlError::Unavailable(_)) => {
            TaskError::Target(format!("keep offsets: {error}"))
        }
        LedgerError::Unknown(_) | LedgerError::Fenced(_) => {
            TaskError::Recoverable(format!("keep offsets: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_without_our_mark_are_resets() {
        let committed = |partition, offset, metadata: &str| Committed {
            at: ("t".into(), partition),
            offset,
            metadata: metadata.into(),
        };
        let resets = outside_resets(&[
            committed(0, 5, "tidegate:3"),
            committed(1, 7, ""),
            committed(2, 9, "somebody"),
        ]);
        let found: Vec<_> = resets
            .into_iter()
            .map(|(at, o)| (at.partition, o))
            .collect();
        assert_eq!(found, [(1, 7), (2, 9)]);
    }
}
