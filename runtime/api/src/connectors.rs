//! `/connectors`: create, look, configure, delete.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_model::state::TargetState;

use crate::Api;
use crate::body::{self, config_map};
use crate::error::ApiError;
use crate::shapes;

/// Characters of a path segment that stay as they are (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRequest {
    name: Option<String>,
    config: Option<Map<String, Value>>,
    initial_state: Option<String>,
}

type Created = (StatusCode, [(HeaderName, String); 1], Json<Value>);

fn created(name: &str, body: Value) -> Created {
    let location = format!("/connectors/{}", utf8_percent_encode(name, SEGMENT));
    (
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(body),
    )
}

pub(crate) async fn list(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let query = query.unwrap_or_default();
    let expand = |what: &str| {
        query
            .split('&')
            .any(|pair| pair == format!("expand={what}"))
    };
    let (with_status, with_info) = (expand("status"), expand("info"));
    if !query.split('&').any(|pair| pair.starts_with("expand=")) {
        return Ok(Json(json!(api.worker.connectors().await?)));
    }
    let mut all = Map::new();
    for (info, status) in api.worker.all_connectors().await? {
        let mut parts = Map::new();
        if with_status {
            parts.insert("status".to_owned(), shapes::status(&status));
        }
        if with_info {
            parts.insert("info".to_owned(), shapes::info(&info));
        }
        all.insert(info.name, Value::Object(parts));
    }
    Ok(Json(Value::Object(all)))
}

pub(crate) async fn create(
    State(api): State<Api>,
    body::Json(request): body::Json<CreateRequest>,
) -> Result<Created, ApiError> {
    let config = request.config.ok_or_else(|| {
        ApiError::new(
            500,
            "the body has no \"config\": send {\"name\":\"...\",\"config\":{...}}",
        )
    })?;
    let config = config_map(config)?;
    let name = request
        .name
        .or_else(|| config.get("name").cloned())
        .ok_or_else(|| {
            ApiError::new(
                400,
                "the body has no \"name\": send {\"name\":\"...\",\"config\":{...}}",
            )
        })?;
    let initial = match request
        .initial_state
        .map(|state| state.to_ascii_uppercase())
        .as_deref()
    {
        None | Some("RUNNING") => TargetState::Started,
        Some("PAUSED") => TargetState::Paused,
        Some("STOPPED") => TargetState::Stopped,
        Some(other) => {
            return Err(ApiError::new(
                500,
                format!("initial_state {other} is none of RUNNING, PAUSED, STOPPED"),
            ));
        }
    };
    let info = api.worker.create(&name, config, initial).await?;
    Ok(created(&info.name, shapes::info(&info)))
}

pub(crate) async fn info(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(shapes::info(&api.worker.info(&name).await?)))
}

pub(crate) async fn config(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(api.worker.info(&name).await?.config)))
}

pub(crate) async fn put_config(
    State(api): State<Api>,
    Path(name): Path<String>,
    body::Json(fields): body::Json<Map<String, Value>>,
) -> Result<Result<Created, Json<Value>>, ApiError> {
    let (info, is_new) = api.worker.put_config(&name, config_map(fields)?).await?;
    let body = shapes::info(&info);
    Ok(if is_new {
        Ok(created(&info.name, body))
    } else {
        Err(Json(body))
    })
}

pub(crate) async fn status(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(shapes::status(&api.worker.status(&name).await?)))
}

pub(crate) async fn tasks(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let tasks = api.worker.tasks(&name).await?;
    Ok(Json(tasks.iter().map(shapes::task).collect()))
}

pub(crate) async fn task_status(
    State(api): State<Api>,
    Path((name, task)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let task = task_number(&task)?;
    let status = api
        .worker
        .status(&name)
        .await
        .map_err(|_| ApiError::new(404, format!("No status found for task {name}-{task}")))?;
    let found = status
        .tasks
        .get(task as usize)
        .ok_or_else(|| ApiError::new(404, format!("No status found for task {name}-{task}")))?;
    Ok(Json(shapes::task_status(
        task,
        found,
        status.version.as_deref(),
    )))
}

pub(crate) async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.worker.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A path segment that is a task's number; anything else is no such resource.
pub(crate) fn task_number(segment: &str) -> Result<u32, ApiError> {
    segment
        .parse()
        .map_err(|_| ApiError::framework(404).typed())
}
