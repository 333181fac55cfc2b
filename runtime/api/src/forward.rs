//! Requests that change something are the leader's. Any worker takes them and forwards them, signed
//! with the cluster's session key (KIP-507), at most two hops: `?forward=true`, then `forward=false`.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tidegate_cluster::Signer;
use tidegate_worker::{Leadership, WorkerError};
use tokio::time::{Instant, sleep, timeout};

use crate::Api;
use crate::error::ApiError;
use crate::plugins;

const SIGNATURE: HeaderName = HeaderName::from_static("x-connect-authorization");
const ALGORITHM: HeaderName = HeaderName::from_static("x-connect-request-signature-algorithm");

/// Up to where the leader's log was read when it answered: the worker that was asked answers when it
/// has read as far, so that whoever asked sees there what came of it.
const PLACE: HeaderName = HeaderName::from_static("x-tidegate-log-place");

/// How long to look for a leader: about as long as one that died is missed.
const FIND_LEADER: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(200);

/// How long the answer waits for this worker to read what the leader wrote.
const CATCH_UP: Duration = Duration::from_secs(10);

/// How long a leader may take.
const ANSWER: Duration = Duration::from_secs(85);

/// How long a connection to the leader may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Speaks to other workers.
#[derive(Clone)]
pub(crate) struct Forwarder(Client<HttpConnector, Body>);

impl Default for Forwarder {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        // A leader whose machine is gone refuses nothing: it is silent.
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    /// From a user.
    First,
    /// From a worker that took it for the leader.
    Second,
    /// And once more.
    Last,
}

/// Serves what this worker may serve, and forwards the rest.
pub(crate) async fn to_leader(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.worker.is_standalone() || !is_leaders(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let hop = hop(request.uri());
    let (parts, body) = request.into_parts();
    let limit_bytes = api.worker.settings().plugin_max_bytes.max(4 << 20);
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    let Ok(body) = to_bytes(body, limit).await else {
        return ApiError::from(WorkerError::PluginTooLarge { limit_bytes }).into_response();
    };
    if hop != Hop::First
        && let Err(refused) = check(&api, &parts.method, &parts.uri, &parts.headers, &body).await
    {
        return refused.into_response();
    }
    let until = Instant::now() + FIND_LEADER;
    loop {
        let url = match api.worker.leadership().await {
            Ok(Leadership::Here) => {
                let request = Request::from_parts(parts, Body::from(body));
                return served(&api, next.run(request).await);
            }
            Ok(Leadership::At(url)) => Ok(url),
            Err(error) => Err(error),
        };
        let sent = match url {
            Ok(_) if hop == Hop::Last => return conflict().into_response(),
            Ok(url) => send(&api, &url, hop, &parts, body.clone()).await,
            Err(error) => Err(Unsent(error.into())),
        };
        match sent {
            Ok(response) => return caught_up(&api, response).await,
            Err(Unsent(error)) if Instant::now() >= until => return error.into_response(),
            Err(Unsent(_)) => sleep(PAUSE).await,
        }
    }
}

/// What only the leader may do: everything that is written into the config log.
fn is_leaders(method: &Method, path: &str) -> bool {
    if method == Method::GET || method == Method::HEAD {
        return false;
    }
    let is_validation = path.starts_with("/connector-plugins/");
    !is_validation
}

fn hop(uri: &Uri) -> Hop {
    let query = uri.query().unwrap_or_default();
    match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("forward="))
    {
        None => Hop::First,
        Some("true") => Hop::Second,
        Some(_) => Hop::Last,
    }
}

fn conflict() -> ApiError {
    ApiError::new(
        409,
        "Cannot complete request because of a conflicting operation (e.g. worker rebalance); ask again in a moment",
    )
}

/// A request that has not reached the leader, so that it can be sent again.
struct Unsent(ApiError);

