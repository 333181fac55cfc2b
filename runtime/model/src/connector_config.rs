//! The framework's own part of a connector's configuration, parsed once into types. The keys are
//! Kafka Connect's; what a plugin defines is the plugin's to check.

mod definitions;

pub use definitions::definitions;

use crate::config::{self, ConfigMap};
use crate::definition;
use crate::error_handling::{self, DeadLetterQueue};
use crate::exactly_once::ExactlyOnceConfig;
use crate::names::is_topic_name;
use crate::plugin::PluginKind;
use crate::topic_pattern::TopicPattern;

/// A converter as configured: class and settings without the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterChoice {
    /// `connector.class`-like name of the converter.
    pub class: String,
    /// What stands under `key.converter.` or `value.converter.`.
    pub settings: ConfigMap,
}

/// What a sink reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// `topics`.
    List(Vec<String>),
    /// `topics.regex`.
    Regex(TopicPattern),
}

impl Topics {
    /// Whether a topic is among them.
    pub fn contain(&self, topic: &str) -> bool {
        match self {
            Self::List(list) => list.iter().any(|listed| listed == topic),
            Self::Regex(pattern) => pattern.is_match(topic),
        }
    }
}

/// What becomes of a record that cannot be handled (D3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// It fails the task.
    None,
    /// It is skipped and counted.
    All,
}

/// How a topic is made that a source writes and that does not exist (KIP-158, default group).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicCreation {
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// Topic configurations such as `cleanup.policy`.
    pub configs: ConfigMap,
}

/// The framework's part of a connector's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorConfig {
    /// `connector.class`.
    pub class: String,
    /// `connector.plugin.version`; none: the newest.
    pub plugin_version: Option<String>,
    /// `tasks.max`.
    pub tasks_max: u32,
    /// `key.converter`, or the worker's.
    pub key_converter: ConverterChoice,
    /// `value.converter`, or the worker's.
    pub value_converter: ConverterChoice,
    /// Sinks only.
    pub topics: Option<Topics>,
    /// `errors.tolerance`.
    pub tolerance: Tolerance,
    /// `errors.log.enable`.
    pub log_errors: bool,
    /// `errors.deadletterqueue.*`; sinks only.
    pub dead_letters: Option<DeadLetterQueue>,
    /// `topic.creation.default.*`; none: the connector leaves it to the broker.
    pub topic_creation: Option<TopicCreation>,
    /// `exactly.once.support`, `transaction.boundary`, `offsets.storage.topic`; sources only.
    pub exactly_once: ExactlyOnceConfig,
    /// `producer.override.*` without the prefix.
    pub producer_overrides: ConfigMap,
    /// `consumer.override.*` without the prefix.
    pub consumer_overrides: ConfigMap,
}

/// Something wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    /// The key.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Keys of Kafka Connect whose absence would change what happens to records, so that accepting
/// them without doing what they say would be a lie.
const NOT_YET: [(&str, &str); 3] = [
    (
        "transforms",
        "transforms are not available yet; remove the key",
    ),
    (
        "predicates",
        "predicates are not available yet; remove the key",
    ),
    (
        "topic.creation.groups",
        "only topic.creation.default.* is available yet; remove the key",
    ),
];

impl ConnectorConfig {
    /// Parses the framework's keys of `config`; keys it lacks come from the worker's configuration
    /// where Connect takes them from there.
    ///
    /// # Errors
    /// Everything that is wrong, key by key.
    pub fn parse(
        config: &ConfigMap,
        kind: PluginKind,
        worker: &ConfigMap,
    ) -> Result<Self, Vec<KeyProblem>> {
        match Self::check(config, kind, worker) {
            (parsed, problems) if problems.is_empty() => Ok(parsed),
            (_, problems) => Err(problems),
        }
    }

