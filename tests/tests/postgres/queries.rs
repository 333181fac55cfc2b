//! Reading for a guest.

use tidegate_convert::Value;
use tidegate_model::columns::Encoding;
use tidegate_sandbox::{SqlError, SqlValue};
use tidegate_tests::wait::wait_until;

use super::harness::*;

#[tokio::test]
async fn rows_come_as_structs_with_a_schema() {
    let database = Database::new();
    let session = database.session();
    let connection = session.connect(KEY.into()).await.unwrap();
    let statement = "SELECT true AS b, 1::int2 AS i2, 2::int4 AS i4, 3::int8 AS i8, \
        0.5::float4 AS f4, 0.1::float8 AS f8, 1.5::numeric(5,2) AS n, '-0.00012'::numeric AS m, \
        'x'::text AS t, '\\x01ff'::bytea AS y, '123e4567-e89b-12d3-a456-426614174000'::uuid AS u, \
        '{\"a\": 1}'::jsonb AS j, '1969-12-31'::date AS d, '00:00:00.001'::time AS c, \
        '1970-01-01 00:00:00.001+00'::timestamptz AS s, ARRAY[1, NULL] AS a, NULL::text AS z";
    let cursor = connection.query(statement.into(), vec![]).await.unwrap();
    let batch = cursor.next(10).await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
    let json = batch.values.read(Encoding::Json).unwrap();
    assert_eq!(
        std::str::from_utf8(json.data()).unwrap(),
        "{\"b\":true,\"i2\":1,\"i4\":2,\"i8\":3,\"f4\":0.5,\"f8\":0.1,\"n\":\"1.50\",\
         \"m\":\"-0.00012\",\"t\":\"x\",\"y\":\"Af8=\",\
         \"u\":\"123e4567-e89b-12d3-a456-426614174000\",\"j\":\"{\\\"a\\\": 1}\",\
         \"d\":\"1969-12-31\",\"c\":\"00:00:00.001\",\"s\":\"1970-01-01T00:00:00.001Z\",\
         \"a\":[1,null],\"z\":null}"
    );
    let schema = batch.values.schema(0).unwrap();
    let kinds: Vec<_> = schema.fields.iter().map(|f| f.schema.kind_name()).collect();
    assert_eq!(
        kinds.join(" "),
        "boolean int16 int32 int64 float32 float64 Decimal string string bytes string string \
         Date Time Timestamp array string"
    );
    assert!(cursor.next(10).await.unwrap().is_none());
    assert!(cursor.next(10).await.unwrap().is_none());
}

#[tokio::test]
async fn parameters_are_read_in_the_type_they_are_for() {
    let database = Database::new();
    let session = database.session();
    let connection = session.connect(KEY.into()).await.unwrap();
    let statement = "SELECT ($1::bool AND $2::int4 = 2 AND $3::float8 = 0.5 AND $4::numeric = 1.50 \
        AND $5::inet = '::1' AND $6::bytea = '\\x01' \
        AND $7::timestamptz = '1970-01-01 00:00:00.000001+00' AND $8::text IS NULL \
        AND $9::int[] = ARRAY[1, 2]) AS fine";
    let parameters = vec![
        SqlValue::Boolean(true),
        SqlValue::Int64(2),
        SqlValue::Float64(0.5),
        SqlValue::Decimal("1.5".into()),
        SqlValue::Text("0::1".into()),
        SqlValue::Bytes(vec![1]),
        SqlValue::TimestampMicros(1),
        SqlValue::Null,
        SqlValue::Text("{1,2}".into()),
    ];
    let cursor = connection
        .query(statement.into(), parameters)
        .await
        .unwrap();
    let batch = cursor.next(1).await.unwrap().unwrap();
    let Value::Struct(row) = batch.values.value(0).unwrap().into_owned() else {
        panic!();
    };
    assert_eq!(row.get("fine"), Some(&Value::Boolean(true)));
    let answer = connection.query("SELECT $1::int AS a".into(), vec![]).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))));
}

