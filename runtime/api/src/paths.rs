//! Paths as clients of Kafka Connect write them, before a route is looked for.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use crate::error::ApiError;

/// Takes a path with slashes at its end for the one without, and refuses one that is no text.
pub(crate) async fn understand(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if percent_decode_str(path).decode_utf8().is_err() {
        let message =
            "the path holds bytes that are not UTF-8: encode the connector's name as UTF-8 first";
        return ApiError::new(400, message).into_response();
    }
    if path.len() > 1
        && path.ends_with('/')
        && let Some(uri) = without_slashes(request.uri())
    {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

fn without_slashes(uri: &Uri) -> Option<Uri> {
    let path = match uri.path().trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_go_and_the_query_stays() {
        let trimmed = |text: &str| without_slashes(&text.parse().unwrap()).unwrap().to_string();
        assert_eq!(trimmed("/connectors/"), "/connectors");
        assert_eq!(
            trimmed("/connectors//?expand=info"),
            "/connectors?expand=info"
        );
        assert_eq!(trimmed("//"), "/");
    }
}
