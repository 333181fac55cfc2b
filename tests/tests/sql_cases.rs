//! Records that somebody had trouble with, through a worker into a real database: what is in the
//! table then, and which of them are dead letters.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::postgres::{PASSWORD, Postgres, USER};
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);
const UPSERT: [(&str, &str); 3] = [
    ("insert.mode", "upsert"),
    ("pk.mode", "record_value"),
    ("pk.fields", "id"),
];
const CREATE: (&str, &str) = ("auto.create", "true");
const EVOLVE: (&str, &str) = ("auto.evolve", "true");

/// Some records, and what is to come of them.
struct Case<'a> {
    /// Of topic and connector.
    name: &'a str,
    table: &'a str,
    config: Vec<(&'a str, &'a str)>,
    records: Vec<Value>,
    query: &'a str,
    rows: &'a [&'a str],
    /// Offset of each dead letter, and a part of the reason.
    dead: &'a [(i64, &'a str)],
}

fn check(cases: &[Case<'_>]) {
    let worker = Worker::setup(Broker::shared()).start();
    worker.rest().upload_guests(&["sql-sink"]);
    let mut databases = Vec::new();
    for case in cases {
        let database = Postgres::shared().create_database();
        if !case.table.is_empty() {
            Postgres::shared().run_sql(&database, case.table);
        }
        // There before the connector is, so that they come in one batch.
        let client = Broker::shared().client();
        client.create_topic(case.name, 1);
        let texts: Vec<String> = case.records.iter().map(Value::to_string).collect();
        let records = texts.iter().map(|text| (Some("key"), text.as_str()));
        client.produce(case.name, records);
        let url = Postgres::shared().url(&database);
        let queue = format!("{}-dead", case.name);
        let mut config = vec![
            ("connector.class", "JdbcSink"),
            ("topics", case.name),
            ("connection.url", url.as_str()),
            ("connection.user", USER),
            ("connection.password", PASSWORD),
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", queue.as_str()),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ];
        for pair in &case.config {
            config.retain(|(key, _)| key != &pair.0);
            config.push(*pair);
        }
        worker.rest().create(case.name, &config);
        databases.push((database, queue));
    }
    for (case, (database, queue)) in cases.iter().zip(databases) {
        let client = Broker::shared().client();
        let group = format!("connect-{}", case.name);
        let end = i64::try_from(case.records.len()).unwrap();
        wait_until(&format!("{} is done", case.name), LIMIT, || {
            client.committed(&group, case.name) == [(0, Some(end))]
        });
        let rows = Postgres::shared().rows(&database, case.query);
        assert_eq!(rows, case.rows, "{}", case.name);
        let mut dead: Vec<(i64, String)> = match client.partitions(&queue).is_empty() {
            true => Vec::new(),
            false => client.read(&queue).iter().map(letter).collect(),
        };
        dead.sort();
        let offsets: Vec<_> = dead.iter().map(|(offset, _)| *offset).collect();
        let wanted: Vec<_> = case.dead.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, wanted, "{}: {dead:?}", case.name);
        for ((_, reason), (_, part)) in dead.iter().zip(case.dead) {
            assert!(reason.contains(part), "{}: {reason}", case.name);
        }
    }
}

fn letter(record: &tidegate_tests::kafka::Record) -> (i64, String) {
    let offset = record.header("__connect.errors.offset").parse().unwrap();
    let reason = record.header("__connect.errors.exception.message");
    (offset, reason.to_owned())
}

fn with<'a>(one: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [one, more].concat()
}

fn columns(table: &str) -> String {
    format!(
        "SELECT column_name || ' ' || data_type FROM information_schema.columns \
         WHERE table_name = '{table}' ORDER BY ordinal_position"
    )
}

