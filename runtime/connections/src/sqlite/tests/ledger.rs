//! Offsets in the file: who may store them, and what is stored when something fails.

use std::time::Duration;

use rusqlite::types::Value as Stored;
use tidegate_sandbox::{
    LedgerError, LedgerOwner, LedgerPartition, LedgerSpan, SqlError, SqlSession,
};
use tokio::time::timeout;

use super::harness::{Files, at, insert_v, open, owner, partition, strings};
use crate::database::{Database, LedgerMark};

fn offsets(files: &Files) -> Vec<Stored> {
    files.query("SELECT next_offset FROM tidegate_offsets")
}

fn foreign(answer: Result<impl std::fmt::Debug, LedgerError>) -> String {
    match answer {
        Err(LedgerError::Foreign(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_and_their_offset_are_stored_together() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v)");
    let (session, connection) = files.connect().await;
    for commits in [false, true] {
        session.begin();
        let written = connection.write(strings(&["a"]), None, insert_v()).await;
        assert_eq!(written, Ok(vec![]));
        if commits {
            session.commit(vec![(at(), 101)]).await.unwrap();
        } else {
            session.rollback().await.unwrap();
        }
        let expected = if commits {
            (vec![Stored::Text("a".into())], Stored::Integer(101))
        } else {
            (vec![], Stored::Null)
        };
        assert_eq!(files.query("SELECT v FROM t"), expected.0);
        assert_eq!(offsets(&files), [expected.1]);
    }
    // A put without rows moves its offset too.
    session.begin();
    session.commit(vec![(at(), 107)]).await.unwrap();
    drop(session);

    let next = files.session();
    assert_eq!(open(&next).await.unwrap().next_offset, Some(107));
}

#[tokio::test]
async fn the_later_owner_counts() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v)");
    let (old, connection) = files.connect().await;
    let new = files.session();
    let start = open(&new).await.unwrap();
    let rows = files.query("SELECT fence FROM tidegate_offsets");
    assert_eq!(rows, [Stored::Integer(start.fence)]);

    let written = connection.write(strings(&["late"]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    let answer = old.commit(vec![(at(), 101)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
    assert_eq!(files.query("SELECT v FROM t"), []);
    assert_eq!(offsets(&files), [Stored::Null]);
    new.begin();
    new.commit(vec![(at(), 55)]).await.unwrap();
    assert_eq!(offsets(&files), [Stored::Integer(55)]);
}

#[tokio::test]
async fn a_position_does_not_step_back_under_its_own_fence() {
    let files = Files::new();
    let (session, _) = files.connect().await;
    session.commit(vec![(at(), 101)]).await.unwrap();
    let answer = session.commit(vec![(at(), 50)]).await;
    assert!(matches!(answer, Err(LedgerError::Overlap(_))), "{answer:?}");
    assert_eq!(offsets(&files), [Stored::Integer(101)]);
    session.commit(vec![(at(), 102)]).await.unwrap();
    assert_eq!(offsets(&files), [Stored::Integer(102)]);
}

#[tokio::test]
async fn a_put_that_begins_before_what_is_stored_is_refused_and_a_gap_is_not() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v)");
    let (session, connection) = files.connect().await;
    let put = async |first_offset, next_offset| {
        session.begin();
        let written = connection.write(strings(&["a"]), None, insert_v()).await;
        assert_eq!(written, Ok(vec![]));
        let at = at();
        let span = LedgerSpan {
            at,
            first_offset,
            next_offset,
        };
        session.commit_spans(vec![span]).await
    };
    put(5, 10).await.unwrap();
    put(12, 20).await.unwrap();
    let answer = put(19, 30).await;
    let Err(LedgerError::Overlap(text)) = &answer else {
        panic!("{answer:?}");
    };
    for named in [&at().to_string(), "offset 20", "from 19 up to 30"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    session.rollback().await.unwrap();
    assert_eq!(offsets(&files), [Stored::Integer(20)]);
    put(20, 21).await.unwrap();
    assert_eq!(files.query("SELECT count(*) FROM t"), [Stored::Integer(3)]);
}

#[tokio::test]
async fn a_deleted_row_does_not_let_an_old_owner_in() {
    let files = Files::new();
    let (old, _) = files.connect().await;
    // Fences are times: the next one has another only if it is later.
    let is_later = "SELECT fence < CAST(unixepoch('subsec') * 1000 AS INTEGER) \
                    FROM tidegate_offsets";
    while files.query(is_later) != [Stored::Integer(1)] {}
    files.execute("DELETE FROM tidegate_offsets");
    let new = files.session();
    assert_eq!(open(&new).await.unwrap().next_offset, None);
    let answer = old.commit(vec![(at(), 101)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
}

#[tokio::test]
async fn a_reset_from_outside_wins() {
    let files = Files::new();
    let (session, _) = files.connect().await;
    session.commit(vec![(at(), 101)]).await.unwrap();
    let reset = LedgerPartition {
        reset_to: Some(7),
        ..partition()
    };
    let starts = session.open_ledger(owner(), vec![reset]).await.unwrap();
    assert_eq!(starts[0].next_offset, Some(7));
    assert_eq!(offsets(&files), [Stored::Integer(7)]);
}

#[tokio::test]
async fn another_cluster_or_topic_is_named_with_what_to_do() {
    let files = Files::new();
    let (session, _) = files.connect().await;
    session.commit(vec![(at(), 101)]).await.unwrap();
    let moved = LedgerOwner {
        cluster_id: "other".into(),
        ..owner()
    };
    let message = foreign(session.open_ledger(moved.clone(), vec![partition()]).await);
    assert_eq!(
        message,
        "the offset of t-3 is of Kafka cluster cluster, and this is cluster other; give the \
         connector another name, or, if it shall begin anew, stop it and run \
         DELETE FROM tidegate_offsets WHERE consumer_group = 'connect-c' AND cluster_id = 'cluster'"
    );
    let recreated = LedgerPartition {
        topic_id: "new-id".into(),
        ..partition()
    };
    let message = foreign(session.open_ledger(owner(), vec![recreated.clone()]).await);
    assert!(
        message.contains("topic-id") && message.contains("new-id"),
        "{message}"
    );
    assert_eq!(offsets(&files), [Stored::Integer(101)]);
    // The statement in the message does what it says.
    let (_, statement) = message.split_once(" run ").unwrap();
    files.execute(statement);
    let open = || session.open_ledger(owner(), vec![recreated.clone()]);
    assert_eq!(open().await.unwrap()[0].next_offset, None);
    assert_eq!(session.ledger_positions(moved).await, Ok(vec![]));
    // So does a reset, of the old topic or of the new one.
    for id in ["topic-id", "new-id"] {
        session.commit(vec![(at(), 102)]).await.unwrap();
        let reset = LedgerPartition {
            topic_id: id.into(),
            ..partition()
        };
        let rewritten = session.rewrite_ledger(owner(), vec![(reset, None)]);
        rewritten.await.unwrap();
        assert_eq!(open().await.unwrap()[0].next_offset, None);
    }
}

#[tokio::test]
async fn positions_of_an_embedded_cluster_end_with_it() {
    let files = Files::new();
    let embedded = |id: &str| LedgerOwner {
        cluster_id: id.into(),
        embedded: true,
        ..owner()
    };
    let session = files.session();
    let open = |owner| session.open_ledger(owner, vec![partition()]);
    open(embedded("embedded-1")).await.unwrap();
    session.commit(vec![(at(), 101)]).await.unwrap();
    assert_eq!(
        open(embedded("embedded-1")).await.unwrap()[0].next_offset,
        Some(101)
    );
    assert_eq!(
        open(embedded("embedded-2")).await.unwrap()[0].next_offset,
        None
    );
    foreign(open(owner()).await);
    foreign(open(embedded("real")).await);
}

#[tokio::test]
async fn positions_are_listed_and_rewritten() {
    let files = Files::new();
    let session = files.session();
    assert_eq!(session.ledger_positions(owner()).await, Ok(vec![]));
    let tables = files.query("SELECT count(*) FROM sqlite_schema");
    assert_eq!(tables, [Stored::Integer(0)]);

    let owner_before = open(&session).await.unwrap();
    session.commit(vec![(at(), 101)]).await.unwrap();
    let other = files.session();
    let listed = other.ledger_positions(owner()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].at, listed[0].next_offset), (&at(), Some(101)));
    assert_eq!(listed[0].fence, owner_before.fence);

    for position in [Some(5), None] {
        let partitions = vec![(partition(), position)];
        let starts = other.rewrite_ledger(owner(), partitions).await.unwrap();
        assert_eq!(starts[0].next_offset, position);
    }
    let answer = session.commit(vec![(at(), 102)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
    assert_eq!(open(&session).await.unwrap().next_offset, None);
}

#[tokio::test]
async fn another_writer_s_lock_is_rolled_back_and_may_be_tried_again() {
    let files = Files::new();
    files.execute("CREATE TABLE t (v)");
    let (session, _) = files.connect().await;
    let (other, writer) = files.connect().await;
    open(&session).await.unwrap();
    let written = writer.write(strings(&["a"]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    let busy =
        |answer: &LedgerError| matches!(answer, LedgerError::RolledBack(SqlError::Unavailable(_)));
    let answer = session.commit(vec![(at(), 101)]).await.unwrap_err();
    assert!(busy(&answer), "{answer:?}");
    let answer = open(&session).await.unwrap_err();
    assert!(busy(&answer), "{answer:?}");
    other.rollback().await.unwrap();
    session.commit(vec![(at(), 101)]).await.unwrap();
    assert_eq!(offsets(&files), [Stored::Integer(101)]);
}

#[tokio::test]
async fn a_refused_commit_leaves_nothing() {
    let files = Files::new();
    files.execute(
        "CREATE TABLE u (k PRIMARY KEY); \
         CREATE TABLE t (v REFERENCES u (k) DEFERRABLE INITIALLY DEFERRED)",
    );
    let (session, connection) = files.connect().await;
    let written = connection.write(strings(&["a"]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    let answer = session.commit(vec![(at(), 101)]).await;
    assert!(
        matches!(
            &answer,
            Err(LedgerError::RolledBack(SqlError::Rejected { code, .. }))
                if code == "SQLITE_CONSTRAINT_FOREIGNKEY"
        ),
        "{answer:?}"
    );
    assert_eq!(offsets(&files), [Stored::Null]);
    session.begin();
    session.commit(vec![(at(), 102)]).await.unwrap();
    assert_eq!(files.query("SELECT v FROM t"), []);
}

#[tokio::test]
async fn a_commit_that_nobody_heard_of_is_unknown() {
    let files = Files::new();
    let database = files.database().await;
    let starts = database.open_ledger(owner(), vec![partition()]).await;
    let mark = |next_offset| LedgerMark {
        span: LedgerSpan {
            at: at(),
            first_offset: next_offset,
            next_offset,
        },
        fence: starts.as_ref().unwrap()[0].fence,
    };
    let link = database.link().unwrap();
    // SQLite ends the transaction by itself, as it does when it cannot write.
    link.lock().connection.commit_hook(Some(|| true));
    let answer = database.commit(owner(), vec![mark(101)]).await;
    assert!(matches!(answer, Err(LedgerError::Unknown(_))), "{answer:?}");
    link.lock().connection.commit_hook(None::<fn() -> bool>);

    // Cut off while it waits for the file: whether it got through, only an open tells.
    let writer = rusqlite::Connection::open(files.file()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let commit = database.commit(owner(), vec![mark(102)]);
    assert!(timeout(Duration::from_millis(20), commit).await.is_err());
    let answer = database.commit(owner(), vec![mark(103)]).await;
    assert!(matches!(answer, Err(LedgerError::Unknown(_))), "{answer:?}");
    drop(writer);
    let opened = database.open_ledger(owner(), vec![partition()]).await;
    assert_eq!(opened.unwrap()[0].next_offset, None);
}

#[tokio::test]
async fn triggers_of_the_file_do_not_move_offsets() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute(
        "CREATE TABLE t (v); CREATE TRIGGER g AFTER INSERT ON t \
         BEGIN UPDATE tidegate_offsets SET next_offset = 999; END",
    );
    let answer = connection.write(strings(&["a"]), None, insert_v()).await;
    assert!(
        matches!(&answer, Err(SqlError::Rejected { code, .. }) if code == "SQLITE_AUTH"),
        "{answer:?}"
    );
    session.commit(vec![(at(), 101)]).await.unwrap();
    assert_eq!(offsets(&files), [Stored::Integer(101)]);
}
