//! `/cluster`: who is there, who leads, what runs where, what is moving; and sending a worker away.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::Api;
use crate::error::ApiError;
use crate::shapes;

pub(crate) async fn status(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let status = api.worker.cluster_status().await?;
    let workers: Vec<Value> = status
        .workers
        .iter()
        .map(|worker| {
            let tasks: Vec<Value> = worker.tasks.iter().map(shapes::task_id).collect();
            json!({
                "worker_id": worker.id,
                "url": worker.url,
                "version": worker.version,
                "leader": worker.leads,
                "leaving": worker.leaving,
                "shards": worker.shards,
                "tasks": tasks,
                "weight": worker.weight,
            })
        })
        .collect();
    let moves: Vec<Value> = status
        .moves
        .iter()
        .map(|found| json!({ "task": shapes::task_id(&found.task), "from": found.from, "to": found.to }))
        .collect();
    Ok(Json(json!({
        "group_id": status.group,
        "leader": status.leader,
        "shards": status.shards,
        "workers": workers,
        "moves": moves,
    })))
}

/// Accepted: its tasks move away one after the other, then its process ends.
pub(crate) async fn remove(
    State(api): State<Api>,
    Path(worker): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.worker.remove_worker(&worker).await?;
    Ok(StatusCode::ACCEPTED)
}
