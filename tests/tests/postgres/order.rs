//! Rows that are fine in the order of their records, and not in another.

use std::sync::Arc;

use tidegate_convert::Value;
use tidegate_sandbox::{LedgerError, SinkBatch, SqlConnection, SqlError, SqlSession, Write};

use super::harness::*;

const NOBODY: [u32; 0] = [];

/// Fields `id` and `v` into the columns of these names.
fn upsert() -> Write {
    how("upsert", &[("id", field("id")), ("v", field("v"))], &["id"])
}

fn rows(rows: &[(i64, &str)]) -> Arc<SinkBatch> {
    let row = |(id, v): &(i64, &str)| {
        Value::Map(vec![(text("id"), Value::Int64(*id)), (text("v"), text(v))])
    };
    batch(None, rows.iter().map(row).collect())
}

/// Writes and commits; the rows that were refused.
async fn put(database: &Database, how: Write, rows: Arc<SinkBatch>) -> Vec<u32> {
    let (session, connection) = database.put().await;
    let errants = connection.write(rows, None, how).await.unwrap();
    commit(&session).await;
    errants.iter().map(|errant| errant.row).collect()
}

/// Records of id and value, and the rows that are right after them.
type Moves = (&'static [(i64, &'static str)], [&'static str; 2]);

#[tokio::test]
async fn values_of_a_second_unique_index_may_move_in_the_order_of_the_records() {
    let moves: [Moves; 3] = [
        (&[(2, "c"), (1, "b")], ["1|b", "2|c"]),
        (&[(1, "tmp"), (2, "a"), (1, "b")], ["1|b", "2|a"]),
        (
            &[(1, "x"), (2, "y"), (1, "y2"), (2, "a"), (1, "b")],
            ["1|b", "2|a"],
        ),
    ];
    for (records, expected) in moves {
        let database = Database::new();
        database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text UNIQUE)");
        database.run_sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
        assert_eq!(put(&database, upsert(), rows(records)).await, NOBODY);
        assert_eq!(database.rows("SELECT id, v FROM t ORDER BY id"), expected);
    }
}

#[tokio::test]
async fn only_what_is_refused_in_its_turn_is_errant() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text UNIQUE)");
    database.run_sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'd')");
    let records = [(2, "c"), (4, "d"), (1, "b"), (5, "e"), (5, "f"), (3, "a")];
    assert_eq!(put(&database, upsert(), rows(&records)).await, [1]);
    let stored = database.rows("SELECT id, v FROM t ORDER BY id");
    assert_eq!(stored, ["1|b", "2|c", "3|a", "5|f"]);
}

#[tokio::test]
async fn a_row_may_come_after_the_one_that_it_refers_to_whatever_their_keys() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text CHECK (v <> 'bad'), \
         above bigint REFERENCES t)",
    );
    let row = |id: i64, above: Option<i64>, v: &str| {
        Value::Map(vec![
            (text("id"), Value::Int64(id)),
            (text("above"), above.map_or(Value::Null, Value::Int64)),
            (text("v"), text(v)),
        ])
    };
    let how = how(
        "upsert",
        &[
            ("id", field("id")),
            ("above", field("above")),
            ("v", field("v")),
        ],
        &["id"],
    );
    let records = batch(
        None,
        vec![
            row(9, None, "x"),
            row(7, None, "bad"),
            row(1, Some(9), "y"),
            row(2, Some(7), "z"),
        ],
    );
    assert_eq!(put(&database, how, records).await, [1, 3]);
    assert_eq!(database.rows("SELECT id FROM t ORDER BY id"), ["1", "9"]);
}

#[tokio::test]
async fn a_deletion_frees_what_a_later_record_takes() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text UNIQUE)");
    database.run_sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    let keys = [3, 2, 1, 2].map(Value::Int64).to_vec();
    let values = vec![text("c"), Value::Null, text("b"), text("a")];
    let how = Write {
        delete_tombstones: true,
        ..how(
            "upsert",
            &[
                ("id", tidegate_sandbox::ValueSource::Key),
                ("v", tidegate_sandbox::ValueSource::Value),
            ],
            &["id"],
        )
    };
    assert_eq!(put(&database, how, keyed(keys, None, values)).await, NOBODY);
    let stored = database.rows("SELECT id, v FROM t ORDER BY id");
    assert_eq!(stored, ["1|b", "2|a", "3|c"]);
}

/// Rows of which the second refers to what is not there, if `is_bad`; the first to the third.
fn family(is_bad: bool) -> Arc<SinkBatch> {
    let row = |id: i64, above: Option<i64>| {
        Value::Map(vec![
            (text("id"), Value::Int64(id)),
            (text("above"), above.map_or(Value::Null, Value::Int64)),
        ])
    };
    let second = if is_bad { Some(99) } else { None };
    batch(
        None,
        vec![
            row(1, Some(3)),
            row(2, second),
            row(3, None),
            row(4, Some(2)),
        ],
    )
}

async fn put_family(
    session: &Arc<dyn SqlSession>,
    connection: &Arc<dyn SqlConnection>,
    is_bad: bool,
) -> Result<Vec<u32>, LedgerError> {
    let columns = [("id", field("id")), ("above", field("above"))];
    let mut refused = Vec::new();
    // In two writes, as a large put comes.
    for rows in [vec![0, 1], vec![2, 3]] {
        let how = how("upsert", &columns, &["id"]);
        let rows = if is_bad { None } else { Some(rows) };
        let errants = connection.write(family(is_bad), rows.clone(), how).await;
        refused.extend(errants.unwrap().iter().map(|errant| errant.row));
        if rows.is_none() {
            break;
        }
    }
    session.commit(vec![(at(3), 200)]).await.map(|()| refused)
}

#[tokio::test]
async fn deferred_constraints_name_rows_and_spare_those_that_wait_for_later_ones() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, \
         above bigint REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    );
    let (session, connection) = database.put().await;
    assert_eq!(put_family(&session, &connection, false).await, Ok(vec![]));
    assert_eq!(database.rows("SELECT count(*) FROM t"), ["4"]);
    database.run_sql("DELETE FROM t");

    let (session, connection) = database.put().await;
    let first = put_family(&session, &connection, true).await;
    let Err(LedgerError::RolledBack(SqlError::Rejected { code, .. })) = &first else {
        panic!("{first:?}");
    };
    assert_eq!(code, "23503");
    session.rollback().await.unwrap();
    session.begin();
    let again = put_family(&session, &connection, true).await;
    assert_eq!(again, Ok(vec![1, 3]));
    assert_eq!(database.rows("SELECT id FROM t ORDER BY id"), ["1", "3"]);
    assert_eq!(database.stored(), ["200"]);
}
