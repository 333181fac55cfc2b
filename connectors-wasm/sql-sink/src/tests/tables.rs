//! Tables that are created and that get columns.

use serde_json::{Value, json};
use tidegate_sdk::sql::{Column, Table};
use tidegate_sdk::testing::{Database, TestRecord};

use super::harness::{columns, database, put, rows, sink};

fn typed(field: Value) -> Value {
    json!({"type": "struct", "fields": [field]})
}

#[test]
fn schemas_give_postgresql_its_types() {
    let logical = |name: &str| {
        json!({
            "field": "v",
            "type": "int64",
            "name": format!("org.apache.kafka.connect.data.{name}"),
            "optional": true,
        })
    };
    let plain = |kind: &str| json!({"field": "v", "type": kind, "optional": false});
    let array = json!({"field": "v", "type": "array", "items": {"type": "int32"}});
    for (field, expected) in [
        (plain("boolean"), "v boolean!"),
        (plain("int16"), "v smallint!"),
        (plain("int64"), "v bigint!"),
        (plain("double"), "v double precision!"),
        (plain("bytes"), "v bytea!"),
        (logical("Decimal"), "v numeric"),
        (logical("Timestamp"), "v timestamp with time zone"),
        (array, "v integer[]!"),
    ] {
        let database = Database::install("connection.url", "postgresql");
        let record = TestRecord::json(json!({"v": null})).value_schema(&typed(field));
        put(&[], [record]);
        assert_eq!(columns(&database), [expected]);
    }
}

#[test]
fn schemas_tell_the_types_of_fields_of_fields() {
    let database = Database::install("connection.url", "postgresql");
    let inner = json!({"field": "at", "type": "int64", "optional": true,
        "name": "org.apache.kafka.connect.data.Timestamp"});
    let schema = typed(json!({"field": "a", "type": "struct", "fields": [inner]}));
    let record = TestRecord::json(json!({"a": {"at": "1970-01-01T00:00:00.000Z"}}));
    put(
        &[("fields.whitelist", "a.at")],
        [record.value_schema(&schema)],
    );
    assert_eq!(columns(&database), ["a_at timestamp with time zone"]);
}

#[test]
fn tables_get_columns_where_that_is_allowed() {
    let database = database();
    put(&[], [TestRecord::json(json!({"a": 1}))]);
    let more = || [TestRecord::json(json!({"a": 2, "b": "x"}))];
    let errants = put(&[], more());
    assert_eq!(
        errants[0].reason,
        "table t lacks b: add them, set auto.evolve to true, or list in fields.whitelist what \
         shall be written"
    );
    for evolves in [("auto.evolve", "true"), ("schema.evolution", "basic")] {
        put(&[evolves], more());
        assert_eq!(columns(&database), ["a INTEGER", "b TEXT"]);
    }
    assert_eq!(rows(&database).len(), 3);
}

#[test]
fn added_columns_take_null() {
    let database = database();
    put(&[], [TestRecord::json(json!({"a": 1}))]);
    let fields = json!([
        {"field": "a", "type": "int64", "optional": false},
        {"field": "b", "type": "int64", "optional": false},
    ]);
    let schema = json!({"type": "struct", "fields": fields});
    let record = TestRecord::json(json!({"a": 1, "b": 2})).value_schema(&schema);
    put(&[("auto.evolve", "true")], [record]);
    assert_eq!(columns(&database), ["a INTEGER", "b INTEGER"]);
}

#[test]
fn a_running_task_sees_columns_that_others_add() {
    let database = database();
    let mut sink = sink(&[]);
    for _ in 0..2 {
        sink.put("t", [TestRecord::json(json!({"a": 1}))]).unwrap();
    }
    let mut table = database.table("t").unwrap();
    table.columns.push(Column {
        name: "B".into(),
        kind: "TEXT".into(),
        nullable: true,
    });
    database.create("t", table);
    let record = || [TestRecord::json(json!({"a": 1, "B": "x"}))];
    sink.put("t", record()).unwrap();
    assert_eq!(rows(&database), [r#"{"B":"x","a":1}"#]);
}

#[test]
fn names_of_columns_have_cases_in_postgresql() {
    for (dialect, is_same) in [("sqlite", true), ("postgresql", false)] {
        let database = Database::install("connection.url", dialect);
        let column = Column {
            name: "A".into(),
            kind: "bigint".into(),
            nullable: true,
        };
        let table = Table {
            columns: vec![column],
            primary_key: Vec::new(),
        };
        database.create("t", table);
        let done = sink(&[]).put("t", [TestRecord::json(json!({"a": 1}))]);
        match (is_same, done) {
            // The harness itself knows names with cases only.
            (true, Err(failure)) => assert!(failure.reason().contains("has no column a")),
            (false, Ok(errants)) => assert!(errants[0].reason.contains("lacks a"), "{errants:?}"),
            (_, other) => panic!("{dialect}: {other:?}"),
        }
    }
}

#[test]
fn a_missing_table_is_named_with_advice() {
    database();
    let failure = sink(&[("auto.create", "false")])
        .put("t", [TestRecord::text("a")])
        .unwrap_err();
    assert_eq!(
        failure.reason(),
        "there is no table t, create it or set auto.create to true"
    );
}

#[test]
fn identity_is_not_added_to_a_table() {
    let database = database();
    put(&[], [TestRecord::json(json!({"a": 1}))]);
    let more = [
        ("auto.evolve", "true"),
        ("insert.mode", "upsert"),
        ("pk.mode", "kafka"),
    ];
    let failure = sink(&more)
        .put("t", [TestRecord::json(json!({"a": 1}))])
        .unwrap_err();
    assert!(failure.reason().contains("by hand"), "{failure}");
    assert_eq!(columns(&database), ["a INTEGER"]);
}
