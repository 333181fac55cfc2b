//! A configuration, a database and short ways to look into it.

use serde_json::Value;
use tidegate_sdk::prelude::*;
use tidegate_sdk::testing::{Database, SinkTest, TestRecord};

use crate::SqlSink;

/// With created tables, and what else a test wants.
pub fn config(more: &[(&str, &str)]) -> RawConfig {
    let config = RawConfig::from([
        ("connection.url", "jdbc:sqlite:/tmp/x.db"),
        ("auto.create", "true"),
    ]);
    let set = |config: RawConfig, (key, value): &(&str, &str)| config.with(key, *value);
    more.iter().fold(config, set)
}

pub fn database() -> Database {
    Database::install("connection.url", "sqlite")
}

pub fn sink(more: &[(&str, &str)]) -> SinkTest<SqlSink> {
    SinkTest::start(config(more)).unwrap()
}

/// Writes records to topic `t` with a task of its own.
pub fn put(more: &[(&str, &str)], records: impl IntoIterator<Item = TestRecord>) -> Vec<Errant> {
    sink(more).put("t", records).unwrap()
}

/// The rows of table `t`, each as JSON text.
pub fn rows(database: &Database) -> Vec<String> {
    let rows = database.rows("t").into_iter();
    rows.map(|row| Value::from_iter(row).to_string()).collect()
}

/// Its columns, each with its type, and `!` if it takes no NULL.
pub fn columns(database: &Database) -> Vec<String> {
    let columns = database.table("t").unwrap().columns.into_iter();
    let text = |column: tidegate_sdk::sql::Column| {
        let not_null = if column.nullable { "" } else { "!" };
        format!("{} {}{not_null}", column.name, column.kind)
    };
    columns.map(text).collect()
}
