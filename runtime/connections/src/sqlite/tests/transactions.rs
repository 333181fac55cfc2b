//! What is there after commits, rollbacks and calls cut off.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::types::Value as Stored;
use tidegate_convert::{Field, Schema, Side, Struct, Type, Value, converter};
use tidegate_model::columns::ByteColumn;
use tidegate_sandbox::{SinkBatch, SqlError, SqlSession};
use tokio::time::timeout;

use super::harness::{Files, batch, field, insert, insert_v, strings};

fn count(files: &Files) -> i64 {
    match files.query("SELECT count(*) FROM t").remove(0) {
        Stored::Integer(count) => count,
        other => panic!("{other:?}"),
    }
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, SqlError>) -> bool {
    matches!(answer, Err(SqlError::Unavailable(_)))
}

#[tokio::test]
async fn commit_survives_and_rollback_leaves_nothing() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    // Nothing was written: nothing happens.
    session.commit().await.unwrap();
    session.rollback().await.unwrap();
    files.execute("CREATE TABLE t (v)");
    let write = || connection.write(strings(&["a", "b"]), None, insert_v());
    write().await.unwrap();
    write().await.unwrap();
    assert_eq!(count(&files), 0);
    session.rollback().await.unwrap();
    assert_eq!(count(&files), 0);
    write().await.unwrap();
    session.commit().await.unwrap();
    assert_eq!(count(&files), 2);
    write().await.unwrap();
    drop(session);
    // The connection outlives the session but not its transaction.
    let answer = write().await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    drop(connection);

    let (session, connection) = files.connect().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_unavailable(&connection.write(strings(&["c"]), None, insert_v()).await) {
        assert!(Instant::now() < deadline);
    }
    session.commit().await.unwrap();
    assert_eq!(count(&files), 3);
}

#[tokio::test]
async fn a_failed_call_leaves_the_earlier_ones() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    let write = |how| connection.write(strings(&["a"]), None, how);
    write(insert_v()).await.unwrap();
    let mut other = insert_v();
    other.columns[0].0 = "none".into();
    let answer = write(other).await;
    assert!(
        matches!(answer, Err(SqlError::Rejected { .. })),
        "{answer:?}"
    );
    session.commit().await.unwrap();
    assert_eq!(count(&files), 1);
}

#[tokio::test]
async fn two_keys_of_one_file_share_the_transaction() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    let same = session.connect("same".into()).await.unwrap();
    for connection in [&connection, &same] {
        let written = connection.write(strings(&["a"]), None, insert_v()).await;
        assert_eq!(written, Ok(vec![]));
    }
    session.commit().await.unwrap();
    assert_eq!(count(&files), 2);
}

#[tokio::test]
async fn another_writer_makes_it_unavailable() {
    let files = Files::new();
    let (one, writer) = files.connect().await;
    let (two, waiter) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    writer
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    let began = Instant::now();
    let answer = waiter.write(strings(&["b"]), None, insert_v()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    one.commit().await.unwrap();
    waiter
        .write(strings(&["b"]), None, insert_v())
        .await
        .unwrap();
    two.commit().await.unwrap();
    assert_eq!(count(&files), 2);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_nothing() {
    let files = Files::new();
    let (shared, session) = files.session();
    let connection = session.connect("url".into()).await.unwrap();
    files.execute("CREATE TABLE t (v)");
    {
        let link = shared.links().remove(0);
        let db = link.lock();
        let open = None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>;
        db.connection.authorizer(open);
        db.connection
            .query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))
            .unwrap();
    }
    let small = strings(&["a"]);
    connection
        .write(Arc::clone(&small), None, insert_v())
        .await
        .unwrap();
    let big = batch(None, vec![Value::Bytes(vec![1; 10_000]); 20]);
    let answer = connection.write(Arc::clone(&big), None, insert_v()).await;
    let Err(SqlError::Unavailable(reason)) = &answer else {
        panic!("{answer:?}");
    };
    assert!(
        reason.contains("no space left") && reason.contains("SQLITE_FULL"),
        "{reason}"
    );
    let answer = session.commit().await;
    assert!(is_unavailable(&answer), "{answer:?}");
    session.rollback().await.unwrap();
    assert_eq!(count(&files), 0);
    // As the first write of a put: nothing to lose, so nothing is doomed.
    let answer = connection.write(big, None, insert_v()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    connection.write(small, None, insert_v()).await.unwrap();
    session.commit().await.unwrap();
    assert_eq!(count(&files), 1);
}

#[tokio::test]
async fn a_table_that_rolls_back_loses_the_whole_put() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v UNIQUE ON CONFLICT ROLLBACK)");
    let write = |values| connection.write(strings(values), None, insert_v());
    write(&["a"]).await.unwrap();
    let answer = write(&["b", "a", "c"]).await;
    assert!(
        matches!(answer, Err(SqlError::Rejected { .. })),
        "{answer:?}"
    );
    assert!(is_unavailable(&write(&["d"]).await));
    assert!(is_unavailable(&session.commit().await));
    session.rollback().await.unwrap();
    assert_eq!(count(&files), 0);
    write(&["d"]).await.unwrap();
    session.commit().await.unwrap();
    assert_eq!(count(&files), 1);
}

