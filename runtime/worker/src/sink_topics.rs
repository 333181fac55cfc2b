//! The topics of a sink's task by their ids: an offset belongs to one topic and not to whatever bears
//! its name later (KIP-516). The id is committed with the offset, and compared whenever partitions are
//! opened and before anything is committed.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_kafka::{BEGINNING, Committed, KafkaError, SinkConsumer};
use tidegate_model::names::TaskId;
use tidegate_sandbox::TopicPartition;

/// What the metadata of a commit begins with if the topic's id follows.
const METADATA: &str = "topic-id:";

/// Ids of the topics that the task has open.
#[derive(Debug, Default)]
pub(crate) struct SinkTopics {
    ids: BTreeMap<String, String>,
}

impl SinkTopics {
    /// Remembers the ids that the topics have now. Answers where to start in partitions that were read
    /// or committed last under another id. Asks for offsets only if `compares`.
    pub(crate) async fn open(
        &mut self,
        id: &TaskId,
        consumer: &SinkConsumer,
        partitions: &[TopicPartition],
        compares: bool,
    ) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let topics: BTreeSet<String> = partitions.iter().map(|at| at.topic.clone()).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let now = consumer.topic_ids(topics.into_iter().collect()).await?;
        let mut starts = Vec::new();
        if compares {
            let names = |at: &TopicPartition| (at.topic.clone(), at.partition);
            let names: Vec<(String, i32)> = partitions.iter().map(names).collect();
            let committed = consumer.committed(&names).await?;
            for at in partitions {
                let is_at = |c: &&Committed| c.at.0 == at.topic && c.at.1 == at.partition;
                if self.is_stale(&now, at, committed.iter().find(is_at)) {
                    tracing::warn!(
                        task = %id,
                        "topic {} was deleted and created again: partition {} is read from its beginning, \
                         since its offset belongs to the topic that is gone",
                        at.topic, at.partition
                    );
                    starts.push((at.clone(), BEGINNING));
                }
            }
        }
        self.ids.extend(now);
        Ok(starts)
    }

    /// Whether an offset, or the lack of one, is that of another topic. Kafka forgets the offsets of
    /// a topic that is deleted; that this task read it before is remembered here.
    fn is_stale(
        &self,
        now: &BTreeMap<String, String>,
        at: &TopicPartition,
        committed: Option<&Committed>,
    ) -> bool {
        let then = match committed {
            Some(offset) => offset.metadata.strip_prefix(METADATA),
            None => self.ids.get(&at.topic).map(String::as_str),
        };
        matches!((then, now.get(&at.topic)), (Some(then), Some(now)) if then != now)
    }

    /// The topic among those of these positions that is not the one that was opened: nothing must be
    /// committed under its name.
    pub(crate) async fn changed(
        &self,
        consumer: &SinkConsumer,
        positions: &[(TopicPartition, i64)],
    ) -> Result<Option<String>, KafkaError> {
        let topics: BTreeSet<String> = positions
            .iter()
            .map(|(at, _)| at.topic.clone())
            .filter(|topic| self.ids.contains_key(topic))
            .collect();
        if topics.is_empty() {
            return Ok(None);
        }
        let now = consumer.topic_ids(topics.iter().cloned().collect()).await?;
        Ok(topics
            .into_iter()
            .find(|topic| now.get(topic) != self.ids.get(topic)))
    }

    /// What is committed with an offset of this topic.
    pub(crate) fn metadata(&self, topic: &str) -> String {
        self.ids
            .get(topic)
            .map_or_else(String::new, |id| format!("{METADATA}{id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(topic, id): &(&str, &str)| ((*topic).to_owned(), (*id).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn only_an_offset_with_another_id_is_of_another_topic() {
        let topics = SinkTopics {
            ids: ids(&[("t", "old"), ("v", "new")]),
        };
        let now = ids(&[("t", "new"), ("v", "new")]);
        let is_stale = |topic: &str, metadata: Option<&str>| {
            let at = TopicPartition {
                topic: topic.to_owned(),
                partition: 0,
            };
            let committed = metadata.map(|metadata| Committed {
                at: (topic.to_owned(), 0),
                offset: 7,
                metadata: metadata.to_owned(),
            });
            topics.is_stale(&now, &at, committed.as_ref())
        };
        assert!(is_stale("t", Some("topic-id:old")));
        // Kafka forgot the offset with the topic that this task had open.
        assert!(is_stale("t", None));
        // Committed under the id of now; by somebody else; nothing known; no id.
        for (topic, metadata) in [
            ("t", Some("topic-id:new")),
            ("t", Some("")),
            ("v", None),
            ("u", Some("topic-id:old")),
        ] {
            assert!(!is_stale(topic, metadata), "{topic} {metadata:?}");
        }
    }
}
