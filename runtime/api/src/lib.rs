//! REST: Kafka Connect's API in its shapes, codes and messages, and beside it `/plugins`,
//! `/metrics` and `/health`.
#![forbid(unsafe_code)]

mod body;
mod cluster;
mod connector_plugins;
mod connectors;
mod error;
mod forward;
mod lifecycle;
mod offsets;
mod paths;
mod plugins;
mod root;
mod shapes;

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use tidegate_worker::Worker;

use crate::error::ApiError;

/// As in Kafka Connect: every request is answered within this time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    worker: Worker,
    metrics: PrometheusHandle,
    cluster_id: root::ClusterId,
    forwarder: forward::Forwarder,
}

/// All routes of a worker.
pub fn router(worker: Worker, metrics: PrometheusHandle) -> Router {
    let api = Api {
        worker,
        metrics,
        cluster_id: root::ClusterId::default(),
        forwarder: forward::Forwarder::default(),
    };
    let routes = Router::new()
        .route("/", get(root::root))
        .route("/health", get(root::health))
        .route("/metrics", get(metrics_page))
        .route(
            "/connectors",
            get(connectors::list).post(connectors::create),
        )
        .route(
            "/connectors/{connector}",
            get(connectors::info).delete(connectors::delete),
        )
        .route(
            "/connectors/{connector}/config",
            get(connectors::config).put(connectors::put_config),
        )
        .route("/connectors/{connector}/status", get(connectors::status))
        .route("/connectors/{connector}/tasks", get(connectors::tasks))
        .route(
            "/connectors/{connector}/tasks/{task}/status",
            get(connectors::task_status),
        )
        .route(
            "/connectors/{connector}/tasks/{task}/restart",
            post(lifecycle::restart_task),
        )
        .route("/connectors/{connector}/pause", put(lifecycle::pause))
        .route("/connectors/{connector}/resume", put(lifecycle::resume))
        .route("/connectors/{connector}/stop", put(lifecycle::stop))
        .route("/connectors/{connector}/restart", post(lifecycle::restart))
        .route(
            "/connectors/{connector}/offsets",
            get(offsets::get)
                .patch(offsets::alter)
                .delete(offsets::reset),
        )
        .route("/connector-plugins", get(connector_plugins::list))
        .route(
            "/connector-plugins/{class}/config",
            get(connector_plugins::definitions),
        )
        .route(
            "/connector-plugins/{class}/config/validate",
            put(connector_plugins::validate),
        )
        .route("/plugins", get(plugins::list).post(plugins::upload))
        .route("/plugins/{name}", get(plugins::get).delete(plugins::delete))
        .route("/cluster", get(cluster::status))
        .route("/cluster/workers/{worker}", delete(cluster::remove))
        .fallback(|| async { ApiError::framework(404) })
        .method_not_allowed_fallback(|| async { ApiError::framework(405) })
        .layer(from_fn_with_state(api.clone(), forward::to_leader))
        .layer(from_fn(time_limit))
        .with_state(api);
    // Around the routes: a path is made right before one is looked for.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(paths::understand))
}

async fn time_limit(request: Request, next: Next) -> Response {
    let is_upload = plugins::is_upload(request.method(), request.uri());
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let next = match is_upload {
                true => plugins::ASK_AGAIN,
                false => "GET /health tells whether the worker still answers",
            };
            let seconds = REQUEST_TIMEOUT.as_secs();
            ApiError::new(500, format!("Request timed out after {seconds} s; {next}"))
                .into_response()
        }
    }
}

async fn metrics_page(State(api): State<Api>) -> String {
    api.metrics.render()
}