#[tokio::test]
async fn a_call_cut_off_dooms_the_put() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    // Stopped between rows.
    let rows = batch(None, vec![Value::Int64(1); 2_000_000]);
    let write = connection.write(rows, None, insert_v());
    assert!(timeout(Duration::from_millis(50), write).await.is_err());
    assert!(is_unavailable(&session.commit().await));
    let write = connection.write(strings(&["b"]), None, insert_v());
    assert!(is_unavailable(&write.await));
    session.rollback().await.unwrap();
    assert_eq!(count(&files), 0);
    connection
        .write(strings(&["c"]), None, insert_v())
        .await
        .unwrap();
    session.commit().await.unwrap();
    assert_eq!(count(&files), 1);

    // Stopped inside a statement that would never end.
    files.execute(
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO t SELECT count(*) FROM \
         (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n); END",
    );
    let write = connection.write(strings(&["d"]), None, insert_v());
    assert!(timeout(Duration::from_millis(50), write).await.is_err());
    session.rollback().await.unwrap();
    assert_eq!(count(&files), 1);
}

/// Figures for people: `cargo test --release -- --ignored --nocapture speed`.
#[tokio::test]
#[ignore = "a measurement"]
async fn speed() {
    let columns = ["id", "name", "price"];
    let fields = [Type::Int64, Type::String, Type::Float64];
    let fields = columns.iter().zip(fields).map(|(name, kind)| Field {
        name: (*name).to_owned(),
        schema: Arc::new(Schema::new(kind)),
    });
    let schema = Arc::new(Schema::structure(fields.collect()));
    let row = |id: i64| {
        let name = Value::String(format!("name of {id}"));
        let values = vec![Value::Int64(id), name, Value::Float64(id as f64 / 3.0)];
        Value::Struct(Struct::new(Arc::clone(&schema), values))
    };
    let structs = |from: i64| {
        let rows = (from..from + 2000).map(row).collect();
        batch(Some(Arc::clone(&schema)), rows)
    };
    let plain = BTreeMap::from([("schemas.enable".to_owned(), "false".to_owned())]);
    let class = "org.apache.kafka.connect.json.JsonConverter";
    let converter = converter(class, &plain, Side::Value).unwrap();
    let json = |from: i64| {
        let mut texts = ByteColumn::default();
        for id in from..from + 2000 {
            let price = id as f64 / 3.0;
            let text = format!(r#"{{"id":{id},"name":"name of {id}","price":{price:?}}}"#);
            texts.push(Some(text.as_bytes()));
        }
        let mut batch = Arc::into_inner(structs(from)).unwrap();
        batch.values = converter.decode_column(texts).0;
        Arc::new(batch)
    };
    for (form, batch) in [
        ("structs", &structs as &dyn Fn(i64) -> Arc<SinkBatch>),
        ("schemaless JSON", &json),
    ] {
        let files = Files::new();
        let (session, connection) = files.connect().await;
        files.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL)");
        let puts: Vec<_> = (0..50).map(|put| batch(put * 2000)).collect();
        let how = insert("t", &columns.map(|name| (name, field(name))));
        let began = Instant::now();
        for put in puts {
            let written = connection.write(put, None, how.clone()).await;
            assert_eq!(written, Ok(vec![]));
            session.commit().await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{form}: {:.0} rows/s", 100_000.0 / seconds);
        assert_eq!(count(&files), 100_000);
    }
}
