//! Describing and making tables.

use rusqlite::types::Value as Stored;
use tidegate_sandbox::{SqlError, ValueSource, Write};

use super::harness::{Files, column, commit, field, insert, insert_v, strings, table};

#[tokio::test]
async fn a_table_is_made_once_and_grows() {
    let files = Files::new();
    let (_session, connection) = files.connect().await;
    assert_eq!(connection.describe("t".into()).await, Ok(None));
    let wanted = table(
        vec![
            column("id", "BIGINT", true),
            column("name", "VARCHAR(20)", true),
            column("at", "TEXT", false),
        ],
        &["id", "at"],
    );
    let mut made = wanted.clone();
    made.columns[0].nullable = false;
    for _ in 0..2 {
        let answer = connection.ensure_table("t".into(), wanted.clone()).await;
        assert_eq!(answer.as_ref(), Ok(&made));
    }
    assert_eq!(
        connection.describe("T".into()).await,
        Ok(Some(made.clone()))
    );

    let more = table(
        vec![column("NAME", "TEXT", true), column("extra", "REAL", true)],
        &[],
    );
    made.columns.push(column("extra", "REAL", true));
    for _ in 0..2 {
        let answer = connection.ensure_table("t".into(), more.clone()).await;
        assert_eq!(answer.as_ref(), Ok(&made));
    }
}

#[tokio::test]
async fn evil_names_stay_names() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    let evil = "x\"); DROP TABLE t; --";
    files.execute("CREATE TABLE t (v)");
    for name in [evil, "select", "é ü", "a.b", "'", "`[]", "main\".\"t"] {
        let wanted = table(vec![column(name, "TEXT", true)], &[name]);
        connection.ensure_table(name.into(), wanted).await.unwrap();
        let found = connection.describe(name.into()).await.unwrap().unwrap();
        assert_eq!(found.columns[0].name, name);
        let more = table(vec![column(&format!("{name}2"), "TEXT", true)], &[]);
        connection.ensure_table(name.into(), more).await.unwrap();
        let how = insert(name, &[(name, ValueSource::Value)]);
        let written = connection.write(strings(&["v"]), None, how).await;
        assert_eq!(written, Ok(vec![]), "{name}");
        commit(&session).await.unwrap();
    }
    assert_eq!(
        files.query(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name <> 'tidegate_offsets'"
        ),
        [Stored::Integer(8)]
    );
}

#[tokio::test]
async fn what_cannot_be_made_is_denied() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v); INSERT INTO t VALUES (1)");
    let ok = || vec![column("v", "TEXT", true)];
    for (name, wanted) in [
        ("t", table(vec![], &[])),
        ("n", table(ok(), &["other"])),
        ("n", table(vec![column("v", "TEXT, x INT", true)], &[])),
        ("n", table(vec![column("", "TEXT", true)], &[])),
        ("", table(ok(), &[])),
        ("sqlite_stat1", table(ok(), &[])),
        ("Tidegate_offsets", table(ok(), &[])),
        ("t", table(vec![column("id", "INT", false)], &["id"])),
    ] {
        let answer = connection.ensure_table(name.into(), wanted.clone()).await;
        assert!(
            matches!(answer, Err(SqlError::Denied(_))),
            "{wanted:?}: {answer:?}"
        );
    }
    // The table has rows, which would have no value: SQLite says so; nothing is left half-done.
    let wanted = table(
        vec![column("a", "TEXT", true), column("b", "TEXT", false)],
        &[],
    );
    let answer = connection.ensure_table("t".into(), wanted).await;
    assert!(
        matches!(answer, Err(SqlError::Rejected { .. })),
        "{answer:?}"
    );
    let found = connection.describe("t".into()).await.unwrap().unwrap();
    assert_eq!(found.columns.len(), 1);

    connection
        .write(strings(&["x"]), None, insert_v())
        .await
        .unwrap();
    let late = connection.ensure_table("u".into(), table(ok(), &[])).await;
    assert!(matches!(late, Err(SqlError::Denied(_))), "{late:?}");
    commit(&session).await.unwrap();
}

#[tokio::test]
async fn writes_that_make_no_sense_are_denied() {
    let files = Files::new();
    let (_session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (v)");
    let how = |mode: &str, identity: &[&str]| Write {
        mode: mode.into(),
        identity: identity.iter().map(|name| (*name).to_owned()).collect(),
        ..insert_v()
    };
    let tombstones = Write {
        delete_tombstones: true,
        ..insert_v()
    };
    let long = "x".repeat(2000);
    for (how, selection) in [
        (how("merge", &["v"]), None),
        (how("upsert", &[]), None),
        (how("upsert", &["other"]), None),
        (how("upsert", &["v", "V"]), None),
        (how("update", &[]), None),
        (how("update", &["v"]), None),
        (how("delete", &[]), None),
        (tombstones, None),
        (insert("t", &[]), None),
        (insert("t", &[("v", field("a")), ("V", field("b"))]), None),
        (insert("t", &[("v", field(&long))]), None),
        (insert("sqlite_schema", &[("v", field("a"))]), None),
        (insert("TIDEGATE_offsets", &[("v", field("a"))]), None),
        (insert_v(), Some(vec![1])),
    ] {
        let answer = connection
            .write(strings(&["x"]), selection, how.clone())
            .await;
        assert!(
            matches!(answer, Err(SqlError::Denied(_))),
            "{how:?}: {answer:?}"
        );
    }
}
