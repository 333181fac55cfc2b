//! Request bodies, with the answers Kafka Connect gives to bad ones: 415 for another content type,
//! 500 for what is no JSON or has unknown fields.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_model::config::ConfigMap;

use crate::error::ApiError;

/// The largest JSON body; configurations are far smaller.
const MAX_JSON_BYTES: usize = 4 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map(|v| v.as_bytes().to_vec());
        match content_type {
            None => return Err(ApiError::framework(415).typed()),
            Some(value) if !value.to_ascii_lowercase().starts_with(b"application/json") => {
                return Err(ApiError::framework(415));
            }
            Some(_) => {}
        }
        let bytes = to_bytes(request.into_body(), MAX_JSON_BYTES).await.map_err(|e| {
            ApiError::new(413, format!("the body is not read to its end, or larger than {MAX_JSON_BYTES} bytes: {e}"))
        })?;
        // Editors of some systems put a byte order mark in front; Kafka Connect reads over it.
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|e| ApiError::new(500, format!("the body is not the JSON expected here: {e}")))
    }
}

/// A flat map as Connect reads it: numbers and booleans become strings, null is refused.
pub(crate) fn config_map(fields: serde_json::Map<String, Value>) -> Result<ConfigMap, ApiError> {
    fields
        .into_iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Number(number) => Ok((key, number.to_string())),
            Value::Bool(bool) => Ok((key, bool.to_string())),
            Value::Null => Err(ApiError::new(
                400,
                format!(
                    "Connector configuration is invalid and contains the following 1 error(s):\n\
                     Invalid value null for configuration {key}: Null value can not be supplied as \
                     the configuration value.\nYou can also find the above list of errors at the \
                     endpoint `/connector-plugins/{{connectorType}}/config/validate`"
                ),
            )),
            Value::Array(_) | Value::Object(_) => Err(ApiError::new(
                500,
                format!("the value of {key} is a list or an object where Connect has strings: send the bare configuration, not {{\"name\",\"config\"}}"),
            )),
        })
        .collect()
}
