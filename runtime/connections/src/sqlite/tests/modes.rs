//! What upsert, update, delete and tombstones leave in a table.

use std::sync::Arc;

use rusqlite::types::Value as Stored;
use tidegate_convert::{DecodedColumn, SchemaAndValue, Value};
use tidegate_model::{batch::Headers, columns::ByteColumn};
use tidegate_sandbox::{Errant, SinkBatch, SqlError, SqlValue, ValueSource, Write};

use super::harness::{Files, batch, commit, field, insert};

fn text(text: &str) -> Stored {
    Stored::Text(text.into())
}

fn map(entries: &[(&str, Value)]) -> Value {
    let entry = |(key, value): &(&str, Value)| (Value::String((*key).into()), value.clone());
    Value::Map(entries.iter().map(entry).collect())
}

fn row(id: i8, v: &str) -> Value {
    map(&[("id", Value::Int8(id)), ("v", Value::String(v.into()))])
}

/// Columns `id` and `v` from the fields of these names.
fn how(mode: &str) -> Write {
    Write {
        mode: mode.into(),
        identity: vec!["ID".into()],
        ..insert("t", &[("id", field("id")), ("v", field("v"))])
    }
}

/// What the table `t (id, v)` holds after a put of `rows`.
async fn after(files: &Files, how: Write, rows: Arc<SinkBatch>) -> (Vec<Stored>, Vec<Errant>) {
    let (session, connection) = files.connect().await;
    let errants = connection.write(rows, None, how).await.unwrap();
    commit(&session).await.unwrap();
    let all = "SELECT id || ':' || coalesce(v, 'null') FROM t ORDER BY id";
    (files.query(all), errants)
}

#[tokio::test]
async fn upsert_keeps_the_last_row_of_an_identity() {
    let files = Files::new();
    files.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v, w DEFAULT 'w')");
    files.execute("INSERT INTO t VALUES (1, 'old', 'kept')");
    let rows = batch(
        None,
        vec![
            row(1, "a"),
            row(2, "b"),
            row(1, "c"),
            row(2, "d"),
            row(3, "e"),
        ],
    );
    let (found, errants) = after(&files, how("upsert"), rows).await;
    assert_eq!(found, [text("1:c"), text("2:d"), text("3:e")]);
    assert_eq!(errants, []);
    assert_eq!(files.query("SELECT w FROM t WHERE id = 1"), [text("kept")]);
}

#[tokio::test]
async fn upsert_of_nothing_but_identity_inserts_once() {
    let files = Files::new();
    files.execute("CREATE TABLE t (id, v, UNIQUE (v, id))");
    let upsert = Write {
        identity: vec!["id".into(), "v".into()],
        ..how("upsert")
    };
    let rows = batch(None, vec![row(1, "a"), row(1, "a"), row(1, "b")]);
    let (found, _) = after(&files, upsert, rows).await;
    assert_eq!(found, [text("1:a"), text("1:b")]);
}

#[tokio::test]
async fn upsert_without_an_index_says_how_to_make_one() {
    let files = Files::new();
    files.execute("CREATE TABLE t (id, v)");
    let (_session, connection) = files.connect().await;
    let rows = || batch(None, vec![row(1, "a")]);
    let answer = connection.write(rows(), None, how("upsert")).await;
    let Err(SqlError::Rejected { message, .. }) = &answer else {
        panic!("{answer:?}");
    };
    let (_, statement) = message.split_once("create it with ").unwrap();
    files.execute(statement);
    let answer = connection.write(rows(), None, how("upsert")).await;
    assert_eq!(answer, Ok(vec![]));
}

#[tokio::test]
async fn update_changes_what_is_there() {
    let files = Files::new();
    files.execute("CREATE TABLE t (id, v); INSERT INTO t VALUES (1, 'old'), (2, 'other')");
    let rows = batch(None, vec![row(1, "a"), row(3, "b"), row(1, "c")]);
    let (found, errants) = after(&files, how("update"), rows).await;
    assert_eq!(found, [text("1:c"), text("2:other")]);
    assert_eq!(errants, []);
}

