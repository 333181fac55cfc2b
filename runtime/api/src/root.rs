//! What the worker is and how it feels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tidegate_worker::Worker;

use crate::Api;

/// As in KIP-1017.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for the id of Kafka's cluster; it is asked for on behind it.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Kafka's cluster id, once it is known. One question at a time: while Kafka is away, no request waits
/// for it but the first.
#[derive(Clone, Default)]
pub(crate) struct ClusterId {
    known: Arc<OnceLock<String>>,
    asking: Arc<AtomicBool>,
}

impl ClusterId {
    async fn get(&self, worker: &Worker) -> Option<String> {
        if let Some(known) = self.known.get() {
            return Some(known.clone());
        }
        if self.asking.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (own, worker) = (self.clone(), worker.clone());
        let asked = tokio::spawn(async move {
            if let Some(id) = worker.cluster_id().await {
                let _ = own.known.set(id);
            }
            own.asking.store(false, Ordering::Release);
        });
        let _ = tokio::time::timeout(FIRST_ANSWER, asked).await;
        self.known.get().cloned()
    }
}

pub(crate) async fn root(State(api): State<Api>) -> Json<Value> {
    let kafka_cluster_id = api.cluster_id.get(&api.worker).await;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("TIDEGATE_COMMIT").unwrap_or("unknown"),
        "kafka_cluster_id": kafka_cluster_id,
    }))
}

pub(crate) async fn health(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let wait = api.worker.wait();
    let answer = |code, status: &str, message: &str| {
        let mut body = json!({ "status": status, "message": message });
        if let (Some(wait), Some(fields)) = (&wait, body.as_object_mut()) {
            fields.insert("waiting".to_owned(), json!(wait));
        }
        (code, Json(body))
    };
    match tokio::time::timeout(PROBE_TIMEOUT, api.worker.probe()).await {
        Ok(Ok(false)) => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            "Worker is not (or no longer) a member of its cluster: it starts, or the group's coordinator does not \
             answer.",
        ),
        Ok(Ok(true)) if wait.is_some() => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "waiting",
            "Worker is up, and Kafka does not let it work.",
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
