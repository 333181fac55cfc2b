//! What a source's configuration says about exactly-once delivery (KIP-618).

use crate::config::ConfigMap;
use crate::connector_config::KeyProblem;
use crate::definition::Definition;
use crate::names::is_topic_name;

/// `exactly.once.support`.
pub const SUPPORT: &str = "exactly.once.support";
/// `transaction.boundary`.
pub const BOUNDARY: &str = "transaction.boundary";
/// `transaction.boundary.interval.ms`.
pub const BOUNDARY_INTERVAL: &str = "transaction.boundary.interval.ms";
/// `offsets.storage.topic`.
pub const OFFSETS_TOPIC: &str = "offsets.storage.topic";

/// Whether the user insists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExactlyOnceSupport {
    /// As good as worker and plugin can.
    #[default]
    Requested,
    /// Refused where worker or plugin cannot.
    Required,
}

/// What one Kafka transaction of a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionBoundary {
    /// What one poll brought.
    #[default]
    Poll,
    /// What came in so many milliseconds; none: in the worker's `offset.flush.interval.ms`.
    Interval(Option<u64>),
    /// What the connector says.
    Connector,
}

/// The keys of a source, understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExactlyOnceConfig {
    /// `exactly.once.support`.
    pub support: ExactlyOnceSupport,
    /// `transaction.boundary`, with its interval.
    pub boundary: TransactionBoundary,
    /// `offsets.storage.topic`; none: the worker's.
    pub offsets_topic: Option<String>,
}

impl ExactlyOnceConfig {
    /// Reads the keys. A number that is none is left to the definitions.
    ///
    /// # Errors
    /// All that is wrong, key by key.
    pub fn of(config: &ConfigMap) -> Result<Self, Vec<KeyProblem>> {
        let mut problems = Vec::new();
        let mut one_of = |key: &str, choices: &[&'static str]| -> &'static str {
            let [default, ..] = choices else { return "" };
            let Some(value) = config.get(key) else {
                return default;
            };
            let found = choices
                .iter()
                .find(|choice| choice.eq_ignore_ascii_case(value.trim()));
            found.copied().unwrap_or_else(|| {
                problems.push(KeyProblem {
                    key: key.to_owned(),
                    message: format!(
                        "Invalid value {value} for configuration {key}: String must be one of \
                         (case insensitive): {}",
                        choices.join(", ")
                    ),
                });
                default
            })
        };
        let support = match one_of(SUPPORT, &["requested", "required"]) {
            "required" => ExactlyOnceSupport::Required,
            _ => ExactlyOnceSupport::Requested,
        };
        let interval_ms = config
            .get(BOUNDARY_INTERVAL)
            .and_then(|value| value.trim().parse::<i64>().ok());
        let boundary = match one_of(BOUNDARY, &["poll", "interval", "connector"]) {
            "interval" => {
                TransactionBoundary::Interval(interval_ms.and_then(|ms| u64::try_from(ms).ok()))
            }
            "connector" => TransactionBoundary::Connector,
            _ => TransactionBoundary::Poll,
        };
        if let Some(ms) = interval_ms.filter(|ms| *ms < 0) {
            problems.push(KeyProblem {
                key: BOUNDARY_INTERVAL.to_owned(),
                message: format!(
                    "Invalid value {ms} for configuration {BOUNDARY_INTERVAL}: Value must be at least 0"
                ),
            });
        }
        let offsets_topic = config
            .get(OFFSETS_TOPIC)
            .map(|topic| topic.trim())
            .filter(|topic| !topic.is_empty());
        if let Some(topic) = offsets_topic.filter(|topic| !is_topic_name(topic)) {
            problems.push(KeyProblem {
                key: OFFSETS_TOPIC.to_owned(),
                message: format!(
                    "Invalid value {topic:?} for configuration {OFFSETS_TOPIC}: Kafka takes it for no topic name"
                ),
            });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            support,
            boundary,
            offsets_topic: offsets_topic.map(str::to_owned),
        })
    }
}

/// Definitions of the keys, for validation and for forms.
pub fn definitions() -> Vec<Definition> {
    let define = |name: &str,
                  kind: &str,
                  importance: &str,
                  group: &str,
                  default: Option<&str>,
                  documentation: &str| Definition {
        name: name.to_owned(),
        kind: kind.to_owned(),
        importance: importance.to_owned(),
        documentation: documentation.to_owned(),
        group: group.to_owned(),
        display_name: name.to_owned(),
        default: default.map(str::to_owned),
        ..Definition::default()
    };
    let support = "Exactly Once Support";
    vec![
        define(
            SUPPORT,
            "string",
            "medium",
            support,
            Some("requested"),
            "required: the configuration is refused unless worker and plugin can deliver exactly \
             once. requested: without that check.",
        ),
        define(
            BOUNDARY,
            "string",
            "medium",
            support,
            Some("poll"),
            "What one Kafka transaction holds with exactly-once delivery. poll: the records of one \
             poll. interval: those of a time. connector: what the connector says.",
        ),
        define(
            BOUNDARY_INTERVAL,
            "long",
            "low",
            support,
            None,
            "That time in milliseconds, with transaction.boundary=interval; the worker's \
             offset.flush.interval.ms if absent.",
        ),
        define(
            OFFSETS_TOPIC,
            "string",
            "low",
            "offsets.topic",
            None,
            "Topic for the offsets of this connector, with exactly-once delivery; the worker's if absent.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<ExactlyOnceConfig, Vec<String>> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let config = pairs.iter().map(pair).collect();
        let keys = |problems: Vec<KeyProblem>| problems.into_iter().map(|p| p.key).collect();
        ExactlyOnceConfig::of(&config).map_err(keys)
    }

    #[test]
    fn words_are_read_in_any_case() {
        let read = of(&[
            (SUPPORT, "REQUIRED"),
            (BOUNDARY, " Interval "),
            (BOUNDARY_INTERVAL, "500"),
            (OFFSETS_TOPIC, "my-offsets"),
        ]);
        assert_eq!(
            read,
            Ok(ExactlyOnceConfig {
                support: ExactlyOnceSupport::Required,
                boundary: TransactionBoundary::Interval(Some(500)),
                offsets_topic: Some("my-offsets".to_owned()),
            })
        );
        assert_eq!(of(&[]), Ok(ExactlyOnceConfig::default()));
        let without = of(&[(BOUNDARY, "interval"), (OFFSETS_TOPIC, " ")]).unwrap();
        assert_eq!(without.boundary, TransactionBoundary::Interval(None));
        assert_eq!(without.offsets_topic, None);
    }

    #[test]
    fn all_that_is_wrong_is_named() {
        let wrong = of(&[
            (SUPPORT, "always"),
            (BOUNDARY, "day"),
            (BOUNDARY_INTERVAL, "-1"),
            (OFFSETS_TOPIC, "a/b"),
        ]);
        assert_eq!(
            wrong,
            Err([SUPPORT, BOUNDARY, BOUNDARY_INTERVAL, OFFSETS_TOPIC]
                .map(str::to_owned)
                .to_vec())
        );
    }
}
