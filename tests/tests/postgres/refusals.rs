//! Rows that the server refuses, and statements that it refuses.

use std::time::Duration;

use tidegate_connections::session;
use tidegate_convert::{Type, Value};
use tidegate_sandbox::{SqlError, ValueSource};
use tidegate_tests::{
    ports::free_port,
    proxy::{Network, Proxy},
};
use tokio::time::timeout;

use super::harness::*;

fn id_and_v(mode: &str) -> tidegate_sandbox::Write {
    let identity: &[&str] = if mode == "insert" { &[] } else { &["id"] };
    how(mode, &[("id", field("id")), ("v", field("v"))], identity)
}

fn row(id: i64, v: &str) -> Vec<Value> {
    vec![Value::Int64(id), text(v)]
}

/// `tidegate.task.host.call.timeout.ms`, unless somebody sets it.
const HOST_CALL: Duration = Duration::from_secs(30);

const FIELDS: &[(&str, Type)] = &[("id", Type::Int64), ("v", Type::String)];

/// What a table makes of a row in the middle of 500, by COPY and by arrays.
#[tokio::test]
async fn a_refused_row_is_named_and_the_others_are_written() {
    let function = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS \
                    $$BEGIN RAISE EXCEPTION 'no bad ones'; END$$; ";
    for (table, bad, says) in [
        (
            "id bigint, v varchar(5)",
            "too long",
            "22001: value too long",
        ),
        ("id bigint, v text CHECK (v <> 'bad')", "bad", "23514: "),
        (
            "id bigint, v text UNIQUE",
            "v1",
            "23505: duplicate key value violates unique constraint \"t_v_key\" (Key (v)=(v1) already exists.)",
        ),
        (
            "id bigint, v inet",
            "bad",
            "22P02: invalid input syntax for type inet",
        ),
        (
            "id bigint, v mood",
            "bad",
            "22P02: invalid input value for enum",
        ),
        (
            "id bigint, v small",
            "too long",
            "23514: value for domain small",
        ),
        ("id bigint, v jsonb", "\"\\u0000\"", "22P05: "),
    ] {
        let database = Database::new();
        database.run_sql(&format!(
            "CREATE TYPE mood AS ENUM ('1'); CREATE DOMAIN small AS text CHECK (length(value) < 5); \
             CREATE TABLE t ({table})"
        ));
        let (session, connection) = database.put().await;
        let good = |id: i64| match table.split(' ').nth(3).unwrap() {
            "inet" => "::1".to_owned(),
            "mood" => "1".to_owned(),
            _ => format!("v{id}"),
        };
        let value = |id| if id == 250 { bad.to_owned() } else { good(id) };
        let rows = (0..500).map(|id| row(id, &value(id))).collect();
        let written = connection
            .write(structs(FIELDS, rows), None, id_and_v("insert"))
            .await;
        let errants = written.unwrap_or_else(|error| panic!("{table}: {error}"));
        let [errant] = errants.as_slice() else {
            panic!("{table}: {errants:?}");
        };
        assert_eq!(errant.row, 250, "{table}");
        assert!(errant.reason.starts_with(says), "{}", errant.reason);
        commit(&session).await;
        assert_eq!(
            database.rows("SELECT count(*) FROM t WHERE id <> 250"),
            ["499"]
        );
        assert_eq!(database.stored(), ["200"]);
    }
    for trigger in ["INSERT", "UPDATE"] {
        let database = Database::new();
        database.run_sql(&format!(
            "{function} CREATE TABLE t (id bigint PRIMARY KEY, v text); \
             INSERT INTO t SELECT generate_series(0, 499); \
             CREATE TRIGGER g BEFORE {trigger} ON t FOR EACH ROW WHEN (new.v = 'bad') \
             EXECUTE FUNCTION no()"
        ));
        let (session, connection) = database.put().await;
        let rows = (0..500).map(|id| row(id, if id % 100 == 3 { "bad" } else { "v" }));
        let mode = if trigger == "INSERT" {
            "upsert"
        } else {
            "update"
        };
        let written = connection.write(structs(FIELDS, rows.collect()), None, id_and_v(mode));
        let errants = written.await.unwrap();
        let rows: Vec<_> = errants.iter().map(|errant| errant.row).collect();
        assert_eq!(rows, [3, 103, 203, 303, 403]);
        assert!(
            errants.iter().all(|e| e.reason == "P0001: no bad ones"),
            "{errants:?}"
        );
        commit(&session).await;
        assert_eq!(
            database.rows("SELECT count(*) FROM t WHERE v = 'v'"),
            ["495"]
        );
    }
}

#[tokio::test]
async fn every_row_may_be_refused() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v bigint CHECK (v > 10000))");
    let (session, connection) = database.put().await;
    let errants = connection
        .write(integers(0..1000), None, insert_v())
        .await
        .unwrap();
    let rows: Vec<_> = errants.iter().map(|errant| errant.row).collect();
    assert_eq!(rows, (0..1000).collect::<Vec<_>>());
    let written = connection.write(integers([10_001]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await;
    assert_eq!(database.rows("SELECT v FROM t"), ["10001"]);
}

/// A write of 5,000 rows, all but two of which are refused, over a link on which each answer takes a
/// tenth of a second, ends within the time that the host gives a call.
#[tokio::test]
async fn thousands_of_refused_rows_over_a_slow_link_take_no_trip_each() {
    for mode in ["insert", "upsert"] {
        let database = Database::new();
        database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY CHECK (id IN (7, 4000)), v text)");
        let port = free_port();
        let proxy = Proxy::start(port, database.server.port());
        let url = format!("jdbc:postgresql://127.0.0.1:{port}/{}", database.name);
        let session = session(&database.pools, settings(&url));
        open(&session).await;
        session.begin();
        let connection = session.connect(KEY.into()).await.unwrap();
        proxy.set(Network::Slow);
        let rows = (0..5000).map(|id| match id {
            7 => vec![Value::Int64(id), Value::Null],
            id => row(id, "v"),
        });
        let write = connection.write(structs(FIELDS, rows.collect()), None, id_and_v(mode));
        let errants = timeout(HOST_CALL, write).await.expect("within a host call");
        let errants: Vec<_> = errants.unwrap().iter().map(|errant| errant.row).collect();
        let refused = (0..5000).filter(|row| ![7, 4000].contains(row));
        assert_eq!(errants, refused.collect::<Vec<_>>(), "{mode}");
        commit(&session).await;
        assert_eq!(
            database.rows("SELECT id || coalesce(v, ' none') FROM t ORDER BY id"),
            ["7 none", "4000v"]
        );
    }
}

