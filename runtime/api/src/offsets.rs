//! `/connectors/{connector}/offsets` (KIP-875).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_sandbox::TopicPartition;
use tidegate_worker::ConnectorOffsets;

use crate::Api;
use crate::body;
use crate::error::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlterRequest {
    offsets: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    partition: Option<BTreeMap<String, Value>>,
    offset: Option<BTreeMap<String, Value>>,
}

pub(crate) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let entries: Vec<Value> = match api.worker.offsets(&name).await? {
        ConnectorOffsets::Source(positions) => positions
            .into_iter()
            .map(|(partition, offset)| json!({"partition": parsed(&partition), "offset": parsed(&offset)}))
            .collect(),
        ConnectorOffsets::Sink(positions) => positions
            .into_iter()
            .map(|(at, offset)| {
                json!({
                    "partition": {"kafka_topic": at.topic, "kafka_partition": at.partition},
                    "offset": {"kafka_offset": offset},
                })
            })
            .collect(),
    };
    Ok(Json(json!({ "offsets": entries })))
}

/// What the store holds is canonical JSON.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

pub(crate) async fn alter(
    State(api): State<Api>,
    Path(name): Path<String>,
    body::Json(request): body::Json<AlterRequest>,
) -> Result<Json<Value>, ApiError> {
    let offsets = request.offsets.unwrap_or_default();
    if offsets.is_empty() {
        return Err(ApiError::new(
            400,
            "Partitions / offsets need to be provided for an alter offsets request",
        ));
    }
    api.worker.must_be_sink(&name).await?;
    let wanted = offsets.into_iter().map(position);
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    api.worker.alter_sink_offsets(&name, wanted).await?;
    Ok(done("altered"))
}

pub(crate) async fn reset(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    api.worker.reset_sink_offsets(&name).await?;
    Ok(done("reset"))
}

fn done(what: &str) -> Json<Value> {
    let message = format!("The offsets for this connector have been {what} successfully");
    Json(json!({ "message": message }))
}

/// A sink's partition and offset; numbers may be text, as in Kafka Connect.
fn position(entry: Entry) -> Result<(TopicPartition, Option<i64>), ApiError> {
    let bad = |message: String| ApiError::new(400, message);
    let partition = entry.partition.ok_or_else(|| {
        bad("The partition for a sink connector offset cannot be null or missing".to_owned())
    })?;
    let (Some(topic), Some(number)) = (
        partition.get("kafka_topic"),
        partition.get("kafka_partition"),
    ) else {
        return Err(bad(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and \
             'kafka_partition'"
                .to_owned(),
        ));
    };
    let topic = topic
        .as_str()
        .filter(|topic| !topic.is_empty())
        .ok_or_else(|| {
            bad("Kafka topic names must be valid strings and may not be null".to_owned())
        })?;
    let number = integer(number)
        .and_then(|n| i32::try_from(n).ok())
        .filter(|n| *n >= 0)
        .ok_or_else(|| {
            bad(format!(
                "Failed to parse the following Kafka partition value in the provided offsets: \
                 '{}'. Partition values for sink connectors need to be integers.",
                text(number)
            ))
        })?;
    let at = TopicPartition {
        topic: topic.to_owned(),
        partition: number,
    };
    let Some(offset) = entry.offset else {
        return Ok((at, None));
    };
    let value = offset.get("kafka_offset").ok_or_else(|| {
        bad("The offset for a sink connector should either be null or contain the key 'kafka_offset'"
            .to_owned())
    })?;
    let offset = integer(value).ok_or_else(|| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset \
             values for sink connectors need to be integers.",
            text(value)
        ))
    })?;
    if offset < 0 {
        return Err(ApiError::new(
            500,
            format!("the offset {offset} of {at} is negative; offsets count from 0"),
        ));
    }
    Ok((at, Some(offset)))
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entry: Value) -> Result<(TopicPartition, Option<i64>), ApiError> {
        position(serde_json::from_value(entry).unwrap())
    }

    #[test]
    fn numbers_may_be_text() {
        let entry = json!({
            "partition": {"kafka_topic": "t", "kafka_partition": "2", "z": 1},
            "offset": {"kafka_offset": "7"},
        });
        let (at, offset) = of(entry).unwrap();
        assert_eq!((at.to_string().as_str(), offset), ("t-2", Some(7)));
        let entry =
            json!({"partition": {"kafka_topic": "t", "kafka_partition": 2}, "offset": null});
        assert_eq!(of(entry).unwrap().1, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (entry, part) in [
            (json!({"partition": null}), "null or missing"),
            (
                json!({"partition": {"kafka_partition": 0}}),
                "'kafka_topic'",
            ),
            (
                json!({"partition": {"kafka_topic": null, "kafka_partition": 0}}),
                "topic names",
            ),
            (
                json!({"partition": {"kafka_topic": "t", "kafka_partition": "x"}}),
                "'x'",
            ),
            (
                json!({"partition": {"kafka_topic": "t", "kafka_partition": 0}, "offset": {}}),
                "'kafka_offset'",
            ),
            (
                json!({"partition": {"kafka_topic": "t", "kafka_partition": 0},
                       "offset": {"kafka_offset": -1}}),
                "negative",
            ),
        ] {
            let error = of(entry).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
