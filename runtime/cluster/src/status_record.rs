//! The records of the status topic: Kafka Connect's statuses, and beside them what workers say of
//! themselves and which tasks have been let go.

use serde_json::{Value, json};
use tidegate_model::herder::WorkerRecord;
use tidegate_model::names::TaskId;
use tidegate_model::state::{RemoteStatus, State, Status};

use crate::json_fields::{number, task, text};

/// One record of the status topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusRecord {
    /// What a task is doing; none: there is no such task any more.
    Task(TaskId, Option<RemoteStatus>),
    /// What a connector is doing.
    Connector(String, Option<RemoteStatus>),
    /// What a worker says of itself; none: it has gone.
    Worker(String, Option<WorkerRecord>),
    /// A task has been let go, by the move ordered at this place of the config log.
    Released(TaskId, u64),
}

impl StatusRecord {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Task(id, _) => format!("status-task-{id}"),
            Self::Connector(name, _) => format!("status-connector-{name}"),
            Self::Worker(id, _) => format!("tidegate-worker-{id}"),
            Self::Released(id, _) => format!("tidegate-released-{id}"),
        }
    }

    /// The value; none: a tombstone.
    pub(crate) fn value(&self) -> Option<Value> {
        match self {
            Self::Task(_, status) | Self::Connector(_, status) => status.as_ref().map(encode),
            Self::Worker(_, record) => record.as_ref().map(|record| json!(record)),
            Self::Released(_, place) => Some(json!({ "place": place })),
        }
    }
}

fn encode(remote: &RemoteStatus) -> Value {
    let mut value = json!({
        "state": remote.status.state.as_str(),
        "trace": remote.status.trace,
        "worker_id": remote.worker,
        "generation": remote.epoch,
        "tidegate.incarnation": remote.incarnation,
    });
    // A field more than Kafka Connect has; it reads the fields that it knows by their names.
    if let (Some(wait), Some(fields)) = (&remote.status.waiting, value.as_object_mut()) {
        fields.insert("tidegate.waiting".to_owned(), json!(wait));
    }
    value
}

/// Reads a record; none: it is nothing that we use.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn decode(key: &str, value: Option<&[u8]>) -> Result<Option<StatusRecord>, String> {
    let value: Value = match value {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| e.to_string())?,
        None => Value::Null,
    };
    let status = |value: &Value| (!value.is_null()).then(|| remote(value)).transpose();
    Ok(Some(if let Some(id) = key.strip_prefix("status-task-") {
        StatusRecord::Task(task(id)?, status(&value)?)
    } else if let Some(name) = key.strip_prefix("status-connector-") {
        StatusRecord::Connector(name.to_owned(), status(&value)?)
    } else if let Some(id) = key.strip_prefix("tidegate-worker-") {
        let record = serde_json::from_value(value).map_err(|e| e.to_string())?;
        StatusRecord::Worker(id.to_owned(), record)
    } else if let Some(id) = key.strip_prefix("tidegate-released-") {
        StatusRecord::Released(task(id)?, number(&value, "place")?)
    } else {
        return Ok(None);
    }))
}

fn remote(value: &Value) -> Result<RemoteStatus, String> {
    let state = text(value, "state")?;
    let state: State = serde_json::from_value(json!(state)).map_err(|e| e.to_string())?;
    Ok(RemoteStatus {
        status: Status {
            state,
            trace: text(value, "trace").ok(),
            waiting: value
                .get("tidegate.waiting")
                .and_then(|wait| serde_json::from_value(wait.clone()).ok()),
        },
        worker: text(value, "worker_id")?,
        // A Connect has none.
        incarnation: text(value, "tidegate.incarnation").unwrap_or_default(),
        epoch: number(value, "generation").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::state::Wait;

    #[test]
    fn records_come_back_as_they_were() {
        let status = RemoteStatus {
            status: Status::failed("trap\n  at f"),
            worker: "w:8083".into(),
            incarnation: "x1".into(),
            epoch: 7,
        };
        let wait = Wait {
            reason: "the broker refuses the credentials".into(),
            keys: vec!["sasl.jaas.config".into()],
            remedy: "set the right ones".into(),
            since_ms: 1_700_000_000_123,
        };
        let waiting = RemoteStatus {
            status: Status {
                waiting: Some(wait),
                ..Status::of(State::Running)
            },
            ..status.clone()
        };
        let worker = WorkerRecord {
            url: "http://w:8083".into(),
            shards: [1, 5].into(),
            weights: vec![(TaskId::new("a-b", 1), 250)],
            ..WorkerRecord::default()
        };
        for record in [
            StatusRecord::Task(TaskId::new("a-b", 1), Some(status.clone())),
            StatusRecord::Task(TaskId::new("a-b", 1), Some(waiting)),
            StatusRecord::Task(TaskId::new("a-b", 1), None),
            StatusRecord::Connector("a-b".into(), Some(status)),
            StatusRecord::Worker("w:8083".into(), Some(worker)),
            StatusRecord::Worker("w:8083".into(), None),
            StatusRecord::Released(TaskId::new("a-b", 1), 77),
        ] {
            let value = record.value().map(|value| value.to_string());
            let read = decode(&record.key(), value.as_deref().map(str::as_bytes));
            assert_eq!(read, Ok(Some(record)));
        }
    }
}