    /// Everything that is wrong, and what can be read all the same, with defaults where a value is wrong:
    /// for a check that goes on, so that a user hears of all at once.
    pub fn check(
        config: &ConfigMap,
        kind: PluginKind,
        worker: &ConfigMap,
    ) -> (Self, Vec<KeyProblem>) {
        let mut problems: Vec<KeyProblem> = definition::check(&definitions(kind), config)
            .into_iter()
            .map(|(key, message)| KeyProblem { key, message })
            .collect();
        let mut problem = |key: &str, message: String| {
            problems.push(KeyProblem {
                key: key.to_owned(),
                message,
            });
        };
        for (key, message) in NOT_YET {
            if config
                .get(key)
                .is_some_and(|value| !value.trim().is_empty())
            {
                problem(key, message.to_owned());
            }
        }
        let topics = match kind {
            PluginKind::Source => None,
            PluginKind::Sink => match sink_topics(config) {
                Ok(topics) => Some(topics),
                Err(message) => {
                    // Each of them that is set says so.
                    let set = ["topics", "topics.regex"]
                        .map(|key| config.get(key).is_some_and(|v| !v.trim().is_empty()));
                    if let [_, true] = set {
                        problem("topics.regex", message.clone());
                    }
                    if set != [false, true] {
                        problem("topics", message);
                    }
                    None
                }
            },
        };
        let dead_letters = match kind {
            PluginKind::Source => None,
            PluginKind::Sink => DeadLetterQueue::of(config, topics.as_ref()).unwrap_or_else(|e| {
                problem(error_handling::TOPIC, e);
                None
            }),
        };
        let tasks_max = number(config, "tasks.max", 1);
        if tasks_max < 1 {
            let value = config.get("tasks.max").map_or("", String::as_str);
            problem(
                "tasks.max",
                format!(
                    "Invalid value {value} for configuration tasks.max: Value must be at least 1"
                ),
            );
        }
        let exactly_once = match kind {
            PluginKind::Source => ExactlyOnceConfig::of(config).unwrap_or_else(|more| {
                problems.extend(more);
                ExactlyOnceConfig::default()
            }),
            PluginKind::Sink => ExactlyOnceConfig::default(),
        };
        let parsed = Self {
            class: config.get("connector.class").cloned().unwrap_or_default(),
            plugin_version: config
                .get("connector.plugin.version")
                .filter(|version| !version.is_empty() && *version != "latest")
                .cloned(),
            tasks_max: u32::try_from(tasks_max).unwrap_or(1),
            key_converter: converter(config, worker, "key.converter"),
            value_converter: converter(config, worker, "value.converter"),
            topics,
            tolerance: match config.get("errors.tolerance").map(String::as_str) {
                Some("all") => Tolerance::All,
                _ => Tolerance::None,
            },
            log_errors: config
                .get("errors.log.enable")
                .and_then(|v| config::boolean(v))
                == Some(true),
            dead_letters,
            topic_creation: topic_creation(config),
            exactly_once,
            producer_overrides: config::with_prefix_removed(config, "producer.override."),
            consumer_overrides: config::with_prefix_removed(config, "consumer.override."),
        };
        (parsed, problems)
    }
}

impl ConnectorConfig {
    /// Whether a record that cannot be handled leaves the task running.
    pub fn tolerates(&self) -> bool {
        self.tolerance == Tolerance::All
    }
}

fn number(config: &ConfigMap, key: &str, default: i64) -> i64 {
    config
        .get(key)
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(default)
}

fn sink_topics(config: &ConfigMap) -> Result<Topics, String> {
    let topics = config
        .get("topics")
        .map(|v| config::list(v))
        .filter(|v| !v.is_empty());
    let regex = config.get("topics.regex").filter(|v| !v.trim().is_empty());
    match (topics, regex) {
        (Some(topics), None) => match topics.iter().find(|topic| !is_topic_name(topic)) {
            None => Ok(Topics::List(topics)),
            // The client would take "^..." for a pattern.
            Some(wrong) => Err(format!(
                "Invalid value {wrong:?} for configuration topics: Kafka takes it for no topic name"
            )),
        },
        (None, Some(regex)) => match TopicPattern::parse(regex) {
            Ok(pattern) => Ok(Topics::Regex(pattern)),
            Err(e) => Err(format!(
                "Invalid value {regex} for configuration topics.regex: {e}"
            )),
        },
        (None, None) => Err("Must configure one of topics or topics.regex".to_owned()),
        (Some(_), Some(_)) => Err(
            "topics and topics.regex are mutually exclusive options, but both are set".to_owned(),
        ),
    }
}

