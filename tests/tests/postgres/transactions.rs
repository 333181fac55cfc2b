//! What is stored when, and what is not.

use std::sync::Arc;

use tidegate_connections::session;
use tidegate_sandbox::{LedgerError, SqlError, SqlValue, ValueSource};
use tidegate_tests::{postgres::Postgres, wait::wait_until};

use super::harness::*;

#[tokio::test]
async fn rows_and_offsets_are_stored_together() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text)");
    let (session, connection) = database.put().await;
    let written = connection
        .write(strings(&["a", "b"]), None, insert_v())
        .await;
    assert_eq!(written, Ok(vec![]));
    assert_eq!(database.rows("SELECT v FROM t"), Vec::<String>::new());
    session.commit(vec![(at(3), 102)]).await.unwrap();
    assert_eq!(database.rows("SELECT v FROM t ORDER BY v"), ["a", "b"]);
    assert_eq!(database.stored(), ["102"]);

    session.begin();
    connection
        .write(strings(&["c"]), None, insert_v())
        .await
        .unwrap();
    session.rollback().await.unwrap();
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(database.stored(), ["102"]);

    let answer = connection.write(strings(&["d"]), None, insert_v()).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
}

#[tokio::test]
async fn a_session_that_opens_later_shuts_the_first_one_out() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text)");
    let (one, connection) = database.put().await;
    let (two, _) = database.put().await;
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    let answer = one.commit(vec![(at(3), 101)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["0"]);
    assert_eq!(database.stored(), [""]);
    two.commit(vec![(at(3), 7)]).await.unwrap();
    assert_eq!(database.stored(), ["7"]);
}

#[tokio::test]
async fn a_table_may_change_between_puts_and_not_within_one() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v int)");
    let (session, connection) = database.put().await;
    for (change, sees) in [
        ("", "1"),
        ("ALTER TABLE t ALTER v TYPE bigint", "1"),
        ("ALTER TABLE t ALTER v TYPE text", "1"),
        ("DROP TABLE t; CREATE TABLE t (w int, v numeric)", "1"),
        ("ALTER TABLE t DROP w, ALTER v TYPE inet USING NULL", "NULL"),
    ] {
        if !change.is_empty() {
            database.run_sql(change);
        }
        session.begin();
        let values = strings(&[if sees == "NULL" { "::1" } else { "1" }]);
        let written = connection.write(values, None, insert_v()).await;
        assert_eq!(written, Ok(vec![]), "{change}");
        let other = database.client().await;
        let blocked = other
            .batch_execute("SET lock_timeout = 100; ALTER TABLE t ADD z int")
            .await;
        assert!(blocked.is_err(), "{change}");
        let written = connection.write(strings(&["2"]), None, insert_v()).await;
        assert!(written.is_ok(), "{change}: {written:?}");
        commit(&session).await;
    }
    assert_eq!(
        database.rows("SELECT v FROM t WHERE v IS NOT NULL"),
        ["::1"]
    );
}

#[tokio::test]
async fn a_deadlock_dooms_one_put_which_then_succeeds() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text PRIMARY KEY, n int)");
    let how = || {
        let number = ValueSource::Constant(SqlValue::Int64(1));
        how(
            "upsert",
            &[("v", ValueSource::Value), ("n", number)],
            &["v"],
        )
    };
    let puts = [database.put().await, {
        let session = database.session();
        session
            .open_ledger(owner(), vec![partition(4)])
            .await
            .unwrap();
        session.begin();
        let connection = session.connect(KEY.into()).await.unwrap();
        (session, connection)
    }];
    let [(one, first), (two, second)] = &puts;
    first.write(strings(&["a"]), None, how()).await.unwrap();
    second.write(strings(&["b"]), None, how()).await.unwrap();
    let crossed = futures_util::future::join(
        first.write(strings(&["b"]), None, how()),
        second.write(strings(&["a"]), None, how()),
    );
    let (of_first, of_second) = crossed.await;
    let (doomed, session, at, connection, other, other_at) = match (of_first, of_second) {
        (Err(error), Ok(_)) => (error, one, at(3), first, two, at(4)),
        (Ok(_), Err(error)) => (error, two, at(4), second, one, at(3)),
        both => panic!("{both:?}"),
    };
    assert!(matches!(&doomed, SqlError::Unavailable(reason) if reason.contains("40P01")));
    // Whatever the guest answers now, the put is over.
    assert!(is_unavailable(
        &connection.write(strings(&["c"]), None, how()).await
    ));
    let answer = session.commit(vec![(at.clone(), 1)]).await;
    assert!(
        matches!(answer, Err(LedgerError::RolledBack(_))),
        "{answer:?}"
    );
    session.rollback().await.unwrap();
    other.commit(vec![(other_at, 1)]).await.unwrap();
    session.begin();
    for value in ["a", "b"] {
        connection
            .write(strings(&[value]), None, how())
            .await
            .unwrap();
    }
    session.commit(vec![(at, 1)]).await.unwrap();
    assert_eq!(database.rows("SELECT v FROM t ORDER BY v"), ["a", "b"]);
}

