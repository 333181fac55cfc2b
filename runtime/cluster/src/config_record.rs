//! The config log's records as Kafka Connect writes them into its config topic (KafkaConfigBackingStore,
//! KIP-415, KIP-618, KIP-745, KIP-875). What Connect has not begins with `tidegate`.

use serde_json::{Value, json};
use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, RestartRequest};
use tidegate_model::state::TargetState;

use crate::json_fields::{flag, number, task, text};

/// The value of a record; none: a tombstone.
pub(crate) fn encode(record: &ConfigRecord) -> Option<Value> {
    Some(match record {
        ConfigRecord::Unplaced { .. }
        | ConfigRecord::Connector { config: None, .. }
        | ConfigRecord::Plugin { entry: None, .. } => {
            return None;
        }
        ConfigRecord::Connector {
            config: Some(config),
            ..
        }
        | ConfigRecord::Task { config, .. } => json!({ "properties": config }),
        ConfigRecord::Target { state, .. } => {
            // A Connect older than KIP-875 knows no STOPPED, and pauses.
            let (old, new) = match state {
                TargetState::Started => ("STARTED", "STARTED"),
                TargetState::Paused => ("PAUSED", "PAUSED"),
                TargetState::Stopped => ("PAUSED", "STOPPED"),
            };
            json!({ "state": old, "state.v2": new })
        }
        ConfigRecord::Commit {
            tasks,
            revision,
            exactly_once,
            ..
        } => json!({
            "tasks": tasks,
            "tidegate.revision": revision,
            "tidegate.exactly-once": exactly_once,
        }),
        ConfigRecord::Fence { tasks, .. } => json!({ "task-count": tasks }),
        ConfigRecord::Restart(restart) => json!({
            "include-tasks": restart.include_tasks,
            "only-failed": restart.only_failed,
            "tidegate.task": restart.task,
        }),
        ConfigRecord::Placement { shard, from, .. } => json!({ "shard": shard, "from": from }),
        ConfigRecord::Leader {
            worker,
            url,
            incarnation,
        } => json!({ "worker": worker, "url": url, "incarnation": incarnation }),
        ConfigRecord::Removed { incarnation, .. } => json!({ "incarnation": incarnation }),
        ConfigRecord::Plugin {
            entry: Some(entry), ..
        } => json!(entry),
        ConfigRecord::SessionKey(key) => json!(key),
        ConfigRecord::Feature { version } => json!({ "version": version }),
    })
}

/// Reads a record back; none: it is nothing that we use.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(key: &str, value: Option<&[u8]>) -> Result<Option<ConfigRecord>, String> {
    let value = match value {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| e.to_string())?,
        None => Value::Null,
    };
    let is_tombstone = value.is_null();
    let owned = |name: &str| name.to_owned();
    let record = if let Some(name) = key.strip_prefix("connector-") {
        ConfigRecord::Connector {
            name: owned(name),
            config: (!is_tombstone).then(|| properties(&value)).transpose()?,
        }
    } else if let Some(digest) = key.strip_prefix("tidegate-plugin-") {
        ConfigRecord::Plugin {
            digest: owned(digest),
            entry: serde_json::from_value(value).map_err(|e| e.to_string())?,
        }
    } else if let (true, Some(id)) = (is_tombstone, key.strip_prefix("tidegate-placement-")) {
        ConfigRecord::Unplaced { task: task(id)? }
    } else if is_tombstone {
        return Ok(None);
    } else if let Some(name) = key.strip_prefix("target-state-") {
        ConfigRecord::Target {
            name: owned(name),
            state: target(&value)?,
        }
    } else if let Some(id) = key.strip_prefix("task-") {
        let id = task(id)?;
        ConfigRecord::Task {
            name: id.connector,
            task: id.task,
            config: properties(&value)?,
        }
    } else if let Some(name) = key.strip_prefix("commit-") {
        ConfigRecord::Commit {
            name: owned(name),
            tasks: number(&value, "tasks")?,
            // What a Connect planned is planned again.
            revision: number(&value, "tidegate.revision").unwrap_or(0),
            exactly_once: flag(&value, "tidegate.exactly-once"),
        }
    } else if let Some(name) = key.strip_prefix("tasks-fencing-") {
        ConfigRecord::Fence {
            name: owned(name),
            tasks: number(&value, "task-count")?,
        }
    } else if let Some(name) = key.strip_prefix("restart-connector-") {
        ConfigRecord::Restart(RestartRequest {
            name: owned(name),
            include_tasks: flag(&value, "include-tasks"),
            only_failed: flag(&value, "only-failed"),
            task: number(&value, "tidegate.task").ok(),
        })
    } else if let Some(id) = key.strip_prefix("tidegate-placement-") {
        ConfigRecord::Placement {
            task: task(id)?,
            shard: number(&value, "shard")?,
            from: number(&value, "from").ok(),
        }
    } else if let Some(worker) = key.strip_prefix("tidegate-removed-") {
        ConfigRecord::Removed {
            worker: owned(worker),
            incarnation: text(&value, "incarnation")?,
        }
    } else {
        match key {
            "tidegate-leader" => ConfigRecord::Leader {
                worker: text(&value, "worker")?,
                url: text(&value, "url")?,
                incarnation: text(&value, "incarnation")?,
            },
            "tidegate-feature" => ConfigRecord::Feature {
                version: number(&value, "version")?,
            },
            "session-key" => {
                ConfigRecord::SessionKey(serde_json::from_value(value).map_err(|e| e.to_string())?)
            }
            // Of a Connect (logger levels), or of a later version of ours.
            _ => return Ok(None),
        }
    };
    Ok(Some(record))
}

