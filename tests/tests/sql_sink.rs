//! The sql-sink with a real PostgreSQL: tables that it makes and widens, secured links, and what a
//! person reads when something is wrong.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::postgres::{PASSWORD, Postgres, TLS_USER, USER};
use tidegate_tests::rest::config_object;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// A topic, a connector and a database of the same name.
struct Sink {
    name: &'static str,
    database: String,
    worker: Worker,
}

impl Sink {
    fn new(name: &'static str) -> Self {
        Broker::shared().client().create_topic(name, 1);
        let worker = Worker::setup(Broker::shared()).start();
        worker.rest().upload_guests(&["sql-sink"]);
        Self {
            name,
            database: Postgres::shared().create_database(),
            worker,
        }
    }

    fn config<'a>(&'a self, url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut config = vec![
            ("name", self.name),
            ("connector.class", "JdbcSink"),
            ("topics", self.name),
            ("connection.url", url),
            ("connection.user", USER),
            ("connection.password", PASSWORD),
            ("value.converter", "JsonConverter"),
            ("table.name.format", "items"),
            ("max.retries", "2"),
            ("retry.backoff.ms", "100"),
        ];
        for pair in more {
            config.retain(|(key, _)| key != &pair.0);
            config.push(*pair);
        }
        config
    }

    fn create(&self, more: &[(&str, &str)]) {
        let url = Postgres::shared().url(&self.database);
        let config = self.config(&url, more);
        self.worker.rest().create(self.name, &config);
    }

    fn produce(&self, values: &[Value]) {
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        let records = texts.iter().map(|text| (None, text.as_str()));
        Broker::shared().client().produce(self.name, records);
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        Postgres::shared().rows(&self.database, sql)
    }

    fn wait_for_rows(&self, wanted: usize) {
        let count = || {
            let found = self.rows("SELECT to_regclass('items') IS NOT NULL");
            if found == ["t"] {
                self.rows("SELECT count(*) FROM items")[0].parse().unwrap()
            } else {
                0
            }
        };
        wait_until(&format!("{wanted} rows"), LIMIT, || count() >= wanted);
    }

    fn failure(&self) -> String {
        let trace = self.worker.rest().wait_for_failed_task(self.name);
        assert!(!trace.contains(PASSWORD), "{trace}");
        trace
    }
}

/// A value and its schema, as JsonConverter has them.
fn enveloped(fields: &[(&str, &str, Option<&str>, Value)]) -> Value {
    let schema = |(name, kind, logical, _): &(&str, &str, Option<&str>, Value)| {
        let mut field = json!({"field": name, "type": kind, "optional": true});
        if let Some(logical) = logical {
            field["name"] = json!(format!("org.apache.kafka.connect.data.{logical}"));
        }
        if *logical == Some("Decimal") {
            field["parameters"] = json!({"scale": "2"});
        }
        if *kind == "array" {
            field["items"] = json!({"type": "int32", "optional": true});
        }
        if *kind == "map" {
            field["keys"] = json!({"type": "string"});
            field["values"] = json!({"type": "int32"});
        }
        field
    };
    let payload: serde_json::Map<_, _> = fields
        .iter()
        .map(|(name, _, _, value)| ((*name).to_owned(), value.clone()))
        .collect();
    json!({
        "schema": {"type": "struct", "fields": fields.iter().map(schema).collect::<Vec<_>>()},
        "payload": payload,
    })
}

#[test]
fn a_table_is_made_for_the_schema_and_grows_with_it() {
    let sink = Sink::new("grows");
    let first = enveloped(&[
        ("id", "int64", None, json!(1)),
        ("small", "int16", None, json!(-2)),
        ("name", "string", None, json!("Grüße 🎈")),
        ("ok", "boolean", None, json!(true)),
        ("amount", "double", None, json!(0.1)),
        ("price", "bytes", Some("Decimal"), json!("MDk=")),
        ("day", "int32", Some("Date"), json!(20_000)),
        (
            "at",
            "int64",
            Some("Timestamp"),
            json!(1_790_000_000_123_i64),
        ),
        ("numbers", "array", None, json!([1, null, 3])),
        ("tags", "map", None, json!({"a": 1})),
        ("raw", "bytes", None, json!("AP8=")),
    ]);
    sink.produce(&[first]);
    sink.create(&[
        ("auto.create", "true"),
        ("auto.evolve", "true"),
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("pk.fields", "id"),
    ]);
    sink.wait_for_rows(1);
    let kinds = sink.rows(
        "SELECT column_name || ' ' || data_type FROM information_schema.columns \
         WHERE table_name = 'items' ORDER BY ordinal_position",
    );
    assert_eq!(
        kinds,
        [
            "id bigint",
            "small smallint",
            "name text",
            "ok boolean",
            "amount double precision",
            "price numeric",
            "day date",
            "at timestamp with time zone",
            "numbers ARRAY",
            "tags jsonb",
            "raw bytea",
        ]
    );
    let row = "SELECT id, small, name, ok, amount, price, day, \
               to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS'), numbers, tags, \
               encode(raw, 'hex') FROM items WHERE id = 1";
    assert_eq!(
        sink.rows(row),
        [
            "1|-2|Grüße 🎈|t|0.1|123.45|2024-10-04|2026-09-21 14:13:20.123|{1,NULL,3}|{\"a\": 1}|00ff"
        ]
    );
    let wider = enveloped(&[
        ("id", "int64", None, json!(2)),
        ("note", "string", None, json!("new")),
    ]);
    let changed = enveloped(&[
        ("id", "int64", None, json!(1)),
        ("note", "string", None, json!("changed")),
    ]);
    sink.produce(&[wider, changed]);
    sink.wait_for_rows(2);
    let notes = "SELECT id, name, note FROM items ORDER BY id";
    wait_until("both changes are there", LIMIT, || {
        sink.rows(notes) == ["1|Grüße 🎈|changed", "2||new"]
    });
}

