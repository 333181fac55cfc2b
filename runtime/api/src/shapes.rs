//! The worker's answers in Kafka Connect's JSON shapes.

use serde_json::{Map, Value, json};
use tidegate_model::definition::Definition;
use tidegate_model::names::TaskId;
use tidegate_model::plugin::PluginInfo;
use tidegate_model::state::PlacedStatus;
use tidegate_worker::{ConnectorInfo, ConnectorStatus, KeyReport, TaskInfo, ValidationReport};

pub(crate) fn info(info: &ConnectorInfo) -> Value {
    let tasks: Vec<Value> = info.tasks.iter().map(task_id).collect();
    json!({ "name": info.name, "config": info.config, "tasks": tasks, "type": info.kind })
}

pub(crate) fn task_id(id: &TaskId) -> Value {
    json!({ "connector": id.connector, "task": id.task })
}

pub(crate) fn task(task: &TaskInfo) -> Value {
    json!({ "id": task_id(&task.id), "config": task.config })
}

pub(crate) fn status(status: &ConnectorStatus) -> Value {
    let version = status.version.as_deref();
    let tasks: Vec<Value> = (0..)
        .zip(&status.tasks)
        .map(|(id, task)| task_status(id, task, version))
        .collect();
    json!({
        "name": status.name,
        "connector": state(&status.connector, version),
        "tasks": tasks,
        "type": status.kind,
    })
}

pub(crate) fn task_status(id: u32, status: &PlacedStatus, version: Option<&str>) -> Value {
    let mut fields = Map::from_iter([("id".to_owned(), json!(id))]);
    fields.extend(state(status, version));
    Value::Object(fields)
}

fn state(placed: &PlacedStatus, version: Option<&str>) -> Map<String, Value> {
    let mut fields = Map::from_iter([
        ("state".to_owned(), json!(placed.status.state.as_str())),
        ("worker_id".to_owned(), json!(placed.worker)),
        ("version".to_owned(), json!(version)),
    ]);
    if let Some(trace) = &placed.status.trace {
        fields.insert("trace".to_owned(), json!(trace));
    }
    // More than Kafka Connect tells, and only where there is something to tell.
    if let Some(waiting) = &placed.status.waiting {
        fields.insert("waiting".to_owned(), json!(waiting));
    }
    fields
}

pub(crate) fn connector_plugin(plugin: &PluginInfo) -> Value {
    json!({
        "class": plugin.class(),
        "type": plugin.kind.as_str(),
        "version": plugin.description.version,
    })
}

/// A definition as `/connector-plugins/x/config` lists it.
pub(crate) fn definition(definition: &Definition, order: usize) -> Value {
    json!({
        "name": definition.name,
        "type": definition.kind.to_uppercase(),
        "required": definition.required,
        "default_value": definition.default,
        "importance": definition.importance.to_uppercase(),
        "documentation": definition.documentation,
        "group": if definition.group.is_empty() { None } else { Some(&definition.group) },
        "order_in_group": order,
        "width": "MEDIUM",
        "display_name": if definition.display_name.is_empty() { &definition.name } else { &definition.display_name },
        "dependents": definition.dependents,
    })
}

pub(crate) fn validation(report: &ValidationReport) -> Value {
    let mut groups: Vec<&str> = Vec::new();
    let mut orders: Vec<usize> = Vec::new();
    let mut configs = Vec::new();
    for key in &report.keys {
        let mut order = 0;
        if let Some(definition) = &key.definition {
            let group = definition.group.as_str();
            match groups.iter().position(|known| *known == group) {
                Some(at) => {
                    if let Some(count) = orders.get_mut(at) {
                        *count += 1;
                        order = *count;
                    }
                }
                None => {
                    groups.push(group);
                    orders.push(1);
                    order = 1;
                }
            }
        }
        configs.push(validated_key(key, order));
    }
    let error_count = report
        .keys
        .iter()
        .filter(|key| !key.errors.is_empty())
        .count();
    groups.retain(|group| !group.is_empty());
    json!({ "name": report.class, "error_count": error_count, "groups": groups, "configs": configs })
}

fn validated_key(key: &KeyReport, order: usize) -> Value {
    let secret = key
        .definition
        .as_ref()
        .is_some_and(|d| d.kind == "password");
    // A secret is not repeated in an answer (D10).
    let value = match &key.value {
        Some(_) if secret => Some("[hidden]"),
        Some(value) => Some(value.as_str()),
        None => None,
    };
    let recommended = key
        .definition
        .as_ref()
        .map(|d| d.choices.clone())
        .unwrap_or_default();
    json!({
        "definition": key.definition.as_ref().map(|d| definition(d, order)),
        "value": {
            "name": key.name,
            "value": value,
            "recommended_values": recommended,
            "errors": key.errors,
            "visible": true,
        },
    })
}

/// A plugin as `/plugins` has it.
pub(crate) fn plugin(plugin: &PluginInfo) -> Value {
    let d = &plugin.description;
    let definitions: Vec<Value> = (1..)
        .zip(&d.definitions)
        .map(|(order, d)| definition(d, order))
        .collect();
    json!({
        "name": d.name,
        "version": d.version,
        "digest": plugin.digest,
        "kind": plugin.kind.as_str(),
        "class": plugin.class(),
        "aliases": d.aliases,
        "documentation": d.documentation,
        "definitions": definitions,
        "wants": d.wants,
        "exactly_once": d.exactly_once,
        "size_bytes": plugin.size_bytes,
    })
}