#[test]
fn a_record_that_is_unlike_the_others_is_judged_alone() {
    let others = |second: Value| {
        vec![
            json!({"id": 1, "v": "a"}),
            second,
            json!({"id": 3, "v": "c"}),
        ]
    };
    let both: &[&str] = &["1|a", "3|c"];
    let case = |name, config, second, dead| Case {
        name,
        table: "",
        config,
        records: others(second),
        query: Box::leak(format!("SELECT id, v FROM {name} ORDER BY id").into_boxed_str()),
        rows: both,
        dead,
    };
    check(&[
        case(
            "emptyname",
            vec![CREATE, EVOLVE],
            json!({"id": 2, "": "x"}),
            &[(1, "its name is empty")],
        ),
        case(
            "longname",
            vec![CREATE, EVOLVE],
            json!({"id": 2, "k".repeat(64): "x"}),
            &[(1, "longer than 63 bytes")],
        ),
        case(
            "unknownfield",
            vec![CREATE],
            json!({"id": 2, "extra": "x"}),
            &[(1, "lacks extra")],
        ),
        case(
            "manyfields",
            vec![CREATE, EVOLVE],
            (0..1700)
                .map(|n| (format!("c{n}"), json!(n)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            &[(1, "54011")],
        ),
        case(
            "scalar",
            vec![CREATE, EVOLVE],
            json!(5),
            &[(1, "has no fields")],
        ),
        case(
            "scalarupsert",
            with(&UPSERT, &[CREATE, EVOLVE]),
            json!("text"),
            &[(1, "has no fields")],
        ),
        case(
            "nokey",
            with(&UPSERT, &[CREATE]),
            json!({"v": "b"}),
            &[(1, "has no id")],
        ),
        Case {
            name: "first",
            table: "",
            config: with(&UPSERT, &[CREATE]),
            records: vec![json!({"v": "b"})],
            query: "SELECT to_regclass('first') IS NULL",
            rows: &["t"],
            dead: &[(0, "has no id")],
        },
        Case {
            name: "partial",
            table: "CREATE TABLE partial (id int PRIMARY KEY, a int, b int); \
                    INSERT INTO partial VALUES (1, 1, 2), (2, 1, 2)",
            config: UPSERT.to_vec(),
            records: vec![json!({"id": 1, "a": 5}), json!({"id": 2, "b": 7})],
            query: "TABLE partial ORDER BY id",
            rows: &["1|5|2", "2|1|7"],
            dead: &[],
        },
        Case {
            name: "generated",
            table: "CREATE TABLE generated (id int PRIMARY KEY, a int, \
                    twice int GENERATED ALWAYS AS (a * 2) STORED)",
            config: vec![EVOLVE],
            records: vec![
                json!({"id": 1, "a": 2, "twice": 4}),
                json!({"id": 2, "a": 3}),
            ],
            query: "TABLE generated",
            rows: &["2|3|6"],
            dead: &[(0, "twice of table generated is generated by the database")],
        },
        Case {
            name: "identity",
            table: "CREATE TABLE identity (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)",
            config: UPSERT.to_vec(),
            records: vec![
                json!({"id": 5, "v": "a"}),
                json!({"id": 6, "v": "b"}),
                json!({"id": 5, "v": "c"}),
            ],
            query: "TABLE identity ORDER BY id",
            rows: &["5|c", "6|b"],
            dead: &[],
        },
    ]);
}

#[test]
fn records_are_written_in_their_order_before_one_is_refused() {
    let moves = "(id int PRIMARY KEY, v text UNIQUE)";
    let table = |name: &str| {
        format!("CREATE TABLE {name} {moves}; INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    };
    let (first, second) = (table("moves"), table("swaps"));
    check(&[
        Case {
            name: "moves",
            table: &first,
            config: UPSERT.to_vec(),
            records: vec![json!({"id": 2, "v": "c"}), json!({"id": 1, "v": "b"})],
            query: "TABLE moves ORDER BY id",
            rows: &["1|b", "2|c"],
            dead: &[],
        },
        Case {
            name: "swaps",
            table: &second,
            config: UPSERT.to_vec(),
            records: vec![
                json!({"id": 1, "v": "tmp"}),
                json!({"id": 2, "v": "a"}),
                json!({"id": 3, "v": "tmp"}),
                json!({"id": 1, "v": "b"}),
            ],
            query: "TABLE swaps ORDER BY id",
            rows: &["1|b", "2|a"],
            dead: &[(2, "23505")],
        },
        Case {
            name: "deferred",
            table: "CREATE TABLE deferred (id int PRIMARY KEY, \
                    above int REFERENCES deferred DEFERRABLE INITIALLY DEFERRED)",
            config: UPSERT.to_vec(),
            records: vec![
                json!({"id": 1, "above": 2}),
                json!({"id": 3, "above": 99}),
                json!({"id": 2}),
            ],
            query: "TABLE deferred ORDER BY id",
            rows: &["1|2", "2|"],
            dead: &[(1, "23503")],
        },
    ]);
}

#[test]
fn values_are_taken_for_what_they_are() {
    let typed = |kind: &str, value: Value| {
        json!({
            "schema": {"type": "struct", "fields": [{"field": "id", "type": kind}]},
            "payload": {"id": value},
        })
    };
    let enveloped = ("value.converter.schemas.enable", "true");
    let bent = || {
        vec![
            typed("int32", json!("5")),
            typed("int8", json!(300)),
            typed("int32", json!(7.9)),
            typed("int32", json!(7)),
        ]
    };
    let debezium = |field: &str, kind: &str, name: &str| json!({"field": field, "type": kind, "optional": true, "name": format!("io.debezium.{name}")});
    check(&[
        Case {
            name: "large",
            table: "CREATE TABLE large (id numeric, doc jsonb)",
            config: vec![],
            records: vec![
                json!({"id": 18_446_744_073_709_551_615_u64}),
                json!({"id": i64::MAX}),
                json!({"id": 2, "doc": "{\"half\":"}),
                json!({"id": 3, "doc": "{\"a\": 1}"}),
            ],
            query: "TABLE large",
            rows: &["9223372036854775807|", "3|{\"a\": 1}"],
            dead: &[(0, "out of the range of int64"), (2, "no valid JSON")],
        },
        Case {
            name: "strict",
            table: "CREATE TABLE strict (id int)",
            config: vec![enveloped],
            records: bent(),
            query: "TABLE strict",
            rows: &["7"],
            dead: &[
                (0, "expected int32, found string"),
                (1, "300 is out of the range of int8"),
                (2, "7.9 is out of the range of int32"),
            ],
        },
        Case {
            name: "bent",
            table: "CREATE TABLE bent (id int)",
            config: vec![enveloped, ("tidegate.json.coercion", "kafka")],
            records: bent(),
            query: "TABLE bent",
            rows: &["0", "44", "7", "7"],
            dead: &[],
        },
        Case {
            name: "debezium",
            table: "",
            config: vec![enveloped, CREATE],
            records: vec![json!({
                "schema": {"type": "struct", "fields": [
                    debezium("mt", "int64", "time.MicroTimestamp"),
                    debezium("zt", "string", "time.ZonedTimestamp"),
                    debezium("dd", "int32", "time.Date"),
                    debezium("u", "string", "data.Uuid"),
                    debezium("j", "string", "data.Json"),
                ]},
                "payload": {
                    "mt": 1_700_000_000_123_456_i64,
                    "zt": "2024-05-01T10:00:00.5Z",
                    "dd": 19_700,
                    "u": "d25f41f4-7379-4ead-beef-a98811111111",
                    "j": "{\"a\": 1}",
                },
            })],
            query: Box::leak(columns("debezium").into_boxed_str()),
            rows: &[
                "mt timestamp without time zone",
                "zt timestamp with time zone",
                "dd date",
                "u uuid",
                "j jsonb",
            ],
            dead: &[],
        },
    ]);
}

#[test]
fn tables_have_the_names_that_quotes_and_classes_say() {
    let case = |name, config, query| Case {
        name,
        table: "",
        config,
        records: vec![json!({"id": 1})],
        query,
        rows: &["1"],
        dead: &[],
    };
    check(&[
        case(
            "a.b.quoted",
            vec![CREATE, ("table.name.format", "\"${topic}\"")],
            "TABLE \"a.b.quoted\"",
        ),
        case(
            "part",
            vec![CREATE, ("table.name.format", "public.\"Pa.rt\"")],
            "TABLE public.\"Pa.rt\"",
        ),
        case(
            "a.b.debezium",
            vec![
                (
                    "connector.class",
                    "io.debezium.connector.jdbc.JdbcSinkConnector",
                ),
                ("schema.evolution", "basic"),
            ],
            "TABLE a_b_debezium",
        ),
    ]);
}

#[test]
fn credentials_may_stand_in_the_url() {
    let worker = Worker::setup(Broker::shared()).start();
    worker.rest().upload_guests(&["sql-sink"]);
    let client = Broker::shared().client();
    for (name, form) in [("inparameters", "jdbc"), ("inauthority", "libpq")] {
        let database = Postgres::shared().create_database();
        client.create_topic(name, 1);
        client.produce(name, [(None, "a")]);
        let url = match form {
            "jdbc" => format!(
                "{}?user={USER}&password={PASSWORD}",
                Postgres::shared().url(&database)
            ),
            _ => format!(
                "postgresql://{USER}:{PASSWORD}@127.0.0.1:{}/{database}",
                Postgres::shared().port()
            ),
        };
        let config = [
            ("connector.class", "JdbcSink"),
            ("topics", name),
            ("connection.url", url.as_str()),
            CREATE,
        ];
        worker.rest().create(name, &config);
        let group = format!("connect-{name}");
        wait_until(&format!("{name} is done"), LIMIT, || {
            client.committed(&group, name) == [(0, Some(1))]
        });
        let rows = Postgres::shared().rows(&database, &format!("TABLE {name}"));
        assert_eq!(rows, ["a"]);
        let shown = worker.rest().get(&format!("/connectors/{name}/tasks"));
        assert!(!shown.text.contains(PASSWORD), "{}", shown.text);
    }
}
