//! The framework's keys as validation and forms show them.

use super::JSON_COERCION;
use crate::definition::Definition;
use crate::herder::RestartPolicy;
use crate::plugin::PluginKind;
use crate::{error_handling, exactly_once};

/// Definitions of the framework's keys, for validation and for forms.
pub fn definitions(kind: PluginKind) -> Vec<Definition> {
    let define = |name: &str,
                  kind: &str,
                  importance: &str,
                  group: &str,
                  default: Option<&str>,
                  documentation: &str| {
        Definition {
            name: name.to_owned(),
            kind: kind.to_owned(),
            importance: importance.to_owned(),
            documentation: documentation.to_owned(),
            group: group.to_owned(),
            display_name: name.to_owned(),
            default: default.map(str::to_owned),
            ..Definition::default()
        }
    };
    let common = "Common";
    let errors = "Error Handling";
    let restart = "Restart";
    let mut all = vec![
        Definition {
            required: true,
            ..define(
                "name",
                "string",
                "high",
                common,
                None,
                "Name of this connector, unique in the cluster.",
            )
        },
        Definition {
            required: true,
            ..define(
                "connector.class",
                "string",
                "high",
                common,
                None,
                "Name or alias of the plugin that does the work; GET /connector-plugins lists what is there.",
            )
        },
        define(
            "connector.plugin.version",
            "string",
            "medium",
            common,
            Some("latest"),
            "Version of the plugin; the newest one if absent.",
        ),
        define(
            "tasks.max",
            "int",
            "high",
            common,
            Some("1"),
            "The most tasks to split the work into.",
        ),
        define(
            "key.converter",
            "class",
            "low",
            common,
            None,
            "Converter between keys in Kafka and structured keys; the worker's if absent.",
        ),
        define(
            "value.converter",
            "class",
            "low",
            common,
            None,
            "Converter between values in Kafka and structured values; the worker's if absent.",
        ),
        Definition {
            choices: vec!["strict".to_owned(), "kafka".to_owned()],
            ..define(
                JSON_COERCION,
                "string",
                "low",
                common,
                Some("strict"),
                "What JsonConverter does with a value of another type or out of range. strict: the record cannot be handled. kafka: the value is bent, as Kafka Connect does.",
            )
        },
        Definition {
            choices: vec!["none".to_owned(), "all".to_owned()],
            ..define(
                "errors.tolerance",
                "string",
                "medium",
                errors,
                Some("none"),
                "none: a record that cannot be handled fails the task. all: it is skipped and counted.",
            )
        },
        define(
            "errors.log.enable",
            "boolean",
            "medium",
            errors,
            Some("false"),
            "Whether each skipped record is logged with its place and the reason.",
        ),
        define(
            "errors.log.include.messages",
            "boolean",
            "medium",
            errors,
            Some("false"),
            "Accepted; what is logged of a record never holds its contents.",
        ),
        define(
            "errors.retry.timeout",
            "long",
            "medium",
            errors,
            Some("0"),
            "Accepted; operations on records here either work or fail for good.",
        ),
        define(
            "errors.retry.delay.max.ms",
            "long",
            "medium",
            errors,
            Some("60000"),
            "Accepted, as errors.retry.timeout.",
        ),
        define(
            "tasks.max.enforce",
            "boolean",
            "low",
            common,
            Some("true"),
            "Accepted; a plugin never gets more than tasks.max tasks.",
        ),
        Definition {
            choices: vec!["none".to_owned(), "restart".to_owned()],
            ..define(
                "config.action.reload",
                "string",
                "low",
                common,
                Some("restart"),
                "Accepted; it is for configuration providers, which do not work yet.",
            )
        },
        define(
            "header.converter",
            "class",
            "low",
            common,
            Some("org.apache.kafka.connect.storage.SimpleHeaderConverter"),
            "Headers are passed on as they are; SimpleHeaderConverter and ByteArrayConverter are accepted.",
        ),
        define(
            RestartPolicy::KEYS[0],
            "int",
            "low",
            restart,
            Some("0"),
            "How often in a row a failed task is started again by itself; 0: never.",
        ),
        define(
            RestartPolicy::KEYS[1],
            "long",
            "low",
            restart,
            Some("1000"),
            "Pause before the first automatic restart in milliseconds; it doubles each time.",
        ),
        define(
            RestartPolicy::KEYS[2],
            "long",
            "low",
            restart,
            Some("60000"),
            "Longest pause between automatic restarts in milliseconds.",
        ),
    ];
    if kind == PluginKind::Sink {
        all.extend(error_handling::definitions());
    }
    match kind {
        PluginKind::Sink => all.extend([
            define(
                "topics",
                "list",
                "high",
                common,
                Some(""),
                "Topics to read, comma separated.",
            ),
            define(
                "topics.regex",
                "string",
                "high",
                common,
                Some(""),
                "Regular expression of the topics to read, instead of topics.",
            ),
        ]),
        PluginKind::Source => all.extend([
            define(
                "topic.creation.default.partitions",
                "int",
                "low",
                "Topic Creation",
                Some("-1"),
                "Partitions of topics that this connector creates; -1: the broker's default.",
            ),
            define(
                "topic.creation.default.replication.factor",
                "int",
                "low",
                "Topic Creation",
                Some("-1"),
                "Replicas of topics that this connector creates; -1: the broker's default.",
            ),
        ]),
    }
    if kind == PluginKind::Source {
        all.extend(exactly_once::definitions());
    }
    all
}
