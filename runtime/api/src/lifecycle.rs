//! Pause, resume, stop and restart.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tidegate_model::state::TargetState;

use crate::Api;
use crate::connectors::task_number;
use crate::error::ApiError;
use crate::shapes;

pub(crate) async fn pause(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.worker.set_target(&name, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn resume(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.worker.set_target(&name, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn stop(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.worker.set_target(&name, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(crate) struct RestartQuery {
    #[serde(default, rename = "includeTasks")]
    include_tasks: Option<String>,
    #[serde(default, rename = "onlyFailed")]
    only_failed: Option<String>,
}

pub(crate) async fn restart(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<RestartQuery>,
) -> Result<Response, ApiError> {
    let flag = |value: &Option<String>| {
        value
            .as_deref()
            .is_some_and(|v| v.eq_ignore_ascii_case("true"))
    };
    let (include_tasks, only_failed) = (flag(&query.include_tasks), flag(&query.only_failed));
    let status = api
        .worker
        .restart(&name, include_tasks, only_failed)
        .await?;
    // Without a flag Connect restarts before it answers, and has nothing to tell.
    Ok(if include_tasks || only_failed {
        (StatusCode::ACCEPTED, Json(shapes::status(&status))).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    })
}

pub(crate) async fn restart_task(
    State(api): State<Api>,
    Path((name, task)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    api.worker.restart_task(&name, task_number(&task)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
