//! `tidegate plugin`.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::arguments::{PluginCommand, Server};
use crate::client::{Client, segment};
use crate::error::CliError;
use crate::table;

pub(crate) fn run(server: &Server, command: PluginCommand) -> Result<(), CliError> {
    let client = Client::new(server);
    match command {
        PluginCommand::Push { files, json } => {
            files.iter().try_for_each(|file| push(&client, file, json))
        }
        PluginCommand::List { json } => list(&client, json),
        PluginCommand::Inspect { name, json } => inspect(&client, &name, json),
        PluginCommand::Delete { name, version } => {
            let version = version
                .map(|v| format!("?version={}", segment(&v)))
                .unwrap_or_default();
            client.delete(&format!("/plugins/{}{version}", segment(&name)))?;
            println!("deleted {name}");
            Ok(())
        }
    }
}

fn push(client: &Client, file: &Path, json: bool) -> Result<(), CliError> {
    let read = |e: std::io::Error| CliError::Read {
        path: file.display().to_string(),
        reason: e.to_string(),
    };
    let component = std::fs::read(file).map_err(read)?;
    let start = Instant::now();
    let (created, answer) = client.upload("/plugins", &component)?;
    if json {
        println!("{answer:#}");
        return Ok(());
    }
    println!(
        "{} {} {} ({}, {} KB) in {:.2} s\nuse it with \"connector.class\": \"{}\"",
        if created {
            "uploaded"
        } else {
            "already there:"
        },
        text(&answer, "name"),
        text(&answer, "version"),
        text(&answer, "kind"),
        component.len() / 1000,
        start.elapsed().as_secs_f64(),
        text(&answer, "name"),
    );
    Ok(())
}

fn list(client: &Client, json: bool) -> Result<(), CliError> {
    let answer = client.get("/plugins")?;
    if json {
        println!("{answer:#}");
        return Ok(());
    }
    let plugins = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        println!("no plugins; upload one with tidegate plugin push FILE.wasm");
        return Ok(());
    }
    let row = |plugin: &Value| {
        ["name", "version", "kind", "class", "digest"]
            .iter()
            .map(|key| text(plugin, key))
            .collect()
    };
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    table::print(&["NAME", "VERSION", "KIND", "CLASS", "SHA-256"], &rows);
    Ok(())
}

fn inspect(client: &Client, name: &str, json: bool) -> Result<(), CliError> {
    let plugin = client.get(&format!("/plugins/{}", segment(name)))?;
    if json {
        println!("{plugin:#}");
        return Ok(());
    }
    println!(
        "{} {} ({})",
        text(&plugin, "name"),
        text(&plugin, "version"),
        text(&plugin, "kind")
    );
    println!("{}\n", text(&plugin, "documentation"));
    println!(
        "connector.class  {}",
        names(&plugin, "aliases", text(&plugin, "name"))
    );
    println!("sha-256          {}\n", text(&plugin, "digest"));
    let definitions = plugin.get("definitions").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = definitions
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|d| {
            let required = d.get("required").and_then(Value::as_bool) == Some(true);
            let default = if required {
                "(required)".to_owned()
            } else {
                text(d, "default_value")
            };
            vec![
                text(d, "name"),
                text(d, "type"),
                default,
                text(d, "documentation"),
            ]
        })
        .collect();
    table::print(&["KEY", "TYPE", "DEFAULT", "MEANING"], &rows);
    Ok(())
}

fn names(value: &Value, key: &str, first: String) -> String {
    let more = value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let more = more.iter().filter_map(Value::as_str).map(str::to_owned);
    std::iter::once(first)
        .chain(more)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A field as text; nothing where there is none.
pub(crate) fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}
