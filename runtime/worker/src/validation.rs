//! Checking a configuration before anything runs on it, and asking the plugin for tasks.

use std::sync::Arc;

use tidegate_kafka::{ClientKind, Kafka, KafkaError};
use tidegate_model::config::ConfigMap;
use tidegate_model::connector_config::{self, ConnectorConfig, KeyProblem};
use tidegate_model::definition::{self, Definition};
use tidegate_model::herder::PlanOutcome;
use tidegate_model::names::{TaskId, connector_name};
use tidegate_model::plugin::{PluginInfo, PluginKind};
use tidegate_sandbox::{CallError, TaskContext, TaskSetup};
use tokio::time::sleep;

use crate::backoff::Pauses;
use crate::connection_keys::{guest_view, public_view};
use crate::error::WorkerError;
use crate::exactly_once_problems::exactly_once_problems;
use crate::grants::Grants;
use crate::pipeline::Converters;
use crate::plugins::Loaded;
use crate::protection::has_reference;
use crate::source_delivery::exactly_once_enabled;
use crate::task::{TaskEnvironment, sink_group};

/// How often a plugin that is not ready to plan is asked again before the connector is FAILED.
const PLAN_ATTEMPTS: u32 = 5;

/// What is known and wrong of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// The key.
    pub name: String,
    /// Its definition; none for a key that nobody defines.
    pub definition: Option<Definition>,
    /// Its value, or its default.
    pub value: Option<String>,
    /// What is wrong.
    pub errors: Vec<String>,
}

/// What is known and wrong of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationReport {
    /// The class as given.
    pub class: String,
    /// Defined keys in order, then those nobody defines.
    pub keys: Vec<KeyReport>,
}

impl ValidationReport {
    /// All that is wrong.
    pub fn problems(&self) -> Vec<KeyProblem> {
        let of = |key: &KeyReport| {
            let name = key.name.clone();
            key.errors
                .iter()
                .map(move |message| KeyProblem {
                    key: name.clone(),
                    message: message.clone(),
                })
                .collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of).collect()
    }
}

/// Checks a configuration all the way: framework, definitions, converters, client settings,
/// grants, and last the plugin's own opinion.
pub(crate) async fn validate(
    environment: &TaskEnvironment,
    config: &ConfigMap,
) -> Result<ValidationReport, WorkerError> {
    let class = config
        .get("connector.class")
        .filter(|class| !class.trim().is_empty())
        .ok_or_else(|| {
            // Without the values: without a plugin nobody knows which of them are secret (D10).
            WorkerError::BadRequest(format!(
                "Connector config {{{}}} contains no connector type",
                config.keys().cloned().collect::<Vec<_>>().join(", ")
            ))
        })?;
    let loaded = load(environment, config).await?;
    let info = &loaded.info;
    let mut definitions = connector_config::definitions(info.kind);
    definitions.extend(info.description.definitions.clone());
    let mut problems = problems(environment, &loaded, config);
    if problems.is_empty() {
        let grants = Grants::of(&info.description, config, &environment.settings.directories);
        match grants {
            Ok(grants) => {
                let setup = setup(environment, "validate", info, config, &grants);
                let issues = loaded.plugin.validate(&setup).await;
                let issues = issues.map_err(|e| {
                    WorkerError::Internal(format!("validate the configuration: {e}"))
                })?;
                problems.extend(
                    issues
                        .into_iter()
                        .map(|(key, message)| KeyProblem { key, message }),
                );
            }
            Err(more) => problems.extend(more),
        }
    }
    // A URL may hold a password too.
    let seen = public_view(&info.description, config);
    Ok(report(class, &definitions, &seen, problems))
}

fn problems(environment: &TaskEnvironment, loaded: &Loaded, config: &ConfigMap) -> Vec<KeyProblem> {
    let problem = |key: &str, message: String| KeyProblem {
        key: key.to_owned(),
        message,
    };
    let info = &loaded.info;
    let mut all: Vec<KeyProblem> = definition::check(&info.description.definitions, config)
        .into_iter()
        .map(|(key, message)| problem(&key, message))
        .collect();
    if let Some(name) = config.get("name")
        && let Err(error) = connector_name(name)
    {
        all.push(problem("name", error.to_string()));
    }
    for (key, value) in config {
        if has_reference(value) {
            let message = format!(
                "{key} refers to a configuration provider, and those do not work yet: write the value itself"
            );
            all.push(problem(key, message));
        }
    }
    if let Some(class) = config.get("header.converter")
        && !is_header_converter(class)
    {
        let message = format!(
            "Invalid value {class} for configuration header.converter: headers are passed on as they are; \
             use org.apache.kafka.connect.storage.SimpleHeaderConverter or remove the key"
        );
        all.push(problem("header.converter", message));
    }
    let (parsed, more) = ConnectorConfig::check(config, info.kind, &environment.settings.raw);
    all.extend(more);
    if let Err(more) = Converters::of(&parsed) {
        all.extend(more);
    }
    if info.kind == PluginKind::Source {
        let enabled = exactly_once_enabled(environment);
        all.extend(exactly_once_problems(&parsed, &info.description, enabled));
    }
    all.extend(wrong_override(environment, info.kind, &parsed));
    all.extend(own_group(environment, info.kind, config, &parsed));
    all
}