/// What JsonConverter does with values of another type or out of range; also behind
/// `key.converter.` and `value.converter.`.
const JSON_COERCION: &str = "tidegate.json.coercion";

/// The converter of the connector, else the worker's, else Connect's usual JsonConverter. Settings
/// go with the place that named the class, as in Connect.
fn converter(config: &ConfigMap, worker: &ConfigMap, key: &str) -> ConverterChoice {
    let place = if config.contains_key(key) {
        config
    } else {
        worker
    };
    let mut settings = config::with_prefix_removed(place, &format!("{key}."));
    // The one setting that a connector may make for both of its converters.
    if let Some(coercion) = config.get(JSON_COERCION) {
        let setting = settings.entry(JSON_COERCION.to_owned());
        setting.or_insert_with(|| coercion.clone());
    }
    ConverterChoice {
        class: place
            .get(key)
            .cloned()
            .unwrap_or_else(|| "org.apache.kafka.connect.json.JsonConverter".to_owned()),
        settings,
    }
}

fn topic_creation(config: &ConfigMap) -> Option<TopicCreation> {
    let mut configs = config::with_prefix_removed(config, "topic.creation.default.");
    if configs.is_empty() {
        return None;
    }
    let mut take = |key: &str| {
        configs
            .remove(key)
            .and_then(|v| v.trim().parse::<i32>().ok())
            .unwrap_or(-1)
    };
    let partitions = take("partitions");
    let replication_factor = take("replication.factor");
    Some(TopicCreation {
        partitions,
        replication_factor,
        configs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn problems(pairs: &[(&str, &str)], kind: PluginKind) -> Vec<String> {
        ConnectorConfig::parse(&map(pairs), kind, &ConfigMap::new())
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|p| p.key)
            .collect()
    }

    const SINK: [(&str, &str); 2] = [("name", "s"), ("connector.class", "file-sink")];

    #[test]
    fn converters_come_with_the_settings_of_their_place() {
        let worker = map(&[
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
        ]);
        let mut pairs = vec![("name", "s"), ("connector.class", "x")];
        let parse = |pairs: &[(&str, &str)]| {
            ConnectorConfig::parse(&map(pairs), PluginKind::Source, &worker)
                .unwrap()
                .value_converter
        };
        assert_eq!(parse(&pairs).settings, map(&[("schemas.enable", "false")]));
        pairs.push(("value.converter", "StringConverter"));
        assert_eq!(parse(&pairs).settings, ConfigMap::new());
    }

    #[test]
    fn sinks_need_one_kind_of_topics() {
        let with = |more: &[(&'static str, &'static str)]| {
            let pairs: Vec<_> = SINK.iter().chain(more).copied().collect();
            problems(&pairs, PluginKind::Sink)
        };
        assert_eq!(with(&[]), ["topics"]);
        assert_eq!(
            with(&[("topics", "a"), ("topics.regex", "b")]),
            ["topics.regex", "topics"]
        );
        assert!(with(&[("topics", "a, b")]).is_empty());
        assert_eq!(with(&[("topics.regex", "[")]), ["topics.regex"]);
        assert!(with(&[("topics.regex", "a.*")]).is_empty());
        for wrong in ["^a.*", "a,b c", "a\0"] {
            assert_eq!(with(&[("topics", wrong)]), ["topics"], "{wrong:?}");
        }
        assert_eq!(with(&[("topics.regex", "a\0")]), ["topics.regex"]);
    }

    #[test]
    fn what_is_not_there_yet_is_refused() {
        for (key, _) in NOT_YET {
            assert_eq!(
                problems(&[SINK[0], SINK[1], (key, "x")], PluginKind::Source),
                [key]
            );
        }
        assert_eq!(
            problems(&[SINK[0], SINK[1], ("tasks.max", "0")], PluginKind::Source),
            ["tasks.max"]
        );
        assert_eq!(
            problems(&[], PluginKind::Source),
            ["name", "connector.class"]
        );
    }
}
