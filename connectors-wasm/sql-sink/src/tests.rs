//! What is written, against a database that lives in the test.

use serde_json::{Value, json};
use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::SqlError;
use tidegate_sdk::testing::{self, Database, SinkTest, TestRecord};

use crate::SqlSink;

fn config() -> RawConfig {
    RawConfig::from([
        ("connection.url", "jdbc:sqlite:/tmp/x.db"),
        ("auto.create", "true"),
    ])
}

fn database() -> Database {
    Database::install("connection.url", "sqlite")
}

#[test]
fn structured_values_become_rows_of_a_created_table() {
    let database = database();
    let mut sink = SinkTest::<SqlSink>::start(config()).unwrap();
    let records = [
        json!({"id": 1, "name": "a"}),
        json!({"id": 2, "price": 1.5}),
    ];
    assert!(
        sink.put("orders", records.map(TestRecord::json))
            .unwrap()
            .is_empty()
    );
    let kinds: Vec<_> = database
        .table("orders")
        .unwrap()
        .columns
        .into_iter()
        .map(|column| format!("{} {}", column.name, column.kind))
        .collect();
    assert_eq!(kinds, ["id INTEGER", "name TEXT", "price REAL"]);
    let rows = database.rows("orders");
    assert_eq!(
        (&rows[0]["id"], &rows[1]["price"], &rows[1]["name"]),
        (&json!(1), &json!(1.5), &Value::Null)
    );
    assert_eq!(sink.flush().unwrap().durable[0].next_offset, 2);
}

#[test]
fn plain_values_fill_one_column() {
    let database = database();
    let config = config().with("table.name.format", "raw_${topic}");
    let mut sink = SinkTest::<SqlSink>::start(config).unwrap();
    sink.put("t", [TestRecord::text("a"), TestRecord::text("b")])
        .unwrap();
    let values: Vec<_> = database
        .rows("raw_t")
        .iter()
        .map(|row| row["value"].clone())
        .collect();
    assert_eq!(values, ["a", "b"]);
}

#[test]
fn only_listed_fields_are_written() {
    let database = database();
    let mut sink = SinkTest::<SqlSink>::start(config().with("fields.whitelist", "b, c")).unwrap();
    sink.put("t", [TestRecord::json(json!({"a": 1, "b": 2}))])
        .unwrap();
    assert_eq!(database.rows("t")[0].keys().collect::<Vec<_>>(), ["b"]);
    let failure = sink
        .put("t", [TestRecord::json(json!({"a": 1}))])
        .unwrap_err();
    assert!(failure.reason().contains("fields.whitelist"), "{failure}");
}

#[test]
fn null_values_are_errant() {
    let database = database();
    let mut sink = SinkTest::<SqlSink>::start(config()).unwrap();
    let records = [
        TestRecord::tombstone(),
        TestRecord::text("a"),
        TestRecord::tombstone(),
    ];
    let errants = sink.put("t", records).unwrap();
    assert_eq!(
        errants.iter().map(|errant| errant.row).collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(database.rows("t").len(), 1);
    assert_eq!(sink.put("t", [TestRecord::tombstone()]).unwrap().len(), 1);
}

#[test]
fn a_missing_table_is_named_with_advice() {
    database();
    let config = config().with("auto.create", "false");
    let mut sink = SinkTest::<SqlSink>::start(config).unwrap();
    let failure = sink.put("t", [TestRecord::text("a")]).unwrap_err();
    assert_eq!(
        failure.reason(),
        "there is no table t, create it or set auto.create to true"
    );
}

#[test]
fn a_busy_database_is_tried_again_and_a_refusal_is_not() {
    let database = database();
    let mut sink = SinkTest::<SqlSink>::start(config()).unwrap();
    database.fail_next(SqlError::Unavailable("locked".into()));
    let failure = sink.put("t", [TestRecord::text("a")]).unwrap_err();
    assert!(
        failure.is_retriable() && failure.reason().contains("locked"),
        "{failure}"
    );
    // The second put finds the table that the first one made.
    sink.put("t", [TestRecord::text("a")]).unwrap();
    sink.put("t", [TestRecord::text("a")]).unwrap();
    database.fail_next(SqlError::Rejected {
        code: "13".into(),
        message: "full".into(),
    });
    let failure = sink.put("t", [TestRecord::text("a")]).unwrap_err();
    assert!(
        !failure.is_retriable() && failure.reason().contains("write table t"),
        "{failure}"
    );
}

#[test]
fn every_task_is_alike_and_modes_are_checked() {
    assert_eq!(testing::plan::<SqlSink>(config(), 3).unwrap().len(), 3);
    let issues = testing::validate::<SqlSink>(config().with("insert.mode", "upsert"));
    assert_eq!(
        issues[0].message,
        "insert.mode is upsert, expected one of insert"
    );
}
