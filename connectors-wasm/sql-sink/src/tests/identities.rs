//! Primary keys, and what they make of records.

use serde_json::{Value, json};
use tidegate_sdk::testing::{Database, TestRecord};

use super::harness::{columns, database, put, rows};

const UPSERT: [(&str, &str); 2] = [("insert.mode", "upsert"), ("pk.mode", "record_key")];

fn primary_key(database: &Database) -> Vec<String> {
    database.table("t").unwrap().primary_key
}

fn of_key(key: Value, name: &str) -> TestRecord {
    TestRecord::json(json!({"name": name})).json_key(key)
}

#[test]
fn kafka_s_position_identifies_a_record() {
    let database = database();
    put(
        &[("pk.mode", "kafka"), ("insert.mode", "upsert")],
        [TestRecord::text("a").partition(2), TestRecord::text("b")],
    );
    assert_eq!(
        columns(&database),
        [
            "__connect_topic TEXT!",
            "__connect_partition INTEGER!",
            "__connect_offset INTEGER!",
            "value TEXT"
        ]
    );
    assert_eq!(primary_key(&database).len(), 3);
    assert_eq!(
        rows(&database),
        [
            r#"{"__connect_offset":0,"__connect_partition":2,"__connect_topic":"t","value":"a"}"#,
            r#"{"__connect_offset":1,"__connect_partition":0,"__connect_topic":"t","value":"b"}"#
        ]
    );
}

#[test]
fn kafka_s_columns_may_have_other_names() {
    let database = database();
    put(
        &[("pk.mode", "kafka"), ("pk.fields", "a,b,c")],
        [TestRecord::text("x")],
    );
    assert_eq!(primary_key(&database), ["a", "b", "c"]);
}

#[test]
fn a_plain_key_fills_one_column() {
    let database = database();
    let records = || {
        [("k", "a"), ("l", "b"), ("k", "c")]
            .map(|(key, name)| TestRecord::json(json!({"name": name})).key(key))
    };
    let more = [UPSERT[0], UPSERT[1], ("pk.fields", "id")];
    put(&more, records());
    assert_eq!(columns(&database), ["id TEXT!", "name TEXT"]);
    assert_eq!(
        rows(&database),
        [r#"{"id":"k","name":"c"}"#, r#"{"id":"l","name":"b"}"#]
    );
    let errants = put(&UPSERT, records());
    assert_eq!(errants.len(), 3);
    assert!(
        errants[0].reason.contains("set it to the one column"),
        "{errants:?}"
    );
}

#[test]
fn the_schema_of_a_key_gives_its_column_type() {
    let database = database();
    let key = |schema: Value| {
        TestRecord::json(json!({"v": 1}))
            .json_key(json!(7))
            .key_schema(&schema)
    };
    let more = [UPSERT[0], UPSERT[1], ("pk.fields", "id")];
    put(&more, [key(json!({"type": "double", "optional": false}))]);
    assert_eq!(columns(&database), ["id REAL!", "v INTEGER"]);
}

#[test]
fn all_fields_of_a_key_or_the_listed_ones_identify_a_row() {
    let database = database();
    let key = |a: i32| json!({"a": a, "b": {"c": "x"}});
    put(&UPSERT, [of_key(json!({"a": 1, "z": true}), "n")]);
    assert_eq!(primary_key(&database), ["a", "z"]);

    let database = super::harness::database();
    let more = [UPSERT[0], UPSERT[1], ("pk.fields", "a,b.c")];
    put(
        &more,
        [
            of_key(key(1), "n"),
            of_key(key(2), "o"),
            of_key(key(1), "p"),
        ],
    );
    assert_eq!(columns(&database), ["a INTEGER!", "b_c TEXT!", "name TEXT"]);
    assert_eq!(
        rows(&database),
        [
            r#"{"a":1,"b_c":"x","name":"p"}"#,
            r#"{"a":2,"b_c":"x","name":"o"}"#
        ]
    );
}

#[test]
fn the_key_s_columns_are_not_taken_from_the_value_again() {
    let database = database();
    let record = TestRecord::json(json!({"id": "from the value", "v": 1}));
    put(&UPSERT, [record.json_key(json!({"id": 7}))]);
    assert_eq!(rows(&database), [r#"{"id":7,"v":1}"#]);
}

#[test]
fn fields_of_the_value_identify_a_row_even_if_not_listed() {
    let database = database();
    let record = |id: i64, v: &str| TestRecord::json(json!({"id": id, "v": v, "w": 1}));
    put(
        &[
            ("insert.mode", "upsert"),
            ("primary.key.mode", "record_value"),
            ("primary.key.fields", "id"),
            ("fields.whitelist", "v"),
        ],
        [record(1, "a"), record(2, "b"), record(1, "c")],
    );
    assert_eq!(
        rows(&database),
        [r#"{"id":1,"v":"c"}"#, r#"{"id":2,"v":"b"}"#]
    );
    let errants = put(&[("pk.mode", "record_value")], [TestRecord::text("plain")]);
    assert!(errants[0].reason.contains("pk.mode"), "{errants:?}");
}

#[test]
fn updates_change_rows_and_make_none() {
    let database = database();
    put(&UPSERT, [of_key(json!({"id": 1}), "old")]);
    let update = [("insert.mode", "update"), UPSERT[1]];
    put(
        &update,
        [
            of_key(json!({"id": 1}), "new"),
            of_key(json!({"id": 2}), "x"),
        ],
    );
    assert_eq!(rows(&database), [r#"{"id":1,"name":"new"}"#]);
}

#[test]
fn tombstones_delete_where_that_is_enabled() {
    let database = database();
    let deletes = [UPSERT[0], UPSERT[1], ("delete.enabled", "true")];
    let gone = |id: i32| TestRecord::tombstone().json_key(json!({"id": id}));
    // There is no table yet: nothing to delete from, and nothing to make.
    assert!(put(&deletes, [gone(1)]).is_empty());
    assert!(database.table("t").is_none());
    let records = [
        of_key(json!({"id": 1}), "a"),
        of_key(json!({"id": 2}), "b"),
        gone(1),
    ];
    assert!(put(&deletes, records).is_empty());
    assert_eq!(rows(&database), [r#"{"id":2,"name":"b"}"#]);
    assert!(put(&deletes, [gone(2)]).is_empty());
    assert!(rows(&database).is_empty());
}

#[test]
fn deletes_need_no_more_than_the_identity() {
    let database = database();
    let ids = [1, 2, 3].map(|id| of_key(json!({"id": id}), "a"));
    put(&UPSERT, ids);
    let delete = [("insert.mode", "delete"), UPSERT[1]];
    let gone = [
        of_key(json!({"id": 1}), "whatever"),
        TestRecord::tombstone().json_key(json!({"id": 3})),
    ];
    assert!(put(&delete, gone).is_empty());
    assert_eq!(rows(&database), [r#"{"id":2,"name":"a"}"#]);
}

#[test]
fn records_without_a_key_are_errant() {
    let database = database();
    let nobody = || TestRecord::json(json!({"name": "x"}));
    let errants = put(&UPSERT, [nobody(), nobody()]);
    assert_eq!(errants.len(), 2);
    assert!(errants[0].reason.contains("has no key"), "{errants:?}");
    let errants = put(&UPSERT, [nobody(), of_key(json!({"id": 1}), "a"), nobody()]);
    let refused: Vec<_> = errants.iter().map(|errant| errant.row).collect();
    assert_eq!(refused, [0, 2]);
    assert_eq!(rows(&database), [r#"{"id":1,"name":"a"}"#]);
}