#[tokio::test]
async fn rows_come_in_pieces() {
    let database = Database::new();
    let session = database.session();
    let connection = session.connect(KEY.into()).await.unwrap();
    let statement = "SELECT n FROM generate_series(1, 1700) AS n";
    let cursor = connection.query(statement.into(), vec![]).await.unwrap();
    let mut counts = Vec::new();
    while let Some(batch) = cursor.next(800).await.unwrap() {
        counts.push(batch.len());
    }
    assert_eq!(counts, [800, 800, 100]);
    // A batch is no larger than a few MiB, whatever the guest asks for.
    let statement = "SELECT repeat('x', 10000) AS x FROM generate_series(1, 3000)";
    let cursor = connection.query(statement.into(), vec![]).await.unwrap();
    let first = cursor.next(1_000_000).await.unwrap().unwrap();
    assert!(first.len() < 3_000, "{}", first.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_and_does_nothing_else() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v int); CREATE SEQUENCE s");
    let session = database.session();
    let connection = session.connect(KEY.into()).await.unwrap();
    for (statement, sqlstate) in [
        ("SELECT 1 AS a; DROP TABLE t", "42601"),
        ("SELECT 1 AS a; COMMIT; DROP TABLE t", "42601"),
        ("INSERT INTO t VALUES (1)", "42601"),
        ("COMMIT", "42601"),
        (
            "WITH x AS (INSERT INTO t VALUES (1) RETURNING v) SELECT * FROM x",
            "0A000",
        ),
        ("SELECT v INTO u FROM t", "42601"),
        ("SELECT v FROM t FOR UPDATE", "25006"),
        ("SELECT nextval('s') AS n", "25006"),
        (
            "SELECT set_config('transaction_read_only', 'off', false) AS x",
            "25001",
        ),
        ("SELECT none", "42703"),
        ("SELECT 1/0 AS x", "22012"),
    ] {
        let answer = match connection.query(statement.into(), vec![]).await {
            Ok(cursor) => cursor.next(1).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(sqlstate), "{statement}: {error}");
    }
    for (statement, says) in [
        ("SELECT '::1'::inet AS i", "i::text"),
        ("SELECT 1 AS a, 2 AS a", "AS"),
    ] {
        let answer = connection.query(statement.into(), vec![]).await;
        let Err(SqlError::Denied(reason)) = answer.map(|_| ()) else {
            panic!("{statement}");
        };
        assert!(reason.contains(says), "{reason}");
    }
    let cursor = connection
        .query("SELECT 'infinity'::date AS d".into(), vec![])
        .await
        .unwrap();
    assert!(matches!(
        cursor.next(1).await,
        Err(SqlError::Rejected { .. })
    ));
    // What a statement leaves in its session is gone with it, and so is a cursor that is dropped.
    let leaves = "SELECT set_config('search_path', 'nowhere', false) AS x, pg_advisory_lock(7)::text \
                  FROM generate_series(1, 1000)";
    let cursor = connection.query(leaves.into(), vec![]).await.unwrap();
    cursor.next(1).await.unwrap();
    drop(cursor);
    let locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'";
    let look = || database.rows(locks).is_empty();
    tokio::task::block_in_place(|| wait_until("the lock is gone", LIMIT, look));
    assert!(connection.describe("t".into()).await.unwrap().is_some());
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test]
async fn open_queries_and_their_bytes_are_bounded() {
    let database = Database::new();
    let (_session, connection) = database.put().await;
    let statement = "SELECT g AS a FROM generate_series(1, 10000) AS g";
    let mut cursors = Vec::new();
    let refusal = loop {
        match connection.query(statement.into(), vec![]).await {
            Ok(cursor) => cursors.push(cursor),
            Err(error) => break error,
        }
        assert!(cursors.len() < 16, "no bound");
    };
    assert!(matches!(refusal, SqlError::Denied(_)), "{refusal:?}");
    // Others still get links, and a cursor that is dropped makes room.
    connection.describe("none".into()).await.unwrap();
    cursors.pop();
    let large = "SELECT repeat('x', 1000000) AS a FROM generate_series(1, 500)";
    let cursor = connection.query(large.into(), vec![]).await.unwrap();
    let answer = cursor.next(500).await.map(|_| ());
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
}
