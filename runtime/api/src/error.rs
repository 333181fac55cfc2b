//! Errors in Kafka Connect's form: `{"error_code","message"}`.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tidegate_cluster::AppendError;
use tidegate_sandbox::{CompileError, LoadError};
use tidegate_worker::WorkerError;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    code: u16,
    message: String,
    /// Connect's framework errors carry the body but no content type.
    plain: bool,
}

impl ApiError {
    pub(crate) fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            plain: false,
        }
    }

    /// What Connect's HTTP framework answers by itself.
    pub(crate) fn framework(code: u16) -> Self {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reason = status.canonical_reason().unwrap_or("");
        Self {
            plain: true,
            ..Self::new(code, format!("HTTP {code} {reason}"))
        }
    }

    /// The same, with a content type.
    pub(crate) fn typed(mut self) -> Self {
        self.plain = false;
        self
    }
}

impl From<WorkerError> for ApiError {
    fn from(error: WorkerError) -> Self {
        Self::from(&error)
    }
}

impl From<&WorkerError> for ApiError {
    fn from(error: &WorkerError) -> Self {
        let code = match error {
            WorkerError::NoConnector(_)
            | WorkerError::UnknownConnector(_)
            | WorkerError::UnknownRestart(_)
            | WorkerError::NoTask(_)
            | WorkerError::NoStatus(_)
            | WorkerError::NoPlugin(_)
            | WorkerError::NoWorker { .. } => 404,
            // A client of Kafka Connect asks again after a 409.
            WorkerError::NoLeader
            | WorkerError::Append(AppendError::NotLeading | AppendError::Failed(_))
            | WorkerError::ConnectorExists(_)
            | WorkerError::PluginConflict { .. }
            | WorkerError::PluginUsed { .. }
            | WorkerError::LastWorker(_) => 409,
            WorkerError::BadRequest(_)
            | WorkerError::Invalid(_)
            | WorkerError::Standalone
            | WorkerError::UnknownClass { .. } => 400,
            // The machine, not the component.
            WorkerError::BadPlugin(LoadError::Compile(CompileError::Process(_))) => 500,
            WorkerError::BadPlugin(_) => 400,
            WorkerError::PluginTooLarge { .. } => 413,
            WorkerError::Stopping => 503,
            WorkerError::Store(_)
            | WorkerError::Cluster(_)
            | WorkerError::Append(AppendError::Unknown(_))
            | WorkerError::Kafka(_)
            | WorkerError::Internal(_) => 500,
        };
        if code == 500 {
            tracing::error!("answer a request: {error}");
        }
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !self.plain {
            let json = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        response
    }
}
