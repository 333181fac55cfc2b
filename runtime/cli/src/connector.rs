//! `tidegate connector`.

use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::{ConnectorCommand, InitialState, Server};
use crate::client::{Client, segment};
use crate::error::CliError;
use crate::plugin::text;
use crate::{properties, table};

pub(crate) fn run(server: &Server, command: ConnectorCommand) -> Result<(), CliError> {
    let client = Client::new(server);
    let at = |name: &str, what: &str| format!("/connectors/{}{what}", segment(name));
    match command {
        ConnectorCommand::Create { files, state } => {
            files.iter().try_for_each(|file| create(&client, file, state))
        }
        ConnectorCommand::List { json } => list(&client, json),
        ConnectorCommand::Status { name, json } => {
            status(&client.get(&at(&name, "/status"))?, json)
        }
        ConnectorCommand::Config { name, set, json } => {
            config(&client, &at(&name, "/config"), set.as_deref(), json)
        }
        ConnectorCommand::Pause { name } => {
            client.put(&at(&name, "/pause"), None)?;
            done(&name, "pausing", "resume")
        }
        ConnectorCommand::Resume { name } => {
            client.put(&at(&name, "/resume"), None)?;
            done(&name, "resuming", "status")
        }
        ConnectorCommand::Stop { name } => {
            client.put(&at(&name, "/stop"), None)?;
            done(&name, "stopping", "resume")
        }
        ConnectorCommand::Restart { name, task, only_failed } => {
            let what = match task {
                Some(task) => format!("/tasks/{task}/restart"),
                None => format!("/restart?includeTasks=true&onlyFailed={only_failed}"),
            };
            client.post(&at(&name, &what), None)?;
            done(&name, "restarting", "status")
        }
        ConnectorCommand::Delete { name } => {
            client.delete(&at(&name, ""))?;
            println!("deleted {name}; its offsets survive and count again if it is created anew");
            Ok(())
        }
    }
}

fn done(name: &str, what: &str, next: &str) -> Result<(), CliError> {
    println!("{what} {name}; next: tidegate connector {next} {name}");
    Ok(())
}

fn create(client: &Client, file: &Path, state: InitialState) -> Result<(), CliError> {
    let (name, config) = properties::connector(file)?;
    let body = json!({ "name": name, "config": config, "initial_state": state.as_str() });
    client.post("/connectors", Some(&body))?;
    println!("created {name}; next: tidegate connector status {name}");
    Ok(())
}

fn list(client: &Client, json: bool) -> Result<(), CliError> {
    let answer = client.get("/connectors?expand=status&expand=info")?;
    if json {
        println!("{answer:#}");
        return Ok(());
    }
    let connectors = answer.as_object().cloned().unwrap_or_default();
    if connectors.is_empty() {
        println!("no connectors; create one with tidegate connector create FILE.json");
        return Ok(());
    }
    let row = |(name, parts): (&String, &Value)| {
        let status = parts.get("status").unwrap_or(&Value::Null);
        let class = parts.pointer("/info/config/connector.class").and_then(Value::as_str);
        vec![
            name.clone(),
            text(status, "type"),
            text(status.get("connector").unwrap_or(&Value::Null), "state"),
            task_summary(status),
            class.unwrap_or("").to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = connectors.iter().map(row).collect();
    table::print(&["NAME", "TYPE", "STATE", "TASKS", "CLASS"], &rows);
    Ok(())
}

/// `2 RUNNING, 1 FAILED`.
fn task_summary(status: &Value) -> String {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for task in tasks(status) {
        *counts.entry(text(task, "state")).or_default() += 1;
    }
    let parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn tasks(status: &Value) -> &[Value] {
    status.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Exit code 4 if anything is FAILED, so that scripts can ask.
fn status(status: &Value, json: bool) -> Result<(), CliError> {
    let name = text(status, "name");
    let connector = status.get("connector").cloned().unwrap_or_default();
    let failed = std::iter::once(&connector)
        .chain(tasks(status))
        .filter(|part| text(part, "state") == "FAILED")
        .count();
    if json {
        println!("{status:#}");
    } else {
        println!("{name} ({}): {}", text(status, "type"), text(&connector, "state"));
        print_trace(&connector);
        for task in tasks(status) {
            println!("  task {}: {} on {}", text(task, "id"), text(task, "state"), text(task, "worker_id"));
            print_trace(task);
        }
    }
    if failed == 0 {
        return Ok(());
    }
    Err(CliError::Unhealthy(format!(
        "{failed} FAILED; when the cause is mended: tidegate connector restart {name} --only-failed"
    )))
}

fn print_trace(part: &Value) {
    for line in text(part, "trace").lines() {
        println!("    {line}");
    }
}

fn config(client: &Client, path: &str, set: Option<&Path>, json: bool) -> Result<(), CliError> {
    let config = match set {
        Some(file) => {
            let (_, config) = properties::connector(file)?;
            client.put(path, Some(&json!(config)))?.get("config").cloned().unwrap_or_default()
        }
        None => client.get(path)?,
    };
    if json {
        println!("{config:#}");
        return Ok(());
    }
    for (key, value) in config.as_object().into_iter().flatten() {
        println!("{key}={}", value.as_str().unwrap_or_default());
    }
    Ok(())
}
