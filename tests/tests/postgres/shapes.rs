//! Records that do not have all the fields that are written.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_convert::Value;
use tidegate_sandbox::{SinkBatch, Write};

use super::harness::*;

const NOBODY: [u32; 0] = [];

/// One record: key, and the fields that it has; no fields: a tombstone.
type Record = (i64, Option<Vec<(&'static str, Option<i64>)>>);

fn records(records: &[Record]) -> Arc<SinkBatch> {
    let keys = records.iter().map(|(key, _)| Value::Int64(*key)).collect();
    let value = |(_, fields): &Record| match fields {
        None => Value::Null,
        Some(fields) => {
            let field = |(name, value): &(&str, Option<i64>)| {
                (text(name), value.map_or(Value::Null, Value::Int64))
            };
            Value::Map(fields.iter().map(field).collect())
        }
    };
    keyed(keys, None, records.iter().map(value).collect())
}

fn write(mode: &str) -> Write {
    let columns = [
        ("id", tidegate_sandbox::ValueSource::Key),
        ("a", field("a")),
        ("b", field("b")),
    ];
    Write {
        delete_tombstones: mode != "insert",
        ..how(mode, &columns, if mode == "insert" { &[] } else { &["id"] })
    }
}

async fn put(database: &Database, mode: &str, all: &[Record]) -> Vec<u32> {
    let (session, connection) = database.put().await;
    let errants = connection.write(records(all), None, write(mode)).await;
    commit(&session).await;
    errants.unwrap().iter().map(|errant| errant.row).collect()
}

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a int DEFAULT 7, b int, c int)";

#[tokio::test]
async fn what_a_record_does_not_have_stays_as_it_is() {
    for mode in ["upsert", "update"] {
        let database = Database::new();
        database.run_sql(TABLE);
        database.run_sql("INSERT INTO t VALUES (1, 1, 2), (2, 1, 2), (3, 1, 2)");
        let all = [
            (1, Some(vec![("a", Some(5))])),
            (2, Some(vec![("b", Some(7))])),
            (3, Some(vec![("a", Some(6))])),
            (3, Some(vec![("b", None)])),
        ];
        assert_eq!(put(&database, mode, &all).await, NOBODY);
        let stored = database.rows("SELECT id, a, b FROM t ORDER BY id");
        assert_eq!(stored, ["1|5|2", "2|1|7", "3|6|"], "{mode}");
    }
}

#[tokio::test]
async fn new_rows_take_the_defaults_of_what_is_not_there() {
    for mode in ["insert", "upsert"] {
        let database = Database::new();
        database.run_sql(TABLE);
        let all = [
            (1, Some(vec![("b", Some(1))])),
            (2, Some(vec![("a", Some(5)), ("b", Some(2))])),
            (3, Some(vec![("a", None)])),
        ];
        assert_eq!(put(&database, mode, &all).await, NOBODY);
        let stored = database.rows("SELECT id, a, b FROM t ORDER BY id");
        assert_eq!(stored, ["1|7|1", "2|5|2", "3||"], "{mode}");
    }
}

#[tokio::test]
async fn a_deletion_between_them_counts() {
    let database = Database::new();
    database.run_sql(TABLE);
    database.run_sql("INSERT INTO t VALUES (1, 1, 2, 3), (2, 1, 2, 3)");
    let all = [
        (1, Some(vec![("a", Some(5))])),
        (1, None),
        (1, Some(vec![("b", Some(6))])),
        (2, None),
        (2, Some(vec![("a", Some(8)), ("b", Some(9))])),
    ];
    assert_eq!(put(&database, "upsert", &all).await, NOBODY);
    let stored = database.rows("SELECT id, a, b, c FROM t ORDER BY id");
    assert_eq!(stored, ["1|7|6|", "2|8|9|"]);
}

#[tokio::test]
async fn a_record_with_nothing_to_change_is_errant() {
    let database = Database::new();
    database.run_sql(TABLE);
    database.run_sql("INSERT INTO t VALUES (1, 1, 2), (2, 1, 2)");
    let all = [
        (1, Some(vec![("c", Some(5))])),
        (2, Some(vec![("a", Some(5))])),
    ];
    assert_eq!(put(&database, "update", &all).await, [0]);
    assert_eq!(put(&database, "upsert", &all).await, NOBODY);
    let stored = database.rows("SELECT id, a, b, c FROM t ORDER BY id");
    assert_eq!(stored, ["1|1|2|", "2|5|2|"]);
}

fn record() -> impl Strategy<Value = Record> {
    let field = |name: &'static str| {
        prop_oneof![
            3 => (0..3_i64).prop_map(move |value| Some((name, Some(value)))),
            1 => Just(Some((name, None))),
            3 => Just(None),
        ]
    };
    let value = (field("a"), field("b"))
        .prop_map(|(a, b)| [a, b].into_iter().flatten().collect::<Vec<_>>());
    let value = prop_oneof![6 => value.prop_map(Some), 1 => Just(None)];
    (0..4_i64, value)
}

#[test]
fn where_writes_end_does_not_matter() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = Database::new();
    // Whatever is refused is so whoever else is there: checks of the row alone, and the key.
    database.run_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, a int DEFAULT 7 CHECK (a <> 2), \
         b int CHECK (b <> 1), c int DEFAULT 3)",
    );
    let after = |mode: &str, all: &[Record], ends: &[bool]| {
        runtime.block_on(async {
            database.run_sql("DELETE FROM t; INSERT INTO t VALUES (1, 1, 2, 4), (2, 0, 0, 5)");
            let (session, connection) = database.put().await;
            let (mut start, mut refused) = (0, Vec::new());
            for end in 1..=all.len() {
                if end < all.len() && !ends[end % ends.len()] {
                    continue;
                }
                let rows = records(&all[start..end]);
                let errants = connection.write(rows, None, write(mode)).await.unwrap();
                refused.extend(errants.iter().map(|errant| start + errant.row as usize));
                start = end;
            }
            commit(&session).await;
            let stored = database.rows("SELECT id, a, b, c FROM t ORDER BY id, a, b");
            (stored, refused)
        })
    };
    let mut runner = TestRunner::new(Config::with_cases(100));
    let cases = (
        prop_oneof![Just("upsert"), Just("update")],
        vec(record(), 1..12),
        vec(any::<bool>(), 1..6),
    );
    let tried = runner.run(&cases, |(mode, all, ends)| {
        let alone = after(mode, &all, &[true]);
        let together = after(mode, &all, &[false]);
        prop_assert_eq!(&together.0, &alone.0);
        prop_assert_eq!(&after(mode, &all, &ends).0, &alone.0);
        Ok(())
    });
    tried.unwrap();
}
