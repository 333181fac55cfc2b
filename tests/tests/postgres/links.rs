//! Logging in, TLS, and how many links there are.

use std::{fs, path::Path};

use tidegate_connections::{SessionSettings, session};
use tidegate_sandbox::{SqlError, Table};
use tidegate_tests::{
    certificates::Certificates,
    ports::free_port,
    postgres::{PASSWORD, Postgres, TLS_USER, USER},
    scratch::Scratch,
};

use super::harness::*;

/// Logs in and looks for a table, which there is not.
async fn log_in(settings: SessionSettings) -> Result<Option<Table>, SqlError> {
    let session = session(&std::sync::Arc::default(), settings);
    let connection = session.connect(KEY.into()).await?;
    connection.describe("none".into()).await
}

fn url(host: &str, query: &str) -> SessionSettings {
    let port = Postgres::shared().port();
    settings(&format!("jdbc:postgresql://{host}:{port}/postgres?{query}"))
}

fn trusting(mut settings: SessionSettings, authority: &Path) -> SessionSettings {
    let connection = settings.connections.get_mut(KEY).unwrap();
    connection.trusted_certificates = Some(fs::read_to_string(authority).unwrap());
    settings
}

#[tokio::test]
async fn a_verified_server_is_the_one_of_the_certificate() {
    let server = Postgres::shared();
    let verified = |host| url(host, "sslmode=verify-full");
    let own = log_in(trusting(verified("127.0.0.1"), server.authority())).await;
    assert_eq!(own, Ok(None));
    let ca = log_in(trusting(
        url("localhost", "sslmode=verify-ca"),
        server.authority(),
    ))
    .await;
    assert_eq!(ca, Ok(None));

    let scratch = Scratch::new("certificates");
    let others = Certificates::create(&scratch.join("tls"));
    let stranger = trusting(verified("127.0.0.1"), &others.authority);
    let other_host = trusting(verified("127.0.0.2"), server.authority());
    let other_host_ca = trusting(url("127.0.0.2", "sslmode=verify-ca"), server.authority());
    // Nobody signed it whom everybody trusts.
    let well_known = verified("127.0.0.1");
    for settings in [stranger, other_host, other_host_ca, well_known] {
        let answer = log_in(settings).await;
        let Err(SqlError::Denied(reason)) = &answer else {
            panic!("{answer:?}");
        };
        assert!(reason.contains("is not trusted"), "{reason}");
    }
    // Encrypted only, as in JDBC.
    assert_eq!(log_in(url("127.0.0.2", "sslmode=require")).await, Ok(None));

    let mut garbage = verified("127.0.0.1");
    let connection = garbage.connections.get_mut(KEY).unwrap();
    connection.trusted_certificates = Some("nonsense".into());
    let answer = log_in(garbage).await;
    assert!(
        matches!(&answer, Err(SqlError::Denied(reason)) if reason.contains("PEM")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn links_are_encrypted_unless_the_url_says_otherwise() {
    let user = format!("user={TLS_USER}");
    assert_eq!(log_in(url("127.0.0.1", &user)).await, Ok(None));
    let clear = log_in(url("127.0.0.1", &format!("{user}&sslmode=disable"))).await;
    let Err(SqlError::Rejected { code, message }) = &clear else {
        panic!("{clear:?}");
    };
    assert_eq!(code, "28000");
    assert!(message.contains("pg_hba.conf"), "{message}");
    let bound = format!("{user}&channelBinding=require");
    assert_eq!(log_in(url("127.0.0.1", &bound)).await, Ok(None));
    // Without TLS there is nothing to bind to.
    let unbound = log_in(url("127.0.0.1", "channelBinding=require&sslmode=disable")).await;
    assert!(unbound.is_err());
}

#[tokio::test]
async fn a_refused_login_names_no_password() {
    let mut wrong = url("127.0.0.1", "");
    let connection = wrong.connections.get_mut(KEY).unwrap();
    connection.password = Some("not-it".into());
    let mut missing = wrong.clone();
    missing.connections.get_mut(KEY).unwrap().password = None;
    let in_url = url("127.0.0.1", "password=not-it");
    for (settings, says) in [
        (wrong, "28P01"),
        (missing, "connection.password"),
        (in_url, "28P01"),
    ] {
        let error = log_in(settings).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(
            !error.contains("not-it") && !error.contains(PASSWORD),
            "{error}"
        );
    }
    let mut nobody = url("127.0.0.1", "");
    nobody.connections.get_mut(KEY).unwrap().user = None;
    let error = log_in(nobody).await.unwrap_err();
    assert!(matches!(&error, SqlError::Denied(reason) if reason.contains("connection.user")));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let nowhere = settings(&format!("jdbc:postgresql://127.0.0.1:{}/d", free_port()));
    let answer = log_in(nowhere).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    // The second host answers.
    let port = Postgres::shared().port();
    let hosts = format!("127.0.0.1:{},127.0.0.1:{port}", free_port());
    let second = settings(&format!("postgres://{USER}:{PASSWORD}@{hosts}/postgres"));
    assert_eq!(log_in(second).await, Ok(None));

    let answer = log_in(settings(&Postgres::shared().url("no_such_database"))).await;
    let Err(SqlError::Rejected { code, message }) = &answer else {
        panic!("{answer:?}");
    };
    assert!(
        code == "3D000" && message.contains("create the database"),
        "{message}"
    );
}

#[tokio::test]
async fn links_are_set_up() {
    let database = Database::new();
    database.run_sql("CREATE SCHEMA app; CREATE TABLE app.t (v text)");
    let mut settings = database.settings();
    let connection = settings.connections.get_mut(KEY).unwrap();
    connection.url += "?currentSchema=app,public&ApplicationName=my-app";
    let session = session(&database.pools, settings);
    let connection = session.connect(KEY.into()).await.unwrap();
    assert!(connection.describe("t".into()).await.unwrap().is_some());
    let names = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'my-app'";
    assert_eq!(database.rows(names), ["1"]);
    let shown = "SELECT concat_ws(' ', current_setting('lock_timeout'), \
                 current_setting('statement_timeout'), current_setting('TimeZone'), \
                 current_setting('idle_in_transaction_session_timeout')) AS s";
    let cursor = connection.query(shown.into(), vec![]).await.unwrap();
    let batch = cursor.next(1).await.unwrap().unwrap();
    let json = batch.values.read(tidegate_model::columns::Encoding::Json);
    let json = String::from_utf8(json.unwrap().data().to_vec()).unwrap();
    assert_eq!(json, r#"{"s":"500ms 10min UTC 30s"}"#);
}

#[tokio::test]
async fn tasks_share_links_and_wait_for_a_free_one() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (v text)");
    let mut puts = Vec::new();
    for _ in 0..16 {
        let session = database.session();
        session.begin();
        let connection = session.connect(KEY.into()).await.unwrap();
        connection
            .write(strings(&["a"]), None, insert_v())
            .await
            .unwrap();
        puts.push(session);
    }
    let last = database.session();
    last.begin();
    let connection = last.connect(KEY.into()).await.unwrap();
    let answer = connection.write(strings(&["b"]), None, insert_v()).await;
    assert!(
        matches!(&answer, Err(SqlError::Unavailable(reason)) if reason.contains("16 links")),
        "{answer:?}"
    );
    last.rollback().await.unwrap();
    puts.pop().unwrap().rollback().await.unwrap();
    last.begin();
    connection
        .write(strings(&["b"]), None, insert_v())
        .await
        .unwrap();
    // A task that ends without a word gives its link up as well.
    drop(puts.pop());
    let another = database.session();
    another.begin();
    let connection = another.connect(KEY.into()).await.unwrap();
    connection
        .write(strings(&["c"]), None, insert_v())
        .await
        .unwrap();
}
