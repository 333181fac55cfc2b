//! Describing tables and making them.

use std::sync::Arc;

use tidegate_sandbox::{Column, SqlConnection, SqlError, Table};

use super::harness::*;

fn column(name: &str, kind: &str, nullable: bool) -> Column {
    Column {
        name: name.into(),
        kind: kind.into(),
        nullable,
    }
}

fn table(columns: Vec<Column>, key: &[&str]) -> Table {
    Table {
        columns,
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn connect(
    database: &Database,
) -> (
    Arc<dyn tidegate_sandbox::SqlSession>,
    Arc<dyn SqlConnection>,
) {
    let session = database.session();
    let connection = session.connect(KEY.into()).await.unwrap();
    (session, connection)
}

#[tokio::test]
async fn tables_are_described() {
    let database = Database::new();
    database.run_sql(
        "CREATE SCHEMA app; CREATE TABLE app.\"T x\" (\"B\" varchar(20), a int, \
         c numeric(10,2)[] NOT NULL, d timestamptz, g int GENERATED ALWAYS AS (1) STORED, \
         PRIMARY KEY (\"B\", a)); ALTER TABLE app.\"T x\" DROP COLUMN d",
    );
    let (_session, connection) = connect(&database).await;
    assert_eq!(connection.dialect(), "postgresql");
    let found = connection.describe("app.T x".into()).await.unwrap();
    let wanted = table(
        vec![
            column("B", "character varying(20)", false),
            column("a", "integer", false),
            column("c", "numeric(10,2)[]", false),
            column("g", "integer generated always", true),
        ],
        &["B", "a"],
    );
    assert_eq!(found, Some(wanted));
    for missing in ["T x", "app.t", "none.t", "\"app\".t", "t; SELECT 1"] {
        assert_eq!(
            connection.describe(missing.into()).await,
            Ok(None),
            "{missing}"
        );
    }
    let answer = connection.describe("a.b.c".into()).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
}

#[tokio::test]
async fn tables_are_made_and_extended() {
    let database = Database::new();
    let (session, connection) = connect(&database).await;
    let nasty = "a\"; DROP TABLE x; --";
    let wanted = table(
        vec![
            column("id", "bigint", false),
            column(nasty, "character varying(9)", true),
            column("tags", "text[]", true),
        ],
        &["id"],
    );
    let made = connection.ensure_table("t".into(), wanted.clone()).await;
    assert_eq!(made.as_ref(), Ok(&wanted));
    let again = connection.ensure_table("t".into(), wanted.clone()).await;
    assert_eq!(again, made);
    let mut more = wanted.clone();
    more.columns
        .push(column("at", "timestamp with time zone", true));
    let extended = connection.ensure_table("t".into(), more.clone()).await;
    assert_eq!(extended, Ok(more));
    // Fewer than there are is fine.
    let fewer = table(vec![column("id", "bigint", false)], &["id"]);
    assert_eq!(
        connection
            .ensure_table("t".into(), fewer)
            .await
            .unwrap()
            .columns
            .len(),
        4
    );

    for (bad, says) in [
        (table(vec![], &[]), "without columns"),
        (table(vec![column("a", "int", true)], &["b"]), "primary key"),
        (
            table(vec![column("a", "int default 1", true)], &[]),
            "column type",
        ),
        (
            table(vec![column(&"x".repeat(64), "int", true)], &[]),
            "63 bytes",
        ),
        (table(vec![column("a\0", "int", true)], &[]), "NUL"),
    ] {
        let answer = connection.ensure_table("bad".into(), bad).await;
        let Err(SqlError::Denied(reason)) = &answer else {
            panic!("{answer:?}");
        };
        assert!(reason.contains(says), "{reason}");
    }
    let unknown = table(vec![column("a", "no_such_type", true)], &[]);
    let answer = connection.ensure_table("bad".into(), unknown).await;
    assert!(
        matches!(&answer, Err(SqlError::Rejected { code, .. }) if code == "42704"),
        "{answer:?}"
    );
    // The link of a failed call is closed and the next one works.
    let key = table(vec![column("other", "int", false)], &["other"]);
    let answer = connection.ensure_table("t".into(), key).await;
    assert!(matches!(answer, Err(SqlError::Denied(_))), "{answer:?}");
    let rows = database.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(rows, ["1"]);

    open(&session).await;
    session.begin();
    let how = how(
        "insert",
        &[("id", tidegate_sandbox::ValueSource::Value)],
        &[],
    );
    connection.write(integers([1]), None, how).await.unwrap();
    let answer = connection.ensure_table("t".into(), wanted).await;
    assert!(
        matches!(&answer, Err(SqlError::Denied(reason)) if reason.contains("before")),
        "{answer:?}"
    );
    commit(&session).await;
}

#[tokio::test]
async fn many_tasks_make_one_table() {
    let database = Database::new();
    let mut tasks = Vec::new();
    for number in 0..8 {
        let (session, connection) = connect(&database).await;
        let name = format!("c{}", number % 3);
        let wanted = table(
            vec![column("id", "bigint", false), column(&name, "text", true)],
            &["id"],
        );
        tasks.push(tokio::spawn(async move {
            let made = connection.ensure_table("t".into(), wanted).await;
            drop(session);
            made
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let (_session, connection) = connect(&database).await;
    let found = connection.describe("t".into()).await.unwrap().unwrap();
    let mut names: Vec<_> = found.columns.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["c0", "c1", "c2", "id"]);
}
