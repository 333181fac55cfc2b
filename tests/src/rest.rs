//! A small blocking client for the REST API.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use ureq::http::Request;

use crate::paths;
use crate::wait::wait_or_give_up;

/// For connectors and tasks to reach a state.
pub const STATE_LIMIT: Duration = Duration::from_secs(60);

/// What the server said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as JSON; null if it is empty or not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// Panics unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// `message` of an error; panics unless `error_code` repeats the status.
    #[track_caller]
    pub fn error(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["error_code"], status, "{}", self.text);
        self.body["message"]
            .as_str()
            .unwrap_or_else(|| panic!("no message in {}", self.text))
    }
}

/// A server's REST API.
#[derive(Debug, Clone)]
pub struct Rest {
    base: String,
    agent: ureq::Agent,
}

impl Rest {
    /// On loopback.
    pub fn new(port: u16) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(100)))
            .build();
        Self {
            base: format!("http://127.0.0.1:{port}"),
            agent: agent.into(),
        }
    }

    /// Sends a request; nothing if nobody answers.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        let response = match body {
            None => self.agent.run(request.body(()).unwrap()),
            Some(body) => self.agent.run(
                request
                    .header("Content-Type", content_type)
                    .body(body)
                    .unwrap(),
            ),
        };
        let mut response = response.ok()?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().ok()?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Some(Answer { status, body, text })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.try_send(method, path, "application/json", bytes.as_deref())
            .unwrap_or_else(|| panic!("no answer to {method} {}{path}", self.base))
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    /// GET that may find nobody.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_send("GET", path, "", None)
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// PUT of JSON.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(body))
    }

    /// PATCH of JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, Some(body))
    }

    /// PUT or POST without a body, as for `pause` and `restart`.
    pub fn call(&self, method: &str, path: &str) -> Answer {
        self.try_send(method, path, "application/json", Some(&[]))
            .unwrap_or_else(|| panic!("no answer to {method} {}{path}", self.base))
    }

    /// The same, with headers.
    pub fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(()).unwrap()).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, body, text }
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    /// Uploads a component.
    pub fn upload(&self, component: &[u8]) -> Answer {
        self.try_send("POST", "/plugins", "application/wasm", Some(component))
            .expect("an answer to the upload")
    }

    /// Uploads a file; panics unless it is accepted.
    #[track_caller]
    pub fn upload_file(&self, file: &Path) -> Answer {
        let answer = self.upload(&fs::read(file).unwrap());
        assert!(
            matches!(answer.status, 200 | 201),
            "{}: {}",
            file.display(),
            answer.text
        );
        answer
    }

    /// Uploads connectors by name.
    #[track_caller]
    pub fn upload_guests(&self, names: &[&str]) {
        for name in names {
            self.upload_file(&paths::guest(name));
        }
    }

    /// Creates a connector; panics unless it is accepted.
    #[track_caller]
    pub fn create(&self, name: &str, config: &[(&str, &str)]) {
        self.post(
            "/connectors",
            &json!({"name": name, "config": config_object(config)}),
        )
        .expect(201);
    }

    /// Waits until the connector and all its tasks (at least one) are in a state.
    #[track_caller]
    pub fn wait_for_state(&self, name: &str, state: &str) -> Value {
        self.wait_for_status(name, &format!("state {state}"), |status| {
            let tasks = status["tasks"].as_array();
            status["connector"]["state"] == state
                && tasks.is_some_and(|tasks| {
                    !tasks.is_empty() && tasks.iter().all(|t| t["state"] == state)
                })
        })
    }

    /// Waits until task 0 has failed, and answers its trace.
    #[track_caller]
    pub fn wait_for_failed_task(&self, name: &str) -> String {
        let status = self.wait_for_status(name, "a failed task", |status| {
            status["tasks"][0]["state"] == "FAILED"
        });
        status["tasks"][0]["trace"]
            .as_str()
            .expect("a failed task has a trace")
            .to_owned()
    }

    /// Waits until the status satisfies `wanted`; panics with the last one.
    #[track_caller]
    pub fn wait_for_status(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/connectors/{name}/status");
        let mut last = String::from("no answer");
        wait_or_give_up(STATE_LIMIT, || {
            let answer = self.try_get(&path)?;
            last = answer.text;
            (answer.status == 200 && wanted(&answer.body)).then_some(answer.body)
        })
        .unwrap_or_else(|| panic!("{name} does not reach {what}: {last}"))
    }
}

/// A configuration as REST wants it.
pub fn config_object(config: &[(&str, &str)]) -> Map<String, Value> {
    config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect()
}