#[tokio::test]
async fn a_locked_row_dooms_the_put_after_a_while() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text PRIMARY KEY)");
    let (session, connection) = database.put().await;
    let other = database.client().await;
    other
        .batch_execute("BEGIN; INSERT INTO t VALUES ('a')")
        .await
        .unwrap();
    let answer = connection.write(strings(&["a"]), None, insert_v()).await;
    assert!(
        matches!(&answer, Err(SqlError::Unavailable(reason)) if reason.contains("55P03")),
        "{answer:?}"
    );
    session.rollback().await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    session.begin();
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    commit(&session).await;
}

#[tokio::test]
async fn a_server_that_goes_away_takes_the_put_with_it() {
    let mut server = Postgres::start();
    let name = server.create_database();
    server.run_sql(&name, "CREATE TABLE t (v text)");
    let session = session(&Arc::default(), settings(&server.url(&name)));
    let first = open(&session).await;
    session.begin();
    let connection = session.connect(KEY.into()).await.unwrap();
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    server.stop_immediately();
    let answer = connection.write(strings(&["b"]), None, insert_v()).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    let answer = session.commit(vec![(at(3), 2)]).await;
    assert!(
        matches!(
            answer,
            Err(LedgerError::RolledBack(SqlError::Unavailable(_)))
        ),
        "{answer:?}"
    );
    session.rollback().await.unwrap();
    let answer = session.open_ledger(owner(), vec![partition(3)]).await;
    assert!(
        matches!(
            answer,
            Err(LedgerError::RolledBack(SqlError::Unavailable(_)))
        ),
        "{answer:?}"
    );
    server.start_again();
    let starts = session
        .open_ledger(owner(), vec![partition(3)])
        .await
        .unwrap();
    assert_eq!(starts[0].fence, first + 1);
    assert_eq!(starts[0].next_offset, None);
    session.begin();
    connection
        .write(strings(&["a", "b"]), None, insert_v())
        .await
        .unwrap();
    // Between two calls this time.
    server.stop_immediately();
    let answer = session.commit(vec![(at(3), 2)]).await;
    assert!(
        matches!(answer, Err(LedgerError::RolledBack(_))),
        "{answer:?}"
    );
    session.rollback().await.unwrap();
    server.start_again();
    session.begin();
    connection
        .write(strings(&["a", "b"]), None, insert_v())
        .await
        .unwrap();
    session.commit(vec![(at(3), 2)]).await.unwrap();
    assert_eq!(server.rows(&name, "SELECT v FROM t ORDER BY v"), ["a", "b"]);
}

/// As many as a worker has links: none may stay behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_off_dooms_the_put_and_frees_the_server() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (v text); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN PERFORM pg_sleep(1000); RETURN NULL; END$$; \
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW WHEN (new.v = 'slow') \
         EXECUTE FUNCTION wait()",
    );
    let sleeps = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                  AND datname = current_database()";
    let (session, connection) = database.put().await;
    for _ in 0..3 {
        session.begin();
        connection
            .write(strings(&["a"]), None, insert_v())
            .await
            .unwrap();
        let slow = {
            let connection = Arc::clone(&connection);
            tokio::spawn(
                async move { connection.write(strings(&["slow"]), None, insert_v()).await },
            )
        };
        let look = || !database.rows(sleeps).is_empty();
        tokio::task::block_in_place(|| wait_until("it sleeps", LIMIT, look));
        slow.abort();
        assert!(slow.await.is_err());
        let answer = connection.write(strings(&["b"]), None, insert_v()).await;
        assert!(is_unavailable(&answer), "{answer:?}");
        let answer = session.commit(vec![(at(3), 1)]).await;
        assert!(
            matches!(answer, Err(LedgerError::RolledBack(_))),
            "{answer:?}"
        );
        session.rollback().await.unwrap();
        let look = || database.rows(sleeps).is_empty();
        tokio::task::block_in_place(|| wait_until("it is cancelled", LIMIT, look));
    }
    session.begin();
    connection
        .write(strings(&["c"]), None, insert_v())
        .await
        .unwrap();
    commit(&session).await;
    assert_eq!(database.rows("SELECT v FROM t"), ["c"]);
}

#[tokio::test]
async fn a_session_that_is_dropped_takes_its_put_back() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text PRIMARY KEY)");
    let (session, connection) = database.put().await;
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    drop(session);
    let answer = connection.write(strings(&["b"]), None, insert_v()).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    // Waits for the lock of the first one if that is still there.
    let (session, connection) = database.put().await;
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    commit(&session).await;
    assert_eq!(database.rows("SELECT v FROM t"), ["a"]);
}
