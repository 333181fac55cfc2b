//! Whether a source's configuration promises more than worker and plugin can keep (KIP-618's preflight).

use tidegate_model::connector_config::{ConnectorConfig, KeyProblem};
use tidegate_model::exactly_once::{
    BOUNDARY, ExactlyOnceSupport, OFFSETS_TOPIC, SUPPORT, TransactionBoundary,
};
use tidegate_model::plugin::Description;

/// What is wrong, in Connect's words where it has some.
pub(crate) fn exactly_once_problems(
    config: &ConnectorConfig,
    description: &Description,
    worker_enabled: bool,
) -> Vec<KeyProblem> {
    let mut problems = Vec::new();
    let mut problem = |key: &str, message: String| {
        problems.push(KeyProblem {
            key: key.to_owned(),
            message,
        });
    };
    let wanted = &config.exactly_once;
    if wanted.support == ExactlyOnceSupport::Required {
        if !worker_enabled {
            problem(
                SUPPORT,
                "This worker does not have exactly-once source support enabled. Run every worker in \
                 distributed mode with exactly.once.source.support=enabled, or set the key to \
                 \"requested\" and expect at-least-once"
                    .to_owned(),
            );
        }
        if !description.exactly_once {
            problem(
                SUPPORT,
                format!(
                    "The connector does not support exactly-once semantics with the provided \
                     configuration: {} says that its positions do not suffice to resume without \
                     repeats. Set the key to \"requested\" to start it nevertheless",
                    description.name
                ),
            );
        }
    }
    if wanted.boundary == TransactionBoundary::Connector && !description.own_transactions {
        problem(
            BOUNDARY,
            "The connector does not support connector-defined transaction boundaries with the given \
             configuration. Please reconfigure it to use a different transaction boundary definition."
                .to_owned(),
        );
    }
    if !worker_enabled && wanted.offsets_topic.is_some() {
        problem(
            OFFSETS_TOPIC,
            "an offsets topic of the connector's own needs exactly-once delivery: run every worker in \
             distributed mode with exactly.once.source.support=enabled, or remove the key"
                .to_owned(),
        );
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::config::ConfigMap;
    use tidegate_model::plugin::PluginKind;

    /// The keys that are refused for a plugin that can everything, or nothing.
    fn refused(pairs: &[(&str, &str)], able: bool, enabled: bool) -> Vec<String> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut config: ConfigMap = pairs.iter().map(pair).collect();
        config.insert("name".to_owned(), "s".to_owned());
        config.insert("connector.class".to_owned(), "x".to_owned());
        let config =
            ConnectorConfig::parse(&config, PluginKind::Source, &ConfigMap::new()).unwrap();
        let description = Description {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            documentation: String::new(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            wants: Vec::new(),
            exactly_once: able,
            own_transactions: able,
            replan_interval_ms: None,
        };
        exactly_once_problems(&config, &description, enabled)
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    }

    #[test]
    fn what_cannot_be_kept_is_not_promised() {
        let required = [(SUPPORT, "required")];
        assert!(refused(&required, true, true).is_empty());
        assert_eq!(refused(&required, false, true), [SUPPORT]);
        assert_eq!(refused(&required, true, false), [SUPPORT]);
        assert_eq!(refused(&required, false, false), [SUPPORT, SUPPORT]);
        assert!(refused(&[(SUPPORT, "requested")], false, false).is_empty());
        assert!(refused(&[], false, true).is_empty());

        let connector = [(BOUNDARY, "connector")];
        assert!(refused(&connector, true, true).is_empty());
        assert_eq!(refused(&connector, false, true), [BOUNDARY]);
        assert!(refused(&[(BOUNDARY, "interval")], false, true).is_empty());

        let topic = [(OFFSETS_TOPIC, "mine")];
        assert!(refused(&topic, true, true).is_empty());
        assert_eq!(refused(&topic, true, false), [OFFSETS_TOPIC]);
    }
}