#[tokio::test]
async fn a_refused_row_leaves_the_table_as_it_was_known() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v int CHECK (v <> 1))");
    let (session, connection) = database.put().await;
    // From now on the statements are prepared, which takes locks too.
    let errants = connection.write(integers([3]), None, insert_v()).await;
    assert_eq!(errants, Ok(vec![]));
    commit(&session).await;
    session.begin();
    // Twice, since the savepoints of the first write are there when the second one comes.
    for _ in 0..2 {
        let errants = connection.write(integers([1]), None, insert_v()).await;
        assert_eq!(errants.unwrap().len(), 1);
        let other = database.client().await;
        let altered = "SET lock_timeout = 100; ALTER TABLE t ALTER v TYPE real";
        let blocked = other.batch_execute(altered).await;
        assert!(blocked.is_err(), "integers would be read as floats");
    }
    let errants = connection
        .write(integers([0, 1, 2]), None, insert_v())
        .await;
    assert_eq!(errants.unwrap().len(), 1);
    commit(&session).await;
    assert_eq!(database.rows("SELECT v FROM t ORDER BY v"), ["0", "2", "3"]);
}

#[tokio::test]
async fn what_no_row_is_at_fault_for_is_rejected_and_the_put_goes_on() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint, v text); CREATE VIEW w AS SELECT 1 AS v");
    let (session, connection) = database.put().await;
    let first = structs(FIELDS, vec![row(0, "first")]);
    connection
        .write(first, None, id_and_v("insert"))
        .await
        .unwrap();
    let mut missing = insert_v();
    missing.table = "none".into();
    let mut view = how("insert", &[("v", field("id"))], &[]);
    view.table = "w".into();
    let column = how("insert", &[("none", ValueSource::Value)], &[]);
    for (how, sqlstate, says) in [
        (missing, "42P01", "create the table"),
        (column, "42703", "add the column"),
        (id_and_v("upsert"), "42P10", "unique index"),
        (view, "42809", "view"),
    ] {
        let rows = structs(FIELDS, vec![row(1, "x")]);
        let answer = connection.write(rows, None, how).await;
        let Err(SqlError::Rejected { code, message }) = &answer else {
            panic!("{answer:?}");
        };
        assert_eq!(code, sqlstate);
        assert!(message.contains(says), "{message}");
    }
    for how in [
        how("replace", &[("id", field("id"))], &[]),
        how("insert", &[], &[]),
        how("upsert", &[("id", field("id"))], &[]),
        how("upsert", &[("id", field("id"))], &["v"]),
        how("update", &[("id", field("id"))], &["id"]),
        how("insert", &[("id", field("id")), ("id", field("v"))], &[]),
        how("insert", &[("id\0", field("id"))], &[]),
    ] {
        let rows = structs(FIELDS, vec![row(1, "x")]);
        let answer = connection.write(rows, None, how).await;
        assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    }
    let rows = structs(FIELDS, vec![row(1, "x")]);
    let answer = connection
        .write(rows, Some(vec![1]), id_and_v("insert"))
        .await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    let last = structs(FIELDS, vec![row(2, "last"), row(3, "not selected")]);
    connection
        .write(last, Some(vec![0]), id_and_v("insert"))
        .await
        .unwrap();
    commit(&session).await;
    assert_eq!(
        database.rows("SELECT v FROM t ORDER BY id"),
        ["first", "last"]
    );
}

#[tokio::test]
async fn names_and_values_stay_names_and_values() {
    let database = Database::new();
    let nasty = "x\"; DROP TABLE keep; --";
    let quoted = nasty.replace('"', "\"\"");
    database.run_sql(&format!(
        "CREATE TABLE keep (); CREATE TABLE \"{quoted}\" (\"{quoted}\" text PRIMARY KEY, v inet)"
    ));
    let (session, connection) = database.put().await;
    for mode in ["insert", "upsert", "update", "delete"] {
        let mut how = how(
            mode,
            &[(nasty, ValueSource::Value), ("v", field("none"))],
            &[nasty],
        );
        how.table = format!("\"{quoted}\"");
        how.columns[1].1 = ValueSource::Constant(tidegate_sandbox::SqlValue::Text("::1".into()));
        let values = strings(&["'); DROP TABLE keep; --", "\\", "$1", "{\"", "NULL"]);
        let written = connection.write(values, None, how).await;
        assert_eq!(written, Ok(vec![]), "{mode}");
    }
    commit(&session).await;
    assert_eq!(database.rows("SELECT count(*) FROM keep"), ["0"]);
    assert_eq!(
        database.rows(&format!("SELECT count(*) FROM \"{quoted}\"")),
        ["0"]
    );
}
