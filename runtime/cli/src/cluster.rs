//! `tidegate cluster`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use crate::arguments::{ClusterCommand, Server};
use crate::client::{Client, segment};
use crate::error::CliError;
use crate::plugin::text;
use crate::table;

/// How often to look whether a worker has gone.
const LOOK: Duration = Duration::from_millis(500);

/// How long a worker may take to go; its tasks have their graceful time-out each.
const LEAVE_LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn run(server: &Server, command: ClusterCommand) -> Result<(), CliError> {
    let client = Client::new(server);
    match command {
        ClusterCommand::Status { json, watch: None } => show(&client.get("/cluster")?, json),
        ClusterCommand::Status {
            json,
            watch: Some(seconds),
        } => watch(&client, json, seconds),
        ClusterCommand::Remove { worker, no_wait } => remove(&client, &worker, no_wait),
    }
}

fn watch(client: &Client, json: bool, seconds: u64) -> Result<(), CliError> {
    loop {
        let answer = client.get("/cluster");
        if std::io::stdout().is_terminal() && !json {
            // Home, and clear what is below: no scrolling.
            print!("\x1b[H\x1b[2J");
        }
        match answer {
            Ok(status) => show(&status, json)?,
            // A worker that is restarted comes back.
            Err(error @ CliError::Unreachable { .. }) => println!("{error}"),
            Err(error) => return Err(error),
        }
        let _ = std::io::stdout().flush();
        std::thread::sleep(Duration::from_secs(seconds.max(1)));
    }
}

fn show(status: &Value, json: bool) -> Result<(), CliError> {
    if json {
        println!("{status:#}");
        return Ok(());
    }
    println!(
        "cluster {}: {} shards, leader {}",
        text(status, "group_id"),
        text(status, "shards"),
        status
            .get("leader")
            .and_then(Value::as_str)
            .unwrap_or("none")
    );
    let rows: Vec<Vec<String>> = list(status, "workers").iter().map(worker_row).collect();
    table::print(
        &["WORKER", "VERSION", "SHARDS", "TASKS", "WEIGHT", "", "RUNS"],
        &rows,
    );
    for found in list(status, "moves") {
        println!(
            "moving {} from {} to {}",
            task(found.get("task").unwrap_or(&Value::Null)),
            text(found, "from"),
            text(found, "to")
        );
    }
    Ok(())
}

fn worker_row(worker: &Value) -> Vec<String> {
    let is = |field: &str| worker.get(field).and_then(Value::as_bool) == Some(true);
    let role = match (is("leader"), is("leaving")) {
        (_, true) => "leaving",
        (true, _) => "leader",
        _ => "",
    };
    let tasks = list(worker, "tasks");
    vec![
        text(worker, "worker_id"),
        text(worker, "version"),
        text(worker, "shards"),
        tasks.len().to_string(),
        text(worker, "weight"),
        role.to_owned(),
        summary(tasks),
    ]
}

/// `orders 0 1 2, lines 0`.
fn summary(tasks: &[Value]) -> String {
    let mut connectors: Vec<(String, Vec<String>)> = Vec::new();
    for id in tasks {
        let (name, number) = (text(id, "connector"), text(id, "task"));
        match connectors.last_mut() {
            Some((last, numbers)) if *last == name => numbers.push(number),
            _ => connectors.push((name, vec![number])),
        }
    }
    let parts: Vec<String> = connectors
        .into_iter()
        .map(|(name, numbers)| format!("{name} {}", numbers.join(" ")))
        .collect();
    parts.join(", ")
}

fn task(id: &Value) -> String {
    format!("{}-{}", text(id, "connector"), text(id, "task"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    let found = value.get(field).and_then(Value::as_array);
    found.map(Vec::as_slice).unwrap_or_default()
}

fn remove(client: &Client, worker: &str, no_wait: bool) -> Result<(), CliError> {
    client.delete(&format!("/cluster/workers/{}", segment(worker)))?;
    if no_wait {
        println!("{worker} gives its tasks away and ends; next: tidegate cluster status");
        return Ok(());
    }
    let start = std::time::Instant::now();
    let mut last = usize::MAX;
    while start.elapsed() < LEAVE_LIMIT {
        let status = match client.get("/cluster") {
            Ok(status) => status,
            // It was the one that was asked, and has gone.
            Err(CliError::Unreachable { .. }) => break,
            Err(error) => return Err(error),
        };
        let found = list(&status, "workers")
            .iter()
            .find(|found| text(found, "worker_id") == worker);
        let Some(found) = found else { break };
        let left = list(found, "tasks").len();
        if left != last {
            println!("{worker}: {left} task(s) left");
            last = left;
        }
        std::thread::sleep(LOOK);
    }
    if start.elapsed() >= LEAVE_LIMIT {
        return Err(CliError::Unhealthy(format!(
            "{worker} is still there after {} s; tidegate cluster status shows what it runs",
            LEAVE_LIMIT.as_secs()
        )));
    }
    println!("{worker} has left");
    Ok(())
}
