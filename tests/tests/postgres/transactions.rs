//! What is stored when, and what is not.

use tidegate_sandbox::{LedgerError, SqlError};

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