#[tokio::test]
async fn delete_takes_rows_away() {
    let files = Files::new();
    files.execute("CREATE TABLE t (id, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    let rows = batch(None, vec![row(3, "whatever"), row(1, "a"), row(9, "x")]);
    let (found, errants) = after(&files, how("delete"), rows).await;
    assert_eq!(found, [text("2:b")]);
    assert_eq!(errants, []);
}

#[tokio::test]
async fn tombstones_delete_in_their_turn() {
    for mode in ["insert", "upsert", "update"] {
        let files = Files::new();
        files.execute("CREATE TABLE t (id BLOB PRIMARY KEY, v)");
        files.execute("INSERT INTO t VALUES (x'00', 'old'), (x'01', 'old'), (x'04', 'old')");
        // The harness gives row n the key n.
        let values = ["a", "-", "c", "-", "-"].map(|value| match value {
            "-" => Value::Null,
            text => Value::String(text.into()),
        });
        let mut how = Write {
            identity: vec!["id".into()],
            delete_tombstones: true,
            ..insert("t", &[("id", ValueSource::Key), ("v", ValueSource::Value)])
        };
        how.mode = mode.into();
        let (session, connection) = files.connect().await;
        let rows = batch(None, values.to_vec());
        let errants = connection.write(rows, None, how).await.unwrap();
        commit(&session).await.unwrap();
        let (expected, refused): (&[&str], usize) = match mode {
            "insert" => (&["00:old", "02:c"], 1),
            "upsert" => (&["00:a", "02:c"], 0),
            _ => (&["00:a"], 0),
        };
        let found = files.query("SELECT hex(id) || ':' || v FROM t ORDER BY id");
        let expected: Vec<_> = expected.iter().map(|row| text(row)).collect();
        assert_eq!(found, expected, "{mode}");
        assert_eq!(errants.len(), refused, "{mode}: {errants:?}");
    }
}

#[tokio::test]
async fn rows_without_an_identity_are_errant() {
    for mode in ["insert", "upsert", "update", "delete"] {
        let files = Files::new();
        files.execute("CREATE TABLE t (id UNIQUE, v); INSERT INTO t VALUES (NULL, 'there')");
        let nobody = map(&[("v", Value::String("x".into()))]);
        let (_, errants) = after(&files, how(mode), batch(None, vec![nobody])).await;
        let reasons: Vec<_> = errants.iter().map(|e| e.reason.as_str()).collect();
        let expected = ["column \"id\" is null, and rows are told apart by it"];
        assert_eq!(reasons, expected, "{mode}");
        assert_eq!(files.query("SELECT v FROM t"), [text("there")], "{mode}");
    }
}

#[tokio::test]
async fn values_come_from_keys_headers_and_constants_too() {
    let files = Files::new();
    files.execute("CREATE TABLE t (k, nested, h, none, c, at)");
    let inner = map(&[("b", Value::Int8(7))]);
    let key = map(&[("a", Value::Boolean(true)), ("in", inner)]);
    let mut rows = Arc::into_inner(batch(None, vec![Value::Null])).unwrap();
    rows.keys = DecodedColumn::from_rows([SchemaAndValue {
        schema: None,
        value: key,
    }])
    .0;
    let column = |values: &[&str]| {
        let mut column = ByteColumn::with_capacity(values.len(), 0);
        values.iter().for_each(|v| column.push(Some(v.as_bytes())));
        column
    };
    rows.headers = Some(Headers {
        counts: vec![3],
        keys: column(&["h", "n", "h"]),
        values: column(&["1", "null", "22"]),
    });
    let how = insert(
        "t",
        &[
            ("k", ValueSource::KeyField("a".into())),
            ("nested", ValueSource::KeyField("in.b".into())),
            ("h", ValueSource::Header("h".into())),
            ("none", ValueSource::Header("n".into())),
            ("c", ValueSource::Constant(SqlValue::Decimal("1.50".into()))),
            (
                "at",
                ValueSource::Constant(SqlValue::TimestampMicros(1_500_000)),
            ),
        ],
    );
    let (session, connection) = files.connect().await;
    let written = connection.write(Arc::new(rows), None, how).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await.unwrap();
    let all = "SELECT concat_ws('|', k, nested, h, coalesce(none, 'null'), c, at) FROM t";
    assert_eq!(
        files.query(all),
        [text("1|7|22|null|1.50|1970-01-01T00:00:01.500Z")]
    );
}
