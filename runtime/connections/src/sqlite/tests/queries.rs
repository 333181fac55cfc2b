//! What queries answer, and what they do not do.

use std::sync::Arc;

use rusqlite::types::Value as Stored;
use tidegate_convert::{Type, Value};
use tidegate_sandbox::{SinkBatch, SqlConnection, SqlCursor, SqlError, SqlSession, SqlValue};
use tokio::time::{Duration, timeout};

use super::harness::{Files, insert_v, strings};
use crate::sqlite::cursor::MAX_QUERIES;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

/// Only bounds a failure.
const DEADLINE: Duration = Duration::from_secs(30);

async fn query(
    connection: &Arc<dyn SqlConnection>,
    statement: &str,
) -> Result<Arc<dyn SqlCursor>, SqlError> {
    connection.query(statement.into(), Vec::new()).await
}

fn rows(batch: &SinkBatch) -> Vec<Vec<Value>> {
    let row = |row| match batch.values.value(row).unwrap().into_owned() {
        Value::Struct(fields) => fields.values().to_vec(),
        other => panic!("{other:?}"),
    };
    (0..batch.len()).map(row).collect()
}

fn kinds(batch: &SinkBatch) -> Vec<(String, Type)> {
    let fields = &batch.values.schema(0).unwrap().fields;
    let kind = |field: &tidegate_convert::Field| (field.name.clone(), field.schema.kind);
    fields.iter().map(kind).collect()
}

