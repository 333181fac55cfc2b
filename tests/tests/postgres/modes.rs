//! Insert, upsert, update and delete, with tombstones and repeated identities.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidegate_convert::Value;
use tidegate_sandbox::{SinkBatch, ValueSource, Write};

use super::harness::*;

/// The key into `id`, the value into `v`.
fn by_key(mode: &str, delete_tombstones: bool) -> Write {
    Write {
        delete_tombstones,
        ..how(
            mode,
            &[("id", ValueSource::Key), ("v", ValueSource::Value)],
            &["id"],
        )
    }
}

fn pairs(rows: &[(i64, Option<&str>)]) -> Arc<SinkBatch> {
    let keys = rows.iter().map(|(key, _)| Value::Int64(*key)).collect();
    let values = rows
        .iter()
        .map(|(_, value)| value.map_or(Value::Null, text));
    keyed(keys, None, values.collect())
}

#[tokio::test]
async fn the_last_of_equal_identities_counts() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text, n int DEFAULT 7)");
    database.run_sql("INSERT INTO t VALUES (1, 'old', 1), (4, 'old', 4), (6, 'old', 6)");
    let (session, connection) = database.put().await;
    let rows = [
        (1, Some("a")),
        (2, Some("b")),
        (1, Some("c")),
        (4, Some("d")),
        (3, Some("e")),
        (4, None),
        (3, None),
        (3, Some("f")),
        (5, None),
    ];
    let written = connection
        .write(pairs(&rows), None, by_key("upsert", true))
        .await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await;
    let stored = database.rows("SELECT id, v, n FROM t ORDER BY id");
    assert_eq!(stored, ["1|c|1", "2|b|7", "3|f|7", "6|old|6"]);
}

#[tokio::test]
async fn updates_make_no_rows_and_deletes_need_none() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text)");
    database.run_sql("INSERT INTO t VALUES (1, 'old'), (2, 'old'), (3, 'old')");
    let (session, connection) = database.put().await;
    let rows = pairs(&[(1, Some("a")), (9, Some("b")), (1, Some("c")), (2, None)]);
    let written = connection.write(rows, None, by_key("update", true)).await;
    assert_eq!(written, Ok(vec![]));
    let rows = pairs(&[(3, Some("x")), (3, None), (8, None)]);
    let written = connection.write(rows, None, by_key("delete", false)).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await;
    assert_eq!(database.rows("SELECT id, v FROM t ORDER BY id"), ["1|c"]);
}

#[tokio::test]
async fn inserts_and_tombstones_come_in_order() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text)");
    let (session, connection) = database.put().await;
    let rows = pairs(&[
        (1, Some("a")),
        (2, Some("b")),
        (1, None),
        (1, Some("c")),
        (2, Some("twice")),
        (2, None),
    ]);
    let errants = connection
        .write(rows, None, by_key("insert", true))
        .await
        .unwrap();
    let rows: Vec<_> = errants.iter().map(|errant| errant.row).collect();
    assert_eq!(rows, [4]);
    commit(&session).await;
    assert_eq!(database.rows("SELECT id, v FROM t"), ["1|c"]);
}

#[tokio::test]
async fn rows_without_an_identity_are_errant() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text)");
    let (session, connection) = database.put().await;
    let keys = vec![Value::Int64(1), Value::Null, Value::Int64(2)];
    let batch = keyed(keys, None, vec![text("a"), text("b"), Value::Null]);
    let errants = connection
        .write(batch, None, by_key("upsert", false))
        .await
        .unwrap();
    commit(&session).await;
    assert_eq!(
        database.rows("SELECT id, v FROM t ORDER BY id"),
        ["1|a", "2|"]
    );
    let reasons: Vec<_> = errants.iter().map(|e| (e.row, e.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [(1, "column \"id\": it identifies the row and is null")]
    );
}

/// Only the identity: there is nothing to update.
#[tokio::test]
async fn an_upsert_of_nothing_but_the_identity_keeps_the_row() {
    let database = Database::new();
    database
        .run_sql("CREATE TABLE t (id text PRIMARY KEY, v text); INSERT INTO t VALUES ('a', 'x')");
    let (session, connection) = database.put().await;
    let how = how("upsert", &[("id", ValueSource::Value)], &["id"]);
    let written = connection.write(strings(&["a", "b", "a"]), None, how).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await;
    assert_eq!(
        database.rows("SELECT id, v FROM t ORDER BY id"),
        ["a|x", "b|"]
    );
}

