//! A worker's REST API from the command line.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::arguments::Server;
use crate::error::CliError;

/// Longer than the worker's own limit, so that its answer comes first.
const TIMEOUT: Duration = Duration::from_secs(200);

pub(crate) struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        Self {
            agent,
            url: server.url.trim_end_matches('/').to_owned(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.answer(self.agent.get(self.at(path)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.answer(self.agent.delete(self.at(path)).call())
    }

    pub(crate) fn put(&self, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let request = self.agent.put(self.at(path));
        self.answer(match body {
            Some(body) => request.send_json(body),
            None => request.send_empty(),
        })
    }

    pub(crate) fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let request = self.agent.post(self.at(path));
        self.answer(match body {
            Some(body) => request.send_json(body),
            None => request.send_empty(),
        })
    }

    /// Whether it was new, and what the worker says of it.
    pub(crate) fn upload(&self, path: &str, body: &[u8]) -> Result<(bool, Value), CliError> {
        let request = self
            .agent
            .post(self.at(path))
            .content_type("application/wasm");
        let response = request.send(body);
        let created = response.as_ref().is_ok_and(|r| r.status().as_u16() == 201);
        Ok((created, self.answer(response)?))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn answer(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, CliError> {
        let unreachable = |e: ureq::Error| CliError::Unreachable {
            url: self.url.clone(),
            reason: e.to_string(),
        };
        let mut response = response.map_err(unreachable)?;
        let code = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if code < 400 {
            return Ok(body);
        }
        let message = match body.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => format!("the server answered {text:?}; is this a Tidegate worker?"),
        };
        Err(CliError::Refused { code, message })
    }
}

/// A name as a path segment.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
