//! A database in a test does what the host's do.

// A helper of tests is a test too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::cell::RefCell;

use serde_json::{Value, json};
use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::{Column, Connection, SqlError, SqlValue, Table, ValueSource, Write};
use tidegate_sdk::testing::{Database, SinkTest, TestRecord};

#[derive(ConnectorConfig)]
struct Config;

/// Writes every batch as the test says.
struct Writer(Connection);

thread_local! {
    static HOW: RefCell<Option<Write>> = const { RefCell::new(None) };
}

impl Connector for Writer {
    type Config = Config;

    fn describe() -> Description {
        Description::new("writer", "1.0.0").uses_connection("url")
    }
}

impl SinkTask for Writer {
    fn start(_: Config, _: &TaskContext) -> Result<Self> {
        Ok(Self(Connection::open("url")?))
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let how = HOW.with_borrow(Clone::clone).unwrap();
        Ok(self.0.write(batch, &how)?)
    }
}

fn database(key: &[&str]) -> Database {
    let database = Database::install("url", "sqlite");
    let column = |name: &str| Column {
        name: name.into(),
        kind: "TEXT".into(),
        nullable: true,
    };
    let table = Table {
        columns: ["id", "v"].map(column).into(),
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
    };
    database.create("t", table);
    database
}

fn how(mode: &str) -> Write {
    Write {
        table: "t".into(),
        mode: mode.into(),
        columns: vec![
            ("id".into(), ValueSource::KeyField("id".into())),
            ("v".into(), ValueSource::Value),
        ],
        identity: vec!["id".into()],
        delete_tombstones: false,
    }
}

fn put(how: Write, records: &[(i64, Option<&str>)]) -> Result<Vec<Errant>> {
    HOW.set(Some(how));
    let record = |(id, value): &(i64, Option<&str>)| {
        let record = value.map_or_else(TestRecord::tombstone, TestRecord::text);
        record.json_key(json!({"id": id}))
    };
    SinkTest::<Writer>::start(RawConfig::default())?.put("topic", records.iter().map(record))
}

fn values(database: &Database) -> Vec<(Value, Value)> {
    let rows = database.rows("t").into_iter();
    rows.map(|row| (row["id"].clone(), row["v"].clone()))
        .collect()
}

#[test]
fn modes_change_rows_of_equal_identity() {
    let database = database(&["id"]);
    let records = [(1, Some("a")), (2, Some("b")), (1, Some("c"))];
    let errants = put(how("insert"), &records).unwrap();
    assert_eq!((errants.len(), errants[0].row), (1, 2));
    put(how("upsert"), &[(2, Some("d")), (3, Some("e"))]).unwrap();
    put(how("update"), &[(3, Some("f")), (4, Some("g"))]).unwrap();
    put(how("delete"), &[(1, Some("whatever"))]).unwrap();
    assert_eq!(
        values(&database),
        [(json!(2), json!("d")), (json!(3), json!("f"))]
    );
    assert_eq!(database.writes(), 4);
}

#[test]
fn tombstones_delete_if_told_so() {
    let database = database(&["id"]);
    put(how("upsert"), &[(1, Some("a")), (2, None)]).unwrap();
    assert_eq!(
        values(&database),
        [(json!(1), json!("a")), (json!(2), Value::Null)]
    );
    let deletes = Write {
        delete_tombstones: true,
        ..how("upsert")
    };
    put(deletes, &[(1, None), (3, Some("c"))]).unwrap();
    assert_eq!(
        values(&database),
        [(json!(2), Value::Null), (json!(3), json!("c"))]
    );
}

#[test]
fn what_a_host_refuses_is_refused() {
    let database = database(&[]);
    let of = |identity: &[&str], mode: &str| Write {
        identity: identity.iter().map(|name| (*name).to_owned()).collect(),
        ..how(mode)
    };
    for wrong in [
        of(&[], "upsert"),
        of(&[], "delete"),
        of(&["other"], "insert"),
        of(&["id"], "merge"),
        of(&["id", "v"], "update"),
        // There is no unique index.
        of(&["id"], "upsert"),
    ] {
        assert!(put(wrong.clone(), &[(1, Some("a"))]).is_err(), "{wrong:?}");
    }
    HOW.set(Some(how("insert")));
    let mut sink = SinkTest::<Writer>::start(RawConfig::default()).unwrap();
    let keys = [
        TestRecord::text("a").json_key(json!({})),
        TestRecord::text("b").key("k"),
    ];
    let errants = sink.put("topic", keys).unwrap();
    assert_eq!(errants.len(), 2);
    assert!(
        errants[0].reason.contains("column id is null"),
        "{errants:?}"
    );
    assert_eq!(database.rows("t").len(), 0);
}

#[test]
fn values_come_from_all_parts_of_a_record() {
    let database = database(&[]);
    let columns = vec![
        ("id".into(), ValueSource::Header("h".into())),
        ("v".into(), ValueSource::Constant(SqlValue::Int64(7))),
    ];
    HOW.set(Some(Write {
        columns,
        identity: Vec::new(),
        ..how("insert")
    }));
    let mut sink = SinkTest::<Writer>::start(RawConfig::default()).unwrap();
    let record = TestRecord::text("a").header("h", b"1").header("h", b"2");
    sink.put("topic", [record]).unwrap();
    assert_eq!(values(&database), [(json!("2"), json!(7))]);
}

#[test]
fn queries_answer_in_batches() {
    let database = database(&[]);
    let connection = Connection::open("url").unwrap();
    let row = |id: i64| json!({"id": id});
    database.answer("SELECT id FROM t", (0..5).map(row));
    let cursor = connection.query("SELECT id FROM t", &[]).unwrap();
    let mut found = Vec::new();
    for batch in cursor.batches(2) {
        let rows = batch.unwrap().values_json().unwrap();
        found.push(
            rows.iter()
                .map(|row| row.value_as().unwrap())
                .collect::<Vec<Value>>(),
        );
    }
    let expected = [vec![row(0), row(1)], vec![row(2), row(3)], vec![row(4)]];
    assert_eq!(found, expected);
    let unknown = connection.query("SELECT 1", &[]).map(drop);
    assert!(
        matches!(unknown, Err(SqlError::Rejected { .. })),
        "{unknown:?}"
    );
}