#[tokio::test]
async fn rows_come_as_structs_in_batches() {
    let files = Files::new();
    files.execute(
        "CREATE TABLE t (i, r, t, b, n, mixed); INSERT INTO t VALUES \
         (1, 0.5, 'a', x'00ff', NULL, 1), (2, NULL, 'b', x'', NULL, x'00ff'), \
         (3, 1.5, NULL, NULL, NULL, 2.0)",
    );
    let (_session, connection) = files.connect().await;
    let cursor = query(&connection, "SELECT * FROM t ORDER BY i")
        .await
        .unwrap();
    let first = cursor.next(2).await.unwrap().unwrap();
    let expected = [
        ("i", Type::Int64),
        ("r", Type::Float64),
        ("t", Type::String),
        ("b", Type::Bytes),
        ("n", Type::String),
        ("mixed", Type::String),
    ];
    assert_eq!(
        kinds(&first),
        expected.map(|(name, kind)| (name.into(), kind))
    );
    let text = |text: &str| Value::String(text.into());
    assert_eq!(
        rows(&first),
        [
            vec![
                Value::Int64(1),
                Value::Float64(0.5),
                text("a"),
                Value::Bytes(vec![0, 255]),
                Value::Null,
                text("1"),
            ],
            vec![
                Value::Int64(2),
                Value::Null,
                text("b"),
                Value::Bytes(vec![]),
                Value::Null,
                text("AP8="),
            ],
        ]
    );
    assert_eq!(
        (first.offsets.clone(), first.keys.is_null(0)),
        (vec![0, 1], true)
    );
    let second = cursor.next(2).await.unwrap().unwrap();
    assert_eq!((second.len(), second.offsets.clone()), (1, vec![2]));
    assert_eq!(rows(&second)[0][5], Value::Float64(2.0));
    for _ in 0..2 {
        assert!(cursor.next(2).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn parameters_are_values() {
    let files = Files::new();
    let (_session, connection) = files.connect().await;
    let all = "SELECT ?1 IS NULL AS n, ?2 AS b, ?3 AS i, ?4 AS d, ?5 AS t, hex(?6) AS x, ?7 AS at";
    let parameters = vec![
        SqlValue::Null,
        SqlValue::Boolean(true),
        SqlValue::Int64(-7),
        SqlValue::Decimal("1.50".into()),
        SqlValue::Text("'; --".into()),
        SqlValue::Bytes(vec![255]),
        SqlValue::TimestampMicros(1_000),
    ];
    let cursor = connection
        .query(all.into(), parameters.clone())
        .await
        .unwrap();
    let batch = cursor.next(1).await.unwrap().unwrap();
    let text = |text: &str| Value::String(text.into());
    assert_eq!(
        rows(&batch)[0],
        [
            Value::Int64(1),
            Value::Int64(1),
            Value::Int64(-7),
            text("1.50"),
            text("'; --"),
            text("FF"),
            text("1970-01-01T00:00:00.001Z"),
        ]
    );
    for (statement, parameters) in [
        ("SELECT ?1, ?2", parameters[..1].to_vec()),
        ("SELECT 1", parameters[..1].to_vec()),
        ("SELECT ?1", vec![SqlValue::Float64(f64::NAN)]),
        ("SELECT ?1", vec![SqlValue::Decimal("x".into())]),
    ] {
        let answer = connection.query(statement.into(), parameters).await;
        assert!(matches!(answer, Err(SqlError::Denied(_))), "{statement}");
    }
}

#[tokio::test]
async fn queries_only_read() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v); INSERT INTO t VALUES (1)");
    let (_session, connection) = files.connect().await;
    for statement in [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM t",
        "SELECT 1 AS a, 2 AS a",
        "DELETE FROM t",
        "DELETE FROM t RETURNING v",
        "INSERT INTO t VALUES (2) RETURNING v",
        "UPDATE tidegate_offsets SET next_offset = 1 RETURNING 1",
        "BEGIN",
        "ATTACH 'other.db' AS other",
        "PRAGMA journal_mode = delete",
        "PRAGMA query_only = off",
        "SELECT load_extension('x') AS x",
        "VACUUM INTO 'other.db'",
        "CREATE TABLE u (v)",
        "CREATE TEMP TABLE u (v)",
    ] {
        let answer = query(&connection, statement).await.map(|_| ());
        assert!(
            matches!(answer, Err(SqlError::Denied(_))),
            "{statement}: {answer:?}"
        );
    }
    let answer = query(&connection, "SELECT v FROM missing")
        .await
        .map(|_| ());
    assert!(
        matches!(&answer, Err(SqlError::Rejected { code, .. }) if code == "SQLITE_ERROR"),
        "{answer:?}"
    );
    assert_eq!(files.query("SELECT v FROM t"), [Stored::Integer(1)]);
}

#[tokio::test]
async fn a_query_sees_what_was_committed_when_it_began() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v); INSERT INTO t VALUES ('a'), ('b')");
    let (session, connection) = files.connect().await;
    let written = connection.write(strings(&["mine"]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    let cursor = query(&connection, "SELECT v FROM t").await.unwrap();
    assert_eq!(cursor.next(1).await.unwrap().unwrap().len(), 1);
    session.commit(Vec::new()).await.unwrap();
    let rest = cursor.next(100).await.unwrap().unwrap();
    assert_eq!(rows(&rest), [[Value::String("b".into())]]);
    let cursor = query(&connection, "SELECT v FROM t").await.unwrap();
    assert_eq!(cursor.next(100).await.unwrap().unwrap().len(), 3);
}

#[tokio::test]
async fn a_query_ends_when_it_is_cut_off_or_dropped() {
    let files = Files::new();
    let (_session, connection) = files.connect().await;
    let cursor = query(&connection, &format!("SELECT max(i) AS m FROM ({ENDLESS})"))
        .await
        .unwrap();
    let cut = timeout(Duration::from_millis(20), cursor.next(1)).await;
    assert!(cut.is_err());
    // It is over, and not at its end.
    let answer = timeout(DEADLINE, cursor.next(1)).await.unwrap();
    let answer = answer.map(|_| ());
    assert!(
        matches!(answer, Err(SqlError::Unavailable(_))),
        "{answer:?}"
    );

    let mut cursors = vec![cursor];
    while cursors.len() < MAX_QUERIES {
        cursors.push(query(&connection, ENDLESS).await.unwrap());
    }
    // The first query's thread gives its place back when it has ended.
    let full = async {
        loop {
            match query(&connection, ENDLESS).await {
                Ok(cursor) => cursors.push(cursor),
                Err(SqlError::Denied(reason)) if cursors.len() > MAX_QUERIES => break reason,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let reason = timeout(DEADLINE, full).await.unwrap();
    assert!(reason.contains("drop a cursor"), "{reason}");
    drop(cursors);
    let free = async {
        while query(&connection, "SELECT 1 AS one").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, free).await.unwrap();
}

#[tokio::test]
async fn batches_have_bounds_of_their_own() {
    let files = Files::new();
    let (_session, connection) = files.connect().await;
    let cursor = query(&connection, ENDLESS).await.unwrap();
    let many = cursor.next(u32::MAX).await.unwrap().unwrap();
    assert_eq!(many.len(), 10_000);
    assert!(matches!(cursor.next(0).await, Err(SqlError::Denied(_))));
    let long = format!("SELECT zeroblob(5000000) AS b FROM ({ENDLESS})");
    let cursor = query(&connection, &long).await.unwrap();
    assert_eq!(cursor.next(u32::MAX).await.unwrap().unwrap().len(), 2);
}