/// What Kafka's client does not take of a connector's overrides.
fn wrong_override(
    environment: &TaskEnvironment,
    kind: PluginKind,
    parsed: &ConnectorConfig,
) -> Option<KeyProblem> {
    let (client, overrides, prefix) = match kind {
        PluginKind::Source => (
            ClientKind::Producer,
            &parsed.producer_overrides,
            "producer.override",
        ),
        PluginKind::Sink => (
            ClientKind::Consumer,
            &parsed.consumer_overrides,
            "consumer.override",
        ),
    };
    let error = environment.kafka.check_overrides(client, overrides).err()?;
    let said = match &error {
        KafkaError::Settings { source, .. } => source.key().map(|key| (key, source.to_string())),
        _ => None,
    };
    let (key, reason) = match said {
        Some((key, reason)) => (environment.kafka.key_name(client, overrides, key), reason),
        None => (prefix.to_owned(), error.to_string()),
    };
    Some(KeyProblem {
        message: format!("Invalid value for configuration {key}: {reason}"),
        key,
    })
}

/// A sink that joined the group of its worker would break the cluster up.
fn own_group(
    environment: &TaskEnvironment,
    kind: PluginKind,
    config: &ConfigMap,
    parsed: &ConnectorConfig,
) -> Option<KeyProblem> {
    let workers = environment.settings.raw.get("group.id")?.trim();
    let name = config.get("name")?;
    environment.cluster.as_ref()?;
    let group = Kafka::group_name(&sink_group(name, parsed));
    (kind == PluginKind::Sink && group == workers).then(|| KeyProblem {
        key: if parsed.consumer_overrides.contains_key("group.id") {
            "consumer.override.group.id".to_owned()
        } else {
            "name".to_owned()
        },
        message: format!(
            "Consumer group {group} for sink connector named {name} conflicts with the workers' own group.id: \
             choose another name, or another consumer.override.group.id"
        ),
    })
}

/// What a header converter may be: headers pass as they are.
fn is_header_converter(class: &str) -> bool {
    let name = class.trim().rsplit('.').next().unwrap_or_default();
    ["SimpleHeaderConverter", "ByteArrayConverter"].contains(&name)
}

fn report(
    class: &str,
    definitions: &[Definition],
    config: &ConfigMap,
    problems: Vec<KeyProblem>,
) -> ValidationReport {
    let mut keys: Vec<KeyReport> = definitions
        .iter()
        .map(|definition| KeyReport {
            name: definition.name.clone(),
            value: config
                .get(&definition.name)
                .or(definition.default.as_ref())
                .cloned(),
            definition: Some(definition.clone()),
            errors: Vec::new(),
        })
        .collect();
    for problem in problems {
        match keys.iter_mut().find(|key| key.name == problem.key) {
            Some(key) if key.errors.contains(&problem.message) => {}
            Some(key) => key.errors.push(problem.message),
            None => keys.push(KeyReport {
                value: config.get(&problem.key).cloned(),
                // Clients of Kafka Connect expect one with each error.
                definition: Some(Definition {
                    name: problem.key.clone(),
                    kind: "string".to_owned(),
                    importance: "medium".to_owned(),
                    display_name: problem.key.clone(),
                    ..Definition::default()
                }),
                name: problem.key,
                errors: vec![problem.message],
            }),
        }
    }
    ValidationReport {
        class: class.to_owned(),
        keys,
    }
}

async fn load(
    environment: &TaskEnvironment,
    config: &ConfigMap,
) -> Result<Arc<Loaded>, WorkerError> {
    let class = config.get("connector.class").map_or("", String::as_str);
    let version = config.get("connector.plugin.version").map(String::as_str);
    let version = version.filter(|v| !v.is_empty() && *v != "latest");
    let info = environment.plugins.resolve(class, version)?;
    environment.plugins.load(&info).await
}

fn setup(
    environment: &TaskEnvironment,
    connector: &str,
    info: &PluginInfo,
    config: &ConfigMap,
    grants: &Grants,
) -> TaskSetup {
    TaskSetup {
        context: TaskContext {
            id: TaskId::new(connector, 0),
            tasks: 0,
            generation: 0,
            exactly_once: false,
        },
        config: guest_view(&info.description, config),
        limits: environment.settings.limits,
        directories: grants.directories.clone(),
        sql: grants.sql(&environment.pools, info.kind),
        cpu: Default::default(),
    }
}

/// Asks the plugin for task configurations; answers them and when to ask again, or the trace.
pub(crate) async fn plan(
    environment: &TaskEnvironment,
    connector: &str,
    config: &ConfigMap,
) -> Result<PlanOutcome, String> {
    let loaded = load(environment, config).await.map_err(|e| e.to_string())?;
    let info = &loaded.info;
    let list = |problems: Vec<KeyProblem>| {
        problems
            .into_iter()
            .map(|p| p.message)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let parsed =
        ConnectorConfig::parse(config, info.kind, &environment.settings.raw).map_err(list)?;
    let grants =
        Grants::of(&info.description, config, &environment.settings.directories).map_err(list)?;
    let positions = match info.kind {
        PluginKind::Source => environment
            .store
            .recent_offsets(connector, parsed.exactly_once.offsets_topic.as_deref())
            .await
            .map_err(|e| e.to_string())?,
        PluginKind::Sink => Vec::new(),
    };
    let setup = setup(environment, connector, info, config, &grants);
    let mut pauses = Pauses::new();
    loop {
        match loaded
            .plugin
            .plan(&setup, parsed.tasks_max, &positions)
            .await
        {
            Ok(planned) => {
                return Ok(PlanOutcome {
                    tasks: planned.tasks,
                    again_after_ms: info.description.replan_interval_ms,
                    exactly_once: info.kind == PluginKind::Source
                        && exactly_once_enabled(environment),
                });
            }
            Err(CallError::Retriable { reason, after_ms }) if pauses.attempts() < PLAN_ATTEMPTS => {
                tracing::warn!(connector, "plan again: {reason}");
                sleep(pauses.next(after_ms)).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
