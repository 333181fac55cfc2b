//! What of a record goes to which column.

use serde_json::json;
use tidegate_sdk::testing::TestRecord;

use super::harness::{columns, database, put, rows, sink};

#[test]
fn structured_values_become_rows_of_a_created_table() {
    let database = database();
    let mut sink = sink(&[("auto.evolve", "true")]);
    let records = [
        json!({"id": 1, "name": "a"}),
        json!({"id": 2, "price": 1.5}),
    ];
    let errants = sink.put("t", records.map(TestRecord::json)).unwrap();
    assert!(errants.is_empty());
    assert_eq!(
        columns(&database),
        ["id INTEGER", "name TEXT", "price REAL"]
    );
    assert_eq!(
        rows(&database),
        [r#"{"id":1,"name":"a"}"#, r#"{"id":2,"price":1.5}"#]
    );
    assert_eq!(sink.flush().unwrap().durable[0].next_offset, 2);
}

#[test]
fn plain_values_fill_one_column() {
    let database = database();
    let mut sink = sink(&[("table.name.format", "raw_${topic}")]);
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
    for key in ["fields.whitelist", "field.include.list"] {
        put(
            &[(key, "b, c")],
            [TestRecord::json(json!({"a": 1, "b": 2}))],
        );
    }
    assert_eq!(rows(&database), [r#"{"b":2}"#, r#"{"b":2}"#]);
    let errants = put(
        &[("fields.whitelist", "b, c")],
        [TestRecord::json(json!({"a": 1}))],
    );
    assert!(
        errants[0].reason.contains("fields.whitelist"),
        "{errants:?}"
    );
}

#[test]
fn fields_of_fields_have_columns_too() {
    let database = database();
    let record = json!({
        "name": "n",
        "address": {"city": "c", "geo": {"lat": 1.5}, "zip": 7},
        "address.flat": true,
    });
    put(
        &[(
            "fields.whitelist",
            "name,address.city,address.geo.lat,address.geo.none,address.flat",
        )],
        [TestRecord::json(record)],
    );
    assert_eq!(
        rows(&database),
        [r#"{"address.flat":true,"address_city":"c","address_geo_lat":1.5,"name":"n"}"#]
    );
    let mut found = columns(&database);
    found.sort();
    assert_eq!(
        found,
        [
            "address.flat INTEGER",
            "address_city TEXT",
            "address_geo_lat REAL",
            "name TEXT"
        ]
    );
}

#[test]
fn null_values_are_errant() {
    let database = database();
    let mut sink = sink(&[]);
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
    assert!(
        errants[0].reason.starts_with("a null value "),
        "{errants:?}"
    );
    assert_eq!(rows(&database), [r#"{"value":"a"}"#]);
    assert_eq!(sink.put("t", [TestRecord::tombstone()]).unwrap().len(), 1);
}

#[test]
fn a_put_is_one_write_if_batch_size_allows() {
    let database = database();
    let records = || (0..7).map(|n| TestRecord::json(json!({"n": n})));
    put(&[], records());
    assert_eq!(database.writes(), 1);
    put(&[("batch.size", "3")], records());
    assert_eq!(database.writes(), 1 + 3);
    let order: Vec<_> = database
        .rows("t")
        .iter()
        .map(|row| row["n"].clone())
        .collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6]);
}
