//! `/plugins`: upload, list, inspect, delete.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_worker::WorkerError;

use crate::Api;
use crate::error::ApiError;
use crate::shapes;

/// What to do about an upload that takes longer than a request.
pub(crate) const ASK_AGAIN: &str =
    "the upload goes on: send the same bytes again to hear what came of it";

pub(crate) fn is_upload(method: &Method, uri: &Uri) -> bool {
    method == Method::POST && uri.path() == "/plugins"
}

pub(crate) async fn list(State(api): State<Api>) -> Json<Value> {
    Json(api.worker.plugins().iter().map(shapes::plugin).collect())
}

/// The component is the body. 201 if it is new, 200 if these bytes are here already.
pub(crate) async fn upload(
    State(api): State<Api>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let limit_bytes = api.worker.settings().plugin_max_bytes;
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let component = to_bytes(body, limit).await.map_err(|error| {
        if error.to_string().contains("length limit") {
            ApiError::from(WorkerError::PluginTooLarge { limit_bytes })
        } else {
            ApiError::new(
                400,
                format!("the upload ended early, nothing is stored: {error}"),
            )
        }
    })?;
    let uploaded = api.worker.upload(component.into()).await;
    let uploaded = uploaded.map_err(|error| ApiError::from(&*error))?;
    let code = if uploaded.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((code, Json(shapes::plugin(&uploaded.info))))
}

/// All versions of a plugin.
pub(crate) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let versions = api.worker.plugin(&name)?;
    let newest = versions.last().map(shapes::plugin).unwrap_or_default();
    let mut answer = newest;
    if let Value::Object(fields) = &mut answer {
        let all: Vec<&str> = versions
            .iter()
            .map(|p| p.description.version.as_str())
            .collect();
        fields.insert("versions".to_owned(), json!(all));
    }
    Ok(Json(answer))
}

#[derive(Deserialize)]
pub(crate) struct DeleteQuery {
    version: Option<String>,
}

/// One version, or all of them; refused while a connector uses it.
pub(crate) async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    api.worker
        .delete_plugin(&name, query.version.as_deref())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
