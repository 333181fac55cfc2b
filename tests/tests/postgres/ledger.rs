//! The table of offsets.

use std::sync::Arc;

use tidegate_connections::{ConnectionSettings, SessionSettings, session};
use tidegate_sandbox::{
    LedgerError, LedgerOwner, LedgerPartition, LedgerPosition, LedgerSpan, LedgerStart, SqlError,
};
use tidegate_tests::postgres::{PASSWORD, Postgres};
use tidegate_tests::wait::wait_until;

use super::harness::*;

fn start(fence: i64, next_offset: Option<i64>) -> LedgerStart {
    LedgerStart { fence, next_offset }
}

#[tokio::test]
async fn opening_takes_partitions_over() {
    let database = Database::new();
    let session = database.session();
    assert!(session.has_ledger());
    let positions = session.ledger_positions(owner()).await;
    assert_eq!(positions, Ok(vec![]), "no table is made by looking");
    assert_eq!(session.open_ledger(owner(), vec![]).await, Ok(vec![]));
    let both = vec![partition(5), partition(3)];
    let starts = session.open_ledger(owner(), both.clone()).await.unwrap();
    let first = starts[0].fence;
    assert_eq!(starts, vec![start(first, None); 2]);
    session
        .commit(vec![(at(3), 30), (at(5), 50)])
        .await
        .unwrap();
    // Nothing to store is nothing to do.
    session.commit(vec![]).await.unwrap();

    let second = database.session();
    let mut reset = partition(5);
    reset.reset_to = Some(0);
    let starts = second.open_ledger(owner(), vec![partition(3), reset]).await;
    let next = first + 1;
    assert_eq!(
        starts,
        Ok(vec![start(next, Some(30)), start(next, Some(0))])
    );
    let position = |number, next_offset| LedgerPosition {
        at: at(number),
        next_offset,
        fence: next,
    };
    assert_eq!(
        second.ledger_positions(owner()).await,
        Ok(vec![position(3, Some(30)), position(5, Some(0))])
    );
    let other_group = LedgerOwner {
        group: "other".into(),
        ..owner()
    };
    assert_eq!(
        second.ledger_positions(other_group.clone()).await,
        Ok(vec![])
    );
    let starts = second.open_ledger(other_group, vec![partition(3)]).await;
    assert_eq!(starts.unwrap()[0].next_offset, None);
}