fn properties(value: &Value) -> Result<ConfigMap, String> {
    let properties = value.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or("the field \"properties\" is missing or not an object")?;
    properties
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key.clone(), text.clone())),
            _ => Err(format!("the property {key:?} is not a string")),
        })
        .collect()
}

fn target(value: &Value) -> Result<TargetState, String> {
    let state = text(value, "state.v2").or_else(|_| text(value, "state"))?;
    match state.as_str() {
        "STARTED" => Ok(TargetState::Started),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        other => Err(format!("{other:?} is no target state")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::config_log::{SessionKey, task_records};
    use tidegate_model::names::TaskId;

    fn both_ways(record: ConfigRecord) {
        let value = encode(&record).map(|value| value.to_string());
        let read = decode(&record.key(), value.as_deref().map(str::as_bytes));
        assert_eq!(read, Ok(Some(record)));
    }

    #[test]
    fn records_come_back_as_they_were() {
        let config: ConfigMap = [("k".to_owned(), "v".to_owned())].into();
        let mut records = task_records("a-b", 7, std::slice::from_ref(&config), true);
        let name = "a-b".to_owned();
        for config in [None, Some(config)] {
            let name = name.clone();
            records.push(ConfigRecord::Connector { name, config });
        }
        for state in [
            TargetState::Started,
            TargetState::Paused,
            TargetState::Stopped,
        ] {
            let name = name.clone();
            records.push(ConfigRecord::Target { name, state });
        }
        for from in [None, Some(3)] {
            let task = TaskId::new("a-b", 12);
            let shard = 5;
            records.push(ConfigRecord::Placement { task, shard, from });
        }
        records.push(ConfigRecord::Unplaced {
            task: TaskId::new("a-b", 12),
        });
        for task in [None, Some(2)] {
            records.push(ConfigRecord::Restart(RestartRequest {
                name: name.clone(),
                include_tasks: true,
                only_failed: false,
                task,
            }));
        }
        records.extend([
            ConfigRecord::Fence { name, tasks: 4 },
            ConfigRecord::Feature { version: 1 },
            ConfigRecord::SessionKey(SessionKey {
                key: "k".into(),
                algorithm: "HmacSHA256".into(),
                creation_timestamp: 1,
            }),
        ]);
        records.into_iter().for_each(both_ways);
    }

    #[test]
    fn records_of_kafka_connect_are_understood() {
        let read = |key: &str, value: &str| decode(key, Some(value.as_bytes())).unwrap().unwrap();
        assert_eq!(
            read(
                "target-state-c",
                r#"{"state":"PAUSED","state.v2":"STOPPED"}"#
            ),
            ConfigRecord::Target {
                name: "c".into(),
                state: TargetState::Stopped
            }
        );
        assert_eq!(
            read("commit-c", r#"{"tasks":2}"#),
            ConfigRecord::Commit {
                name: "c".into(),
                tasks: 2,
                revision: 0,
                exactly_once: false
            }
        );
        assert_eq!(
            decode("logger-cluster-x", Some(br#"{"level":"INFO"}"#)),
            Ok(None)
        );
    }

    #[test]
    fn garbage_is_named() {
        for (key, value) in [
            ("connector-c", "not json"),
            ("connector-c", "{}"),
            ("connector-c", r#"{"properties":{"a":1}}"#),
            ("task-c", r#"{"properties":{}}"#),
            ("commit-c", r#"{"tasks":-1}"#),
            ("target-state-c", r#"{"state":"DANCING"}"#),
        ] {
            assert!(
                decode(key, Some(value.as_bytes())).is_err(),
                "{key} {value}"
            );
        }
    }
}