/// Different bytes, one row: the server knows better which identities are equal.
#[tokio::test]
async fn identities_that_only_the_server_finds_equal() {
    for (kind, keys) in [
        ("numeric", ["1", "1.00", "1.0"]),
        ("character(5)", ["a", "a ", "a  "]),
        ("inet", ["::1", "0::1", "::0:1"]),
        ("text COLLATE nocase", ["a", "A", "a"]),
        ("float8", ["0", "-0.0", "0.0"]),
    ] {
        let database = Database::new();
        database.run_sql(
            "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', \
             deterministic = false)",
        );
        database.run_sql(&format!("CREATE TABLE t (id {kind} PRIMARY KEY, v text)"));
        let (session, connection) = database.put().await;
        let batch = |values: [Option<&str>; 3]| {
            let keys = keys.iter().map(|key| text(key)).collect();
            let values = values.iter().map(|value| value.map_or(Value::Null, text));
            keyed(keys, None, values.collect())
        };
        let write = |values, how| connection.write(batch(values), None, how);
        let first = write([Some("a"), Some("b"), Some("c")], by_key("upsert", false)).await;
        assert_eq!(first, Ok(vec![]), "{kind}");
        commit(&session).await;
        assert_eq!(database.rows("SELECT v FROM t"), ["c"], "{kind}");
        for (values, mode, stored) in [
            ([Some("d"), Some("e"), Some("f")], "update", vec!["f"]),
            ([Some("g"), Some("h"), None], "upsert", vec![]),
            ([None, Some("i"), Some("j")], "upsert", vec!["j"]),
            ([Some("k"), None, Some("l")], "upsert", vec!["l"]),
            ([Some("m"), None, None], "update", vec![]),
        ] {
            session.begin();
            let written = write(values, by_key(mode, true)).await;
            assert_eq!(written, Ok(vec![]), "{kind} {values:?}");
            commit(&session).await;
            assert_eq!(
                database.rows("SELECT v FROM t"),
                stored,
                "{kind} {values:?}"
            );
        }
    }
}

/// What a table holds after one row after the other.
fn applied(model: &mut BTreeMap<i64, String>, mode: &str, rows: &[(i64, Option<String>)]) {
    for (key, value) in rows {
        match (mode, value) {
            ("delete", _) | (_, None) => {
                model.remove(key);
            }
            ("update", Some(value)) => {
                model.entry(*key).and_modify(|old| old.clone_from(value));
            }
            (_, Some(value)) => {
                model.insert(*key, value.clone());
            }
        }
    }
}

/// Rows of a put: identity, and a text or a tombstone.
type Changes = Vec<(i64, Option<String>)>;

#[tokio::test(flavor = "multi_thread")]
async fn batches_do_what_their_rows_say_one_after_the_other() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text); CREATE TABLE n (id numeric PRIMARY KEY, v text)",
    );
    let runtime = tokio::runtime::Handle::current();
    let (session, connection) = database.put().await;
    let rows = vec((-3..9_i64, proptest::option::of("[a-c]{1,2}")), 1..40);
    let mode = prop_oneof![Just("upsert"), Just("update"), Just("delete")];
    let mut runner = TestRunner::new(Config::with_cases(60));
    let test = |(first, puts): (Vec<_>, Vec<(&str, Changes)>)| {
        for table in ["t", "n"] {
            database.run_sql(&format!("TRUNCATE {table}"));
            let mut model = BTreeMap::new();
            let puts = std::iter::once(("upsert", first.clone())).chain(puts.clone());
            for (mode, rows) in puts {
                let borrowed: Vec<_> = rows.iter().map(|(k, v)| (*k, v.as_deref())).collect();
                let mut how = by_key(mode, true);
                how.table = table.into();
                session.begin();
                let written = runtime.block_on(connection.write(pairs(&borrowed), None, how));
                prop_assert_eq!(written, Ok(vec![]));
                runtime.block_on(commit(&session));
                applied(&mut model, mode, &rows);
            }
            let stored = database.rows(&format!("SELECT id, v FROM {table} ORDER BY id"));
            let wanted: Vec<_> = model.iter().map(|(k, v)| format!("{k}|{v}")).collect();
            prop_assert_eq!(stored, wanted);
        }
        Ok(())
    };
    let puts = vec((mode, rows.clone()), 0..4);
    tokio::task::block_in_place(|| runner.run(&(rows, puts), test).unwrap());
}
