//! What a session does not open, and what an open file does not do.

use std::{collections::BTreeMap, os::unix::fs::symlink, sync::Arc};

use tidegate_sandbox::{SqlError, SqlSession};

use super::harness::{Files, column, table};
use crate::{ConnectionSettings, Pools, SessionSettings, session};

#[tokio::test]
async fn only_declared_connections_to_granted_files_open() {
    let files = Files::new();
    let granted = files.root.join("granted");
    std::fs::create_dir(&granted).unwrap();
    std::fs::write(files.root.join("out.db"), "").unwrap();
    symlink(files.root.join("out.db"), granted.join("link.db")).unwrap();
    for (path, fine) in [
        ("granted/new.db", true),
        ("granted/../granted/new.db", true),
        ("out.db", false),
        ("granted/../out.db", false),
        ("granted/link.db", false),
        ("granted/new.db?mode=ro", false),
    ] {
        let url = format!("jdbc:sqlite:{}", files.root.join(path).display());
        let connection = ConnectionSettings {
            url,
            ..ConnectionSettings::default()
        };
        let connections = BTreeMap::from([("url".to_owned(), connection)]);
        let settings = SessionSettings::new(connections, None, vec![granted.clone()]);
        let session = session(&Arc::<Pools>::default(), settings);
        let opened = session.connect("url".into()).await.map(|_| ());
        assert_eq!(opened.is_ok(), fine, "{path}: {opened:?}");
        assert!(fine || matches!(opened, Err(SqlError::Denied(_))));
        let other = session.connect("other".into()).await.map(|_| ());
        assert!(matches!(other, Err(SqlError::Denied(_))));
    }
    assert_eq!(
        std::fs::metadata(files.root.join("out.db")).unwrap().len(),
        0
    );
}

#[tokio::test]
async fn something_else_than_a_database_is_rejected() {
    let files = Files::new();
    std::fs::write(files.file(), "just some text, and long enough".repeat(99)).unwrap();
    let session = files.session();
    let opened = session.connect("url".into()).await.map(|_| ());
    assert!(
        matches!(&opened, Err(SqlError::Rejected { code, .. }) if code == "SQLITE_NOTADB"),
        "{opened:?}"
    );
}

#[tokio::test]
async fn statements_keep_to_their_file_and_transaction() {
    let files = Files::new();
    let database = files.database().await;
    files.execute("CREATE TABLE u (v)");
    let link = database.link().unwrap();
    let db = link.lock();
    for sql in [
        "ATTACH 'other.db' AS other",
        "DETACH main",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "PRAGMA journal_mode = off",
        "PRAGMA synchronous = off",
        "PRAGMA writable_schema = on",
        "PRAGMA trusted_schema = on",
        "SELECT load_extension('x')",
        "CREATE TABLE t (v)",
        "CREATE TEMP TABLE t (v)",
        "CREATE VIRTUAL TABLE t USING fts5(v)",
        "CREATE TRIGGER g AFTER INSERT ON u BEGIN SELECT 1; END",
        "VACUUM INTO 'other.db'",
    ] {
        let error = db.connection.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("authoriz"), "{sql}: {error}");
    }
    // Not even with the host's rights.
    assert!(db.host("ATTACH 'other.db' AS other").is_err());
    assert!(db.host("PRAGMA writable_schema = on").is_err());
    db.connection
        .authorizer(None::<fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization>);
    let pragma = |name: &str| -> String {
        let read = format!("SELECT * FROM pragma_{name}");
        db.connection
            .query_row(&read, [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("trusted_schema"), "Integer(0)");
    assert!(
        db.connection
            .execute_batch("ATTACH 'other.db' AS other")
            .is_err()
    );
}

#[tokio::test]
async fn many_sessions_may_open_a_new_file_at_once() {
    let files = std::sync::Arc::new(Files::new());
    let mut openings = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let files = std::sync::Arc::clone(&files);
        openings.spawn(async move {
            let session = files.session();
            let connection = session.connect("url".into()).await?;
            let wanted = table(vec![column("v", "TEXT", true)], &[]);
            connection.ensure_table("t".into(), wanted).await
        });
    }
    while let Some(opened) = openings.join_next().await {
        let table = opened.unwrap().unwrap();
        assert_eq!(table.columns.len(), 1);
    }
}