async fn send(
    api: &Api,
    url: &str,
    hop: Hop,
    parts: &axum::http::request::Parts,
    body: Bytes,
) -> Result<Response, Unsent> {
    let path = forwarded_path(&parts.uri, hop == Hop::First);
    let uri: Uri = format!("{url}{path}").parse().map_err(|_| {
        let text = format!("the leader says that it is reached at {url:?}, which is no address; check its rest.advertised.*");
        Unsent(ApiError::new(500, text))
    })?;
    let signers = api.worker.signers().await.map_err(|e| Unsent(e.into()))?;
    let Some(signer) = signers.first() else {
        return Err(Unsent(no_key()));
    };
    let signature = signer.sign(parts.method.as_str(), &path, &body);
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    for copied in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&copied) {
            request.headers_mut().insert(copied, value.clone());
        }
    }
    if let Ok(value) = HeaderValue::from_str(&signature) {
        request.headers_mut().insert(SIGNATURE, value);
    }
    let algorithm = HeaderValue::from_static(Signer::ALGORITHM);
    request.headers_mut().insert(ALGORITHM, algorithm);
    match timeout(ANSWER, api.forwarder.0.request(request)).await {
        Ok(Ok(response)) => Ok(response.map(Body::new)),
        Ok(Err(error)) if error.is_connect() => Err(Unsent(ApiError::new(
            409,
            format!("the leader at {url} cannot be reached: {error}; ask again in a few seconds"),
        ))),
        Ok(Err(error)) => Ok(ApiError::new(
            500,
            format!(
                "the leader at {url} did not answer: {error}; whether it did what was asked is not known, look \
                 before you ask again"
            ),
        )
        .into_response()),
        Err(_) => {
            let next = match plugins::is_upload(&parts.method, &parts.uri) {
                true => format!("; {}", plugins::ASK_AGAIN),
                false => String::new(),
            };
            let seconds = ANSWER.as_secs();
            let text = format!(
                "Request timed out. The leader at {url} did not answer within {seconds} s{next}"
            );
            Ok(ApiError::new(500, text).into_response())
        }
    }
}

/// Path and query with the next value of `forward`.
fn forwarded_path(uri: &Uri, first: bool) -> String {
    let query = uri.query().unwrap_or_default().split('&');
    let kept = query.filter(|pair| !pair.is_empty() && !pair.starts_with("forward="));
    let forward = format!("forward={first}");
    let pairs: Vec<&str> = kept.chain([forward.as_str()]).collect();
    format!("{}?{}", uri.path(), pairs.join("&"))
}

fn no_key() -> ApiError {
    ApiError::new(
        503,
        "This worker is still starting up and has not been able to read a session key from the config topic yet; if that \
         lasts, its tidegate.secret.key is not that of the worker that leads",
    )
}

/// Whether a worker of this cluster sent it.
async fn check(
    api: &Api,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), ApiError> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(signature), Some(algorithm)) = (text(&SIGNATURE), text(&ALGORITHM)) else {
        return Err(ApiError::new(
            400,
            "Internal request missing required signature and algorithm headers; a request with forward= comes from a \
             worker only",
        ));
    };
    if algorithm != Signer::ALGORITHM {
        let text = format!(
            "Requests with the signature algorithm {algorithm} are not supported; use HmacSHA256"
        );
        return Err(ApiError::new(400, text));
    }
    let signers = api.worker.signers().await?;
    if signers.is_empty() {
        return Err(no_key());
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let is_right = |signer: &Signer| signer.is_right(method.as_str(), path, body, signature);
    if signers.iter().any(is_right) {
        return Ok(());
    }
    Err(ApiError::new(
        403,
        "Internal request contained invalid signature; do all workers have the same tidegate.secret.key?",
    ))
}

fn served(api: &Api, mut response: Response) -> Response {
    if response.status().is_success()
        && let Ok(place) = HeaderValue::from_str(&api.worker.applied().to_string())
    {
        response.headers_mut().insert(PLACE, place);
    }
    response
}

async fn caught_up(api: &Api, response: Response) -> Response {
    let place = response.headers().get(PLACE);
    let place = place.and_then(|place| place.to_str().ok()?.parse().ok());
    if let Some(place) = place {
        // Past this time the answer is right all the same, only this worker is behind.
        let _ = timeout(CATCH_UP, api.worker.wait_applied(place)).await;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_forwarded_twice_at_most() {
        let uri: Uri = "/connectors/a%20b/restart?includeTasks=true"
            .parse()
            .unwrap();
        assert_eq!(hop(&uri), Hop::First);
        let first = forwarded_path(&uri, true);
        assert_eq!(
            first,
            "/connectors/a%20b/restart?includeTasks=true&forward=true"
        );
        let first: Uri = first.parse().unwrap();
        assert_eq!(hop(&first), Hop::Second);
        let second: Uri = forwarded_path(&first, false).parse().unwrap();
        assert_eq!(second.query(), Some("includeTasks=true&forward=false"));
        assert_eq!(hop(&second), Hop::Last);
    }

    #[test]
    fn looks_are_served_anywhere() {
        assert!(!is_leaders(&Method::GET, "/connectors"));
        assert!(!is_leaders(
            &Method::PUT,
            "/connector-plugins/x/config/validate"
        ));
        for (method, path) in [
            (Method::POST, "/connectors"),
            (Method::PUT, "/connectors/c/pause"),
            (Method::POST, "/plugins"),
            (Method::DELETE, "/cluster/workers/w"),
        ] {
            assert!(is_leaders(&method, path), "{path}");
        }
    }
}