#[tokio::test]
async fn a_row_deleted_by_hand_lets_no_old_owner_in() {
    let database = Database::new();
    let (opened, rewritten) = (database.session(), database.session());
    let delete = |old: i64| {
        // Nobody deletes a row in the millisecond in which it was made.
        wait_until("the clock is past the fence", LIMIT, || {
            let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";
            database.rows(now)[0].parse::<i64>().unwrap() > old
        });
        database.run_sql("DELETE FROM tidegate_offsets");
    };
    let old = open(&opened).await;
    delete(old);
    assert!(open(&database.session()).await > old);
    let answer = opened.commit(vec![(at(3), 30)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");

    let old = open(&rewritten).await;
    delete(old);
    let by_hand = database.session();
    let start = by_hand
        .rewrite_ledger(owner(), vec![(partition(3), Some(9))])
        .await;
    assert!(start.unwrap()[0].fence > old);
    let answer = rewritten.commit(vec![(at(3), 30)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
    assert_eq!(database.stored(), ["9"]);
}

#[tokio::test]
async fn one_lost_partition_is_enough_to_store_nothing() {
    let database = Database::new();
    let one = database.session();
    let both = vec![partition(3), partition(4)];
    one.open_ledger(owner(), both).await.unwrap();
    let two = database.session();
    two.open_ledger(owner(), vec![partition(4)]).await.unwrap();
    let answer = one.commit(vec![(at(3), 30), (at(4), 40)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
    assert_eq!(database.stored(), ["", ""]);
    one.rollback().await.unwrap();
    one.commit(vec![(at(3), 30)]).await.unwrap();
    two.commit(vec![(at(4), 41)]).await.unwrap();
    let stored = "SELECT next_offset FROM tidegate_offsets ORDER BY partition";
    assert_eq!(database.rows(stored), ["30", "41"]);
    database.run_sql("DELETE FROM tidegate_offsets");
    let answer = two.commit(vec![(at(4), 42)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
}

#[tokio::test]
async fn a_position_does_not_step_back_under_its_own_fence() {
    let database = Database::new();
    let session = database.session();
    open(&session).await;
    session.commit(vec![(at(3), 30)]).await.unwrap();
    // As a consumer does that was sent to the beginning behind its task's back.
    let answer = session.commit(vec![(at(3), 10)]).await;
    assert!(matches!(answer, Err(LedgerError::Overlap(_))), "{answer:?}");
    assert_eq!(database.stored(), ["30"]);
    session.rollback().await.unwrap();
    session.commit(vec![(at(3), 30)]).await.unwrap();
    session.commit(vec![(at(3), 31)]).await.unwrap();
    assert_eq!(database.stored(), ["31"]);
}

#[tokio::test]
async fn a_put_that_begins_before_what_is_stored_is_refused_and_a_gap_is_not() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text)");
    let session = database.session();
    let both = vec![partition(3), partition(4)];
    session.open_ledger(owner(), both).await.unwrap();
    let connection = session.connect(KEY.into()).await.unwrap();
    let put = async |first_offset, next_offset| {
        session.begin();
        let written = connection.write(strings(&["a"]), None, insert_v()).await;
        assert_eq!(written, Ok(vec![]));
        let span = |number, first_offset| LedgerSpan {
            at: at(number),
            first_offset,
            next_offset,
        };
        // The other partition always goes on: it must be neither blamed nor stored.
        let spans = vec![span(3, first_offset), span(4, next_offset)];
        session.commit_spans(spans).await
    };
    put(5, 10).await.unwrap();
    put(12, 20).await.unwrap();
    let answer = put(19, 30).await;
    let Err(LedgerError::Overlap(text)) = &answer else {
        panic!("{answer:?}");
    };
    for named in ["t-3", "offset 20", "from 19 up to 30"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    session.rollback().await.unwrap();
    let stored = "SELECT next_offset FROM tidegate_offsets ORDER BY partition";
    assert_eq!(database.rows(stored), ["20", "20"]);
    put(20, 21).await.unwrap();
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["3"]);
}

#[tokio::test]
async fn positions_of_other_clusters_and_topics_are_foreign() {
    let database = Database::new();
    let session = database.session();
    let first = open(&session).await;
    session.commit(vec![(at(3), 30)]).await.unwrap();
    let recreated = LedgerPartition {
        topic_id: "another id".into(),
        ..partition(3)
    };
    let elsewhere = LedgerOwner {
        cluster_id: "another cluster".into(),
        ..owner()
    };
    for (owner, partition, ids) in [
        (owner(), recreated.clone(), ["topic id id", "another id"]),
        (
            elsewhere,
            partition(3),
            ["for cluster cluster", "another cluster"],
        ),
    ] {
        let new = LedgerPartition {
            at: at(9),
            ..partition.clone()
        };
        let answer = session.open_ledger(owner, vec![new, partition]).await;
        let Err(LedgerError::Foreign(reason)) = answer else {
            panic!("{answer:?}");
        };
        let says = [
            "t-3",
            "another connector name",
            "DELETE FROM tidegate_offsets",
        ];
        for word in ids.iter().chain(&says) {
            assert!(reason.contains(word), "{reason}");
        }
    }
    assert_eq!(
        database.rows("SELECT partition, fence FROM tidegate_offsets"),
        [format!("3|{first}")]
    );
    // A person's word counts.
    let starts = session
        .rewrite_ledger(owner(), vec![(recreated.clone(), None)])
        .await;
    assert_eq!(starts, Ok(vec![start(first + 1, None)]));
    let starts = session.open_ledger(owner(), vec![recreated]).await;
    assert_eq!(starts, Ok(vec![start(first + 2, None)]));
}

#[tokio::test]
async fn an_embedded_cluster_begins_anew() {
    let database = Database::new();
    let session = database.session();
    let embedded = |name: &str| LedgerOwner {
        cluster_id: format!("embedded-{name}"),
        embedded: true,
        ..owner()
    };
    let another_topic = LedgerPartition {
        topic_id: "another id".into(),
        ..partition(3)
    };
    let starts = session.open_ledger(embedded("a"), vec![partition(3)]).await;
    let first = starts.unwrap()[0].fence;
    session.commit(vec![(at(3), 30)]).await.unwrap();
    let starts = session.open_ledger(embedded("a"), vec![partition(3)]).await;
    assert_eq!(starts, Ok(vec![start(first + 1, Some(30))]));
    let starts = session
        .open_ledger(embedded("b"), vec![another_topic.clone()])
        .await;
    assert_eq!(starts, Ok(vec![start(first + 2, None)]));
    // But the same cluster with another topic is no other cluster, once something is stored.
    session.commit(vec![(at(3), 5)]).await.unwrap();
    let answer = session.open_ledger(embedded("b"), vec![partition(3)]).await;
    assert!(matches!(answer, Err(LedgerError::Foreign(_))), "{answer:?}");
    let answer = session.open_ledger(owner(), vec![another_topic]).await;
    assert!(matches!(answer, Err(LedgerError::Foreign(_))), "{answer:?}");
}

#[tokio::test]
async fn a_put_of_an_owner_that_stopped_delays_the_next_one() {
    let database = Database::new();
    let session = database.session();
    let first = open(&session).await;
    let stopped = database.client().await;
    stopped
        .batch_execute("BEGIN; UPDATE tidegate_offsets SET next_offset = 7")
        .await
        .unwrap();
    let answer = database
        .session()
        .open_ledger(owner(), vec![partition(3)])
        .await;
    let Err(LedgerError::RolledBack(SqlError::Unavailable(reason))) = &answer else {
        panic!("{answer:?}");
    };
    assert!(reason.contains("55P03"), "{reason}");
    stopped.batch_execute("COMMIT").await.unwrap();
    let starts = database
        .session()
        .open_ledger(owner(), vec![partition(3)])
        .await;
    assert_eq!(starts, Ok(vec![start(first + 1, Some(7))]));
}

#[tokio::test]
async fn rewriting_shuts_the_present_owner_out() {
    let database = Database::new();
    let session = database.session();
    let by_hand = database.session();
    let starts = by_hand
        .rewrite_ledger(
            owner(),
            vec![(partition(4), Some(4)), (partition(3), Some(9))],
        )
        .await
        .unwrap();
    let offsets: Vec<_> = starts.iter().map(|start| start.next_offset).collect();
    assert_eq!(offsets, [Some(4), Some(9)]);
    let first = starts[1].fence;
    assert_eq!(open(&session).await, first + 1);
    let rewritten = by_hand
        .rewrite_ledger(owner(), vec![(partition(3), None)])
        .await;
    assert_eq!(rewritten, Ok(vec![start(first + 2, None)]));
    let answer = session.commit(vec![(at(3), 30)]).await;
    assert!(matches!(answer, Err(LedgerError::Fenced(_))), "{answer:?}");
}

#[tokio::test]
async fn who_may_not_make_the_table_is_told_how() {
    let database = Database::new();
    let role = format!("poor_{}", database.name);
    database.run_sql(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ));
    let connection = ConnectionSettings {
        user: Some(role.clone()),
        ..database.settings().connections[KEY].clone()
    };
    let settings = SessionSettings {
        connections: [(KEY.to_owned(), connection)].into(),
        ..database.settings()
    };
    let session = session(&database.pools, settings);
    let answer = session.open_ledger(owner(), vec![partition(3)]).await;
    let Err(LedgerError::RolledBack(SqlError::Rejected { code, message })) = &answer else {
        panic!("{answer:?}");
    };
    assert_eq!(code, "42501");
    let create = message
        .find("CREATE TABLE")
        .map(|at| &message[at..])
        .unwrap();
    let create = create.split_once(';').unwrap().0;
    database.run_sql(&format!(
        "{create}; GRANT SELECT, INSERT, UPDATE ON tidegate_offsets TO {role}"
    ));
    open(&session).await;
    session.commit(vec![(at(3), 30)]).await.unwrap();
    assert_eq!(database.stored(), ["30"]);
}

/// COMMIT of a transaction that is lost answers no error, so what comes before it has to.
#[tokio::test]
async fn what_fails_before_the_commit_stores_nothing() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE p (id text PRIMARY KEY); \
         CREATE TABLE t (v text REFERENCES p DEFERRABLE INITIALLY DEFERRED); \
         CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE EXCEPTION 'no'; END$$",
    );
    let (session, connection) = database.put().await;
    let written = connection
        .write(strings(&["orphan"]), None, insert_v())
        .await;
    assert_eq!(written, Ok(vec![]));
    let answer = session.commit(vec![(at(3), 30)]).await;
    let Err(LedgerError::RolledBack(SqlError::Rejected { code, .. })) = &answer else {
        panic!("{answer:?}");
    };
    assert_eq!(code, "23503");
    assert_eq!(database.stored(), [""]);
    // And not by the offsets alone, either.
    let answer = session.commit(vec![(at(3), 30)]).await;
    assert!(
        matches!(answer, Err(LedgerError::RolledBack(_))),
        "{answer:?}"
    );
    session.rollback().await.unwrap();

    database.run_sql(
        "INSERT INTO p VALUES ('a'); CREATE TRIGGER g BEFORE UPDATE ON tidegate_offsets \
         FOR EACH ROW WHEN (new.next_offset = 66) EXECUTE FUNCTION no()",
    );
    session.begin();
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    let answer = session.commit(vec![(at(3), 66)]).await;
    assert!(
        matches!(answer, Err(LedgerError::RolledBack(_))),
        "{answer:?}"
    );
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["0"]);
    session.rollback().await.unwrap();
    session.begin();
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    session.commit(vec![(at(3), 67)]).await.unwrap();
    assert_eq!(database.rows("SELECT v FROM t"), ["a"]);
    assert_eq!(database.stored(), ["67"]);
}

/// Makes the transactions that insert into `t`, and no others, wait for a standby when they commit.
/// It holds for the next transaction, where a reloaded setting takes its time to reach the server's
/// processes.
const WAIT_FOR_THE_STANDBY: &str = "
    CREATE FUNCTION wait_for_the_standby() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('synchronous_commit', 'on', true);
        RETURN NULL;
    END $$;
    CREATE TRIGGER waits BEFORE INSERT ON t EXECUTE FUNCTION wait_for_the_standby()";

/// The server has committed and waits for a standby that is not there; then the link breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_unknown() {
    let server = Postgres::start_with(
        "fsync = off\nsynchronous_standby_names = 'nobody'\nsynchronous_commit = local\n",
    );
    let name = server.create_database();
    server.run_sql(&name, "CREATE TABLE t (v text)");
    server.run_sql(&name, WAIT_FOR_THE_STANDBY);
    let session = session(&Arc::default(), settings(&server.url(&name)));
    let first = open(&session).await;
    session.begin();
    let connection = session.connect(KEY.into()).await.unwrap();
    connection
        .write(strings(&["a"]), None, insert_v())
        .await
        .unwrap();
    let committing = {
        let session = Arc::clone(&session);
        tokio::spawn(async move { session.commit(vec![(at(3), 30)]).await })
    };
    let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let look = || {
        !server
            .rows(&name, &format!("SELECT pid {waiting}"))
            .is_empty()
    };
    tokio::task::block_in_place(|| wait_until("the commit waits", LIMIT, look));
    server.run_sql(
        &name,
        &format!("SELECT pg_terminate_backend(pid) {waiting}"),
    );
    let answer = committing.await.unwrap();
    assert!(matches!(answer, Err(LedgerError::Unknown(_))), "{answer:?}");
    server.run_sql(&name, "DROP TRIGGER waits ON t");
    // Until somebody has looked, nothing is assumed.
    let again = session.commit(vec![(at(3), 30)]).await;
    assert!(matches!(again, Err(LedgerError::Unknown(_))), "{again:?}");
    assert!(is_unavailable(&session.rollback().await));
    let starts = session.open_ledger(owner(), vec![partition(3)]).await;
    assert_eq!(starts, Ok(vec![start(first + 1, Some(30))]));
    assert_eq!(server.rows(&name, "SELECT v FROM t"), ["a"]);
    session.begin();
    connection
        .write(strings(&["b"]), None, insert_v())
        .await
        .unwrap();
    session.commit(vec![(at(3), 31)]).await.unwrap();
    assert_eq!(server.rows(&name, "SELECT v FROM t ORDER BY v"), ["a", "b"]);
}
