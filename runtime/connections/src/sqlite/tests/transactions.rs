//! What is there after commits, rollbacks and calls cut off.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::types::Value as Stored;
use tidegate_convert::Value;
use tidegate_sandbox::{LedgerError, SqlConnection, SqlError, SqlSession};
use tokio::time::timeout;

use super::harness::{Files, batch, commit, insert_v, owner, rollback, strings};
use crate::database::Database;

fn count(files: &Files) -> i64 {
    match files.query("SELECT count(*) FROM t").remove(0) {
        Stored::Integer(count) => count,
        other => panic!("{other:?}"),
    }
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, SqlError>) -> bool {
    matches!(answer, Err(SqlError::Unavailable(_)))
}

fn is_rolled_back(answer: &Result<(), LedgerError>) -> bool {
    matches!(
        answer,
        Err(LedgerError::RolledBack(SqlError::Unavailable(_)))
    )
}

#[tokio::test]
async fn commit_survives_and_rollback_leaves_nothing() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    // Nothing was written: nothing happens.
    commit(&session).await.unwrap();
    rollback(&session).await.unwrap();
    files.execute("CREATE TABLE t (v)");
    let write = || connection.write(strings(&["a", "b"]), None, insert_v());
    write().await.unwrap();
    write().await.unwrap();
    assert_eq!(count(&files), 0);
    rollback(&session).await.unwrap();
    assert_eq!(count(&files), 0);
    write().await.unwrap();
    commit(&session).await.unwrap();
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
    commit(&session).await.unwrap();
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
    commit(&session).await.unwrap();
    assert_eq!(count(&files), 1);
}

#[tokio::test]
async fn only_the_ledger_is_written_and_only_in_a_put() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    let same = session.connect("same".into()).await.unwrap();
    let answer = same.write(strings(&["a"]), None, insert_v()).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    for ends in [true, false] {
        session.begin();
        if ends {
            session.commit(Vec::new()).await.unwrap();
        } else {
            session.rollback().await.unwrap();
        }
        let answer = connection.write(strings(&["a"]), None, insert_v()).await;
        assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    }
    assert_eq!(count(&files), 0);
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
    commit(&one).await.unwrap();
    // Whatever the guest makes of that answer: offsets are not stored without the rows.
    let answer = commit(&two).await;
    assert!(is_rolled_back(&answer), "{answer:?}");
    two.rollback().await.unwrap();
    two.begin();
    waiter
        .write(strings(&["b"]), None, insert_v())
        .await
        .unwrap();
    commit(&two).await.unwrap();
    assert_eq!(count(&files), 2);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_nothing() {
    let files = Files::new();
    let database = files.database().await;
    files.execute("CREATE TABLE t (v)");
    {
        let link = database.link().unwrap();
        let db = link.lock();
        let open = None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>;
        db.connection.authorizer(open);
        db.connection
            .query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))
            .unwrap();
    }
    let small = strings(&["a"]);
    database
        .write(Arc::clone(&small), None, insert_v())
        .await
        .unwrap();
    let big = batch(None, vec![Value::Bytes(vec![1; 10_000]); 20]);
    let answer = database.write(Arc::clone(&big), None, insert_v()).await;
    let Err(SqlError::Unavailable(reason)) = &answer else {
        panic!("{answer:?}");
    };
    assert!(
        reason.contains("no space left") && reason.contains("SQLITE_FULL"),
        "{reason}"
    );
    let answer = database.commit(owner(), Vec::new()).await;
    assert!(is_rolled_back(&answer), "{answer:?}");
    assert_eq!(count(&files), 0);
    // As the first write of a put too: its offsets are not stored without it.
    let answer = database.write(big, None, insert_v()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    let answer = database.commit(owner(), Vec::new()).await;
    assert!(is_rolled_back(&answer), "{answer:?}");
    database.rollback().await.unwrap();
    database.write(small, None, insert_v()).await.unwrap();
    database.commit(owner(), Vec::new()).await.unwrap();
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
    assert!(is_rolled_back(&commit(&session).await));
    assert_eq!(count(&files), 0);
    write(&["d"]).await.unwrap();
    commit(&session).await.unwrap();
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
    let write = connection.write(strings(&["b"]), None, insert_v());
    assert!(is_unavailable(&write.await));
    assert!(is_rolled_back(&commit(&session).await));
    assert_eq!(count(&files), 0);
    connection
        .write(strings(&["c"]), None, insert_v())
        .await
        .unwrap();
    commit(&session).await.unwrap();
    assert_eq!(count(&files), 1);

    // Stopped inside a statement that would never end.
    files.execute(
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO t SELECT count(*) FROM \
         (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n); END",
    );
    let write = connection.write(strings(&["d"]), None, insert_v());
    assert!(timeout(Duration::from_millis(50), write).await.is_err());
    rollback(&session).await.unwrap();
    assert_eq!(count(&files), 1);
}
