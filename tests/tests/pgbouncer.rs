//! Sinks behind a pooler that hands each transaction to another server process.

use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::pgbouncer::PgBouncer;
use tidegate_tests::postgres::{PASSWORD, Postgres, USER};
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 3;
const ROUNDS: i64 = 8;
const ROUND: i64 = 30;

#[test]
fn transactions_that_change_the_server_process_need_a_word_in_the_url_alone() {
    let server = Postgres::start();
    let Some(pooler) = PgBouncer::start(&server) else {
        return;
    };
    let worker = Worker::setup(Broker::shared()).start();
    worker.rest().upload_guests(&["sql-sink"]);
    let client = Broker::shared().client();
    // A table that is created and one with types that have to be looked up.
    let tables = [
        ("created", ""),
        (
            "typed",
            "CREATE SCHEMA \"it's\"; CREATE DOMAIN word AS text; \
             CREATE TYPE mood AS ENUM ('good', 'bad'); \
             CREATE TABLE \"it's\".typed (id int8 PRIMARY KEY, v word, m mood)",
        ),
    ];
    let mut databases = Vec::new();
    for (name, table) in tables {
        let database = server.create_database();
        let mut url = format!(
            "{}?prepareThreshold=0&ApplicationName=tg%20sink",
            pooler.url(&database)
        );
        if !table.is_empty() {
            server.run_sql(&database, table);
            url += "&currentSchema=\"it's\"";
        }
        client.create_topic(name, PARTITIONS);
        let config = [
            ("connector.class", "JdbcSink"),
            ("tasks.max", "3"),
            ("topics", name),
            ("connection.url", url.as_str()),
            ("connection.user", USER),
            ("connection.password", PASSWORD),
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("auto.create", "true"),
            ("insert.mode", "upsert"),
            ("pk.mode", "record_value"),
            ("pk.fields", "id"),
        ];
        worker.rest().create(name, &config);
        databases.push((name, database));
    }
    for round in 0..ROUNDS {
        for (name, _) in &databases {
            let texts: Vec<_> = (round * ROUND..(round + 1) * ROUND)
                .map(|id| {
                    let text = format!(r#"{{"id":{id},"v":"x{id}","m":"good"}}"#);
                    (id.to_string(), text)
                })
                .collect();
            let records = texts.iter().map(|(key, text)| (Some(&**key), &**text));
            client.produce(name, records);
        }
        for (name, _) in &databases {
            // So each round is several transactions more.
            let group = format!("connect-{name}");
            let what = format!("round {round} of {name} is done");
            wait_until(&what, LIMIT, || {
                let done = client.committed(&group, name);
                let done = done.iter().filter_map(|(_, offset)| *offset);
                done.sum::<i64>() == (round + 1) * ROUND
            });
        }
    }
    for (name, database) in &databases {
        let table = match *name {
            "typed" => "\"it's\".typed",
            name => name,
        };
        let sql = format!("SELECT count(*), count(DISTINCT id), min(v::text) FROM {table}");
        let all = ROUNDS * ROUND;
        assert_eq!(server.rows(database, &sql), [format!("{all}|{all}|x0")]);
        let metrics = worker.rest().get("/metrics").text;
        let again = metrics
            .lines()
            .filter(|line| line.starts_with("tidegate_task_recoveries_total"))
            .filter(|line| !line.ends_with(" 0"));
        assert_eq!(again.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