#[test]
fn texts_become_what_the_columns_are_and_what_does_not_fit_is_named() {
    let sink = Sink::new("typed");
    Postgres::shared().run_sql(
        &sink.database,
        "CREATE TYPE mood AS ENUM ('calm', 'wild'); \
         CREATE TABLE items (id int PRIMARY KEY, u uuid, d date, t timestamptz, m mood, j jsonb, \
         net inet, n numeric(6, 2))",
    );
    let good = json!({
        "id": 1, "u": "0b8a2c5e-3f4d-4a6b-8c9d-0e1f2a3b4c5d", "d": "2026-01-31",
        "t": "2026-01-31T13:14:15.123Z", "m": "wild", "j": {"a": [1, "x"]}, "net": "10.0.0.0/8",
        "n": 12.5,
    });
    let bad = json!({"id": 2, "u": "no uuid at all"});
    sink.produce(&[good, bad]);
    sink.create(&[("value.converter.schemas.enable", "false")]);
    let trace = sink.failure();
    for part in ["typed-0@1", "\"u\"", "string", "uuid", "errors.tolerance"] {
        assert!(trace.contains(part), "no {part}: {trace}");
    }
    let mut config = config_object(&sink.config(
        &Postgres::shared().url(&sink.database),
        &[
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
        ],
    ));
    config.insert("errors.log.enable".to_owned(), json!("true"));
    let path = format!("/connectors/{}/config", sink.name);
    sink.worker.rest().put(&path, &config.into()).expect(200);
    sink.wait_for_rows(1);
    assert_eq!(
        sink.rows("SELECT u, d, t AT TIME ZONE 'UTC', m, j, net, n FROM items"),
        [
            "0b8a2c5e-3f4d-4a6b-8c9d-0e1f2a3b4c5d|2026-01-31|2026-01-31 13:14:15.123|wild|\
             {\"a\": [1, \"x\"]}|10.0.0.0/8|12.50"
        ]
    );
}

#[test]
fn a_server_is_verified_before_it_sees_a_password() {
    let sink = Sink::new("verified");
    let authority = fs::read_to_string(Postgres::shared().authority()).unwrap();
    let verified = format!(
        "{}?sslmode=verify-full",
        Postgres::shared().url(&sink.database)
    );
    sink.produce(&[json!({"id": 1})]);
    let plain = ("value.converter.schemas.enable", "false");
    let create = ("auto.create", "true");
    sink.create(&[plain, create, ("connection.url", &verified)]);
    let trace = sink.failure();
    assert!(trace.contains("certificate"), "{trace}");
    let trusting = [
        plain,
        create,
        ("connection.url", verified.as_str()),
        ("connection.user", TLS_USER),
        ("connection.ssl.truststore.certificates", &authority),
    ];
    let url = Postgres::shared().url(&sink.database);
    let config = config_object(&sink.config(&url, &trusting));
    let path = format!("/connectors/{}/config", sink.name);
    sink.worker.rest().put(&path, &config.into()).expect(200);
    sink.wait_for_rows(1);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let sink = Sink::new("wrong");
    let rest = sink.worker.rest();
    let url = Postgres::shared().url(&sink.database);
    // Before anything runs.
    for (more, part) in [
        (
            ("connection.url", "jdbc:oracle:thin:@host"),
            "jdbc:postgresql:",
        ),
        (
            ("connection.url", "jdbc:postgresql://h/d?sslcert=/etc/x"),
            "sslcert",
        ),
        (("insert.mode", "upsert"), "pk.mode"),
        (("delete.enabled", "true"), "record_key"),
    ] {
        let config = config_object(&sink.config(&url, &[more]));
        let body = json!({"name": sink.name, "config": config});
        let answer = rest.post("/connectors", &body);
        assert!(
            answer.error(400).contains(part),
            "{more:?}: {}",
            answer.text
        );
        assert!(!answer.text.contains(PASSWORD), "{}", answer.text);
    }
    // On the way.
    sink.produce(&[json!({"id": 1, "nope": 2})]);
    let plain = ("value.converter.schemas.enable", "false");
    sink.create(&[plain]);
    let trace = sink.failure();
    assert!(
        trace.contains("items") && trace.contains("auto.create"),
        "{trace}"
    );
    let failing = |sql: &str, more: &[(&str, &str)], parts: &[&str]| {
        if !sql.is_empty() {
            Postgres::shared().run_sql(&sink.database, sql);
        }
        let mut all = vec![plain];
        all.extend(more);
        let config = config_object(&sink.config(&url, &all));
        let path = format!("/connectors/{}/config", sink.name);
        rest.delete(&format!("/connectors/{}", sink.name))
            .expect(204);
        rest.put(&path, &config.into()).expect(201);
        let trace = sink.failure();
        for part in parts {
            assert!(trace.contains(part), "no {part}: {trace}");
        }
    };
    failing("CREATE TABLE items (id int)", &[], &["nope", "auto.evolve"]);
    let parts = ["28P01", "password authentication", "pg_hba.conf"];
    failing("", &[("connection.password", "wrong")], &parts);
}
