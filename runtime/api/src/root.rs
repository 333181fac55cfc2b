//! What the worker is and how it feels.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::Api;

/// As in KIP-1017.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn root(State(api): State<Api>) -> Json<Value> {
    let asked = api
        .cluster_id
        .get_or_try_init(|| async { api.worker.cluster_id().await.ok_or(()) });
    let kafka_cluster_id = asked.await.ok();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("TIDEGATE_COMMIT").unwrap_or("unknown"),
        "kafka_cluster_id": kafka_cluster_id,
    }))
}

pub(crate) async fn health(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let answer = |code, status: &str, message: &str| {
        (code, Json(json!({ "status": status, "message": message })))
    };
    match tokio::time::timeout(PROBE_TIMEOUT, api.worker.probe()).await {
        Ok(Ok(false)) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "Worker is not (or no longer) a member of its cluster: it starts, or the group's coordinator does not \
             answer.",
        ),
        Ok(Ok(true)) => answer(
            StatusCode::OK,
            "healthy",
            "Worker has completed startup and is ready to handle requests.",
        ),
        Ok(Err(error)) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            &error.to_string(),
        ),
        Err(_) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unhealthy",
            "the herder did not answer within 10 s",
        ),
    }
}
