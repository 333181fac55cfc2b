//! What a sink's configuration says about records that cannot be handled (KIP-298).

use crate::config::{self, ConfigMap};
use crate::connector_config::Topics;
use crate::definition::Definition;
use crate::names::is_topic_name;

/// `errors.deadletterqueue.topic.name`.
pub const TOPIC: &str = "errors.deadletterqueue.topic.name";
/// `errors.deadletterqueue.topic.replication.factor`.
pub const REPLICATION_FACTOR: &str = "errors.deadletterqueue.topic.replication.factor";
const CONTEXT_HEADERS: &str = "errors.deadletterqueue.context.headers.enable";

/// Connect's default.
const DEFAULT_REPLICATION_FACTOR: i32 = 3;

/// Where records go that cannot be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterQueue {
    /// Its topic; made with one partition if there is none.
    pub topic: String,
    /// Of a topic that is made.
    pub replication_factor: i32,
    /// Whether headers say where a record came from and what was wrong.
    pub context_headers: bool,
}

impl DeadLetterQueue {
    /// Reads the keys; none: no queue is wanted.
    ///
    /// # Errors
    /// What is wrong with the topic.
    pub fn of(config: &ConfigMap, topics: Option<&Topics>) -> Result<Option<Self>, String> {
        let Some(topic) = config
            .get(TOPIC)
            .map(|v| v.trim())
            .filter(|v| !v.is_empty())
        else {
            return Ok(None);
        };
        if !is_topic_name(topic) {
            return Err(format!(
                "Invalid value {topic:?} for configuration {TOPIC}: Kafka takes it for no topic name"
            ));
        }
        let key = match topics {
            Some(read @ Topics::List(_)) if read.contain(topic) => "topics",
            Some(read @ Topics::Regex(_)) if read.contain(topic) => "topics.regex",
            _ => {
                return Ok(Some(Self {
                    topic: topic.to_owned(),
                    replication_factor: config
                        .get(REPLICATION_FACTOR)
                        .and_then(|v| v.trim().parse().ok())
                        .unwrap_or(DEFAULT_REPLICATION_FACTOR),
                    context_headers: config.get(CONTEXT_HEADERS).and_then(|v| config::boolean(v))
                        == Some(true),
                }));
            }
        };
        Err(format!(
            "{TOPIC} is {topic}, which the connector also reads ({key}): its own dead letters would \
             come back to it for ever; use another topic"
        ))
    }
}

/// Definitions of the keys, for validation and for forms.
pub fn definitions() -> Vec<Definition> {
    let define = |name: &str, kind: &str, default: &str, documentation: &str| Definition {
        name: name.to_owned(),
        kind: kind.to_owned(),
        importance: "medium".to_owned(),
        documentation: documentation.to_owned(),
        group: "Error Handling".to_owned(),
        display_name: name.to_owned(),
        default: Some(default.to_owned()),
        ..Definition::default()
    };
    vec![
        define(
            TOPIC,
            "string",
            "",
            "Topic for records that cannot be handled; needs errors.tolerance=all. Without it they \
             are skipped.",
        ),
        define(
            REPLICATION_FACTOR,
            "short",
            "3",
            "Replication factor of that topic if it has to be made; 1 on a single broker.",
        ),
        define(
            CONTEXT_HEADERS,
            "boolean",
            "false",
            "Whether headers named __connect.errors.* tell where the record came from and what was \
             wrong.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_pattern::TopicPattern;

    fn of(pairs: &[(&str, &str)], topics: &Topics) -> Result<Option<DeadLetterQueue>, String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        DeadLetterQueue::of(&pairs.iter().map(pair).collect(), Some(topics))
    }

    #[test]
    fn a_queue_is_none_of_the_topics_read() {
        let list = Topics::List(vec!["a".into()]);
        let regex = Topics::Regex(TopicPattern::parse("a|dead.*").unwrap());
        assert_eq!(of(&[(TOPIC, " ")], &list), Ok(None));
        let queue = of(&[(TOPIC, "dead"), (CONTEXT_HEADERS, "TRUE")], &list);
        let queue = queue.unwrap().unwrap();
        assert_eq!(
            (
                queue.topic.as_str(),
                queue.replication_factor,
                queue.context_headers
            ),
            ("dead", 3, true)
        );
        assert!(of(&[(TOPIC, "a")], &list).unwrap_err().contains("(topics)"));
        assert!(
            of(&[(TOPIC, "dead-1")], &regex)
                .unwrap_err()
                .contains("(topics.regex)")
        );
        // Part of a name is not the name.
        assert!(of(&[(TOPIC, "un-dead")], &regex).unwrap().is_some());
        assert!(of(&[(TOPIC, "a/b")], &list).is_err());
    }
}
