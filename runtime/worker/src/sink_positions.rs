//! What a sink task has accepted and what is committed, partition by partition (D2).

use std::collections::BTreeMap;

use tidegate_sandbox::TopicPartition;

#[derive(Debug, Default)]
pub(crate) struct SinkPositions {
    partitions: BTreeMap<TopicPartition, Position>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Position {
    /// Next offset after what the guest accepted; none: nothing yet.
    accepted: Option<i64>,
    /// Next offset as last committed by this task.
    committed: Option<i64>,
}

impl SinkPositions {
    pub(crate) fn open(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions
                .insert(partition.clone(), Position::default());
        }
    }

    pub(crate) fn close(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
    }

    pub(crate) fn all(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// The guest accepted (or the user's tolerance skipped) the record before `next_offset`.
    pub(crate) fn accept(&mut self, partition: &TopicPartition, next_offset: i64) {
        if let Some(position) = self.partitions.get_mut(partition) {
            // Not the greatest: after an unclean election of a leader a partition goes on before what
            // was read of it, and its new records must not count as committed already.
            position.accepted = Some(next_offset);
        }
    }

    /// What was accepted and is not committed.
    pub(crate) fn uncommitted(&self) -> Vec<(TopicPartition, i64)> {
        self.partitions
            .iter()
            .filter(|(_, position)| position.accepted != position.committed)
            .filter_map(|(partition, position)| Some((partition.clone(), position.accepted?)))
            .collect()
    }

    /// Of what the guest calls durable, what there is to commit. The sandbox has checked that it is
    /// no more than what was accepted; the clamp here keeps D2 should that ever change.
    pub(crate) fn committable(
        &self,
        durable: Vec<(TopicPartition, i64)>,
    ) -> Vec<(TopicPartition, i64)> {
        durable
            .into_iter()
            .filter_map(|(partition, next_offset)| {
                let position = self.partitions.get(&partition)?;
                let next_offset = next_offset.min(position.accepted?);
                let steps_back = position.accepted < position.committed;
                (steps_back || Some(next_offset) > position.committed)
                    .then_some((partition, next_offset))
            })
            .collect()
    }

    pub(crate) fn committed(&mut self, positions: &[(TopicPartition, i64)]) {
        for (partition, next_offset) in positions {
            if let Some(position) = self.partitions.get_mut(partition) {
                position.committed = Some(*next_offset);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(n: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: n,
        }
    }

    #[test]
    fn only_what_was_accepted_can_be_committed() {
        let mut positions = SinkPositions::default();
        positions.open(&[partition(0)]);
        assert!(positions.uncommitted().is_empty());
        positions.accept(&partition(0), 5);
        assert_eq!(positions.uncommitted(), [(partition(0), 5)]);
        assert_eq!(
            positions.committable(vec![(partition(0), 6)]),
            [(partition(0), 5)]
        );
        assert!(positions.committable(vec![(partition(1), 1)]).is_empty());
        let some = positions.committable(vec![(partition(0), 3)]);
        positions.committed(&some);
        assert_eq!(positions.uncommitted(), [(partition(0), 5)]);
        positions.committed(&[(partition(0), 5)]);
        assert!(positions.uncommitted().is_empty());
        positions.close(&[partition(0)]);
        assert!(positions.all().is_empty());
    }

    #[test]
    fn a_partition_that_goes_on_further_back_is_committed_there() {
        let mut positions = SinkPositions::default();
        positions.open(&[partition(0)]);
        positions.accept(&partition(0), 9);
        positions.committed(&[(partition(0), 9)]);
        positions.accept(&partition(0), 4);
        assert_eq!(positions.uncommitted(), [(partition(0), 4)]);
        assert_eq!(
            positions.committable(vec![(partition(0), 4)]),
            [(partition(0), 4)]
        );
        // What is durable is never more than what is accepted now.
        assert_eq!(
            positions.committable(vec![(partition(0), 9)]),
            [(partition(0), 4)]
        );
    }
}
