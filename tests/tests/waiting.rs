//! What a task waits for is in its status, in the user's key names, until it is over; the worker's own
//! waits are in its health, and what cannot work ends the start.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidegate_tests::broker::{Broker, PASSWORD, USER};
use tidegate_tests::cluster::Cluster;
use tidegate_tests::files::append_lines;
use tidegate_tests::ports::free_port;
use tidegate_tests::postgres::{self, Postgres};
use tidegate_tests::rest::{Rest, config_object};
use tidegate_tests::wait::{wait_for, wait_until};
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(90);

type Config = Vec<(String, String)>;

fn config(pairs: &[(&str, &str)]) -> Config {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

fn put(rest: &Rest, name: &str, config: &Config) {
    let pairs: Vec<(&str, &str)> = config.iter().map(|(k, v)| (&**k, &**v)).collect();
    let path = format!("/connectors/{name}/config");
    let answer = rest.put(&path, &Value::Object(config_object(&pairs)));
    assert!(answer.status < 300, "{}", answer.text);
}

/// The wait of task 0, which has to be RUNNING and name this key.
#[track_caller]
fn waits_for(rest: &Rest, name: &str, key: &str) -> Value {
    let what = format!("a wait for {key}");
    let status = rest.wait_for_status(name, &what, |status| {
        let keys = status["tasks"][0]["waiting"]["keys"].as_array();
        keys.is_some_and(|keys| keys.contains(&json!(key)))
    });
    let task = &status["tasks"][0];
    println!("{name}: {}", task["waiting"]);
    assert!(task["waiting"]["since_ms"].as_u64() > Some(1_700_000_000_000));
    task["waiting"].clone()
}

#[track_caller]
fn waits_no_more(rest: &Rest, name: &str) {
    rest.wait_for_status(name, "no wait", |status| {
        let task = &status["tasks"][0];
        task["state"] == "RUNNING" && task.get("waiting").is_none()
    });
}

fn metric(rest: &Rest, line: &str) -> Option<String> {
    let text = rest.get("/metrics").text;
    let found = text.lines().find_map(|l| l.strip_prefix(line));
    found.map(|value| value.trim().to_owned())
}

/// How a client of the listener with SASL is set up.
fn sasl(password: &str) -> Config {
    let secured = Broker::shared_secured().secured();
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{USER}\" password=\"{password}\";"
    );
    config(&[
        (
            "bootstrap.servers",
            &format!("127.0.0.1:{}", secured.sasl_port),
        ),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", &jaas),
        ("ssl.truststore.type", "PEM"),
        (
            "ssl.truststore.location",
            secured.certificates.authority.to_str().unwrap(),
        ),
    ])
}

fn with(mut base: Config, more: &[(&str, &str)]) -> Config {
    for (key, value) in more {
        base.retain(|(known, _)| known != key);
        base.push(((*key).to_owned(), (*value).to_owned()));
    }
    base
}

fn prefixed(prefix: &str, config: Config) -> Config {
    let prefixed = config.into_iter().map(|(k, v)| (format!("{prefix}{k}"), v));
    prefixed.collect()
}

/// Ways for a client not to get in, and the key that is at fault.
fn closed_doors() -> Vec<(&'static str, Config, &'static str)> {
    let secured = Broker::shared_secured().secured();
    let address = |port: u16| format!("127.0.0.1:{port}");
    let plain = Broker::shared_secured().bootstrap();
    let stranger = secured.certificates.stranger.to_str().unwrap();
    vec![
        ("password", sasl("not-the-password"), "sasl.jaas.config"),
        (
            "authority",
            with(sasl(PASSWORD), &[("ssl.truststore.location", stranger)]),
            "ssl.truststore.location",
        ),
        (
            "plain-at-tls",
            config(&[
                ("bootstrap.servers", &address(secured.sasl_port)),
                ("security.protocol", "PLAINTEXT"),
            ]),
            "security.protocol",
        ),
        (
            "tls-at-plain",
            with(sasl(PASSWORD), &[("bootstrap.servers", &plain)]),
            "security.protocol",
        ),
        (
            "no-client-certificate",
            with(
                sasl(PASSWORD),
                &[
                    ("bootstrap.servers", &address(secured.mutual_port)),
                    ("security.protocol", "SSL"),
                ],
            ),
            "ssl.keystore.location",
        ),
        (
            "mechanism",
            with(
                sasl(PASSWORD),
                &[
                    ("sasl.mechanism", "SCRAM-SHA-512"),
                    (
                        "sasl.jaas.config",
                        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"x\";",
                    ),
                ],
            ),
            "sasl.mechanism",
        ),
        (
            "name",
            with(
                sasl(PASSWORD),
                &[("bootstrap.servers", "kafka.invalid:9092")],
            ),
            "bootstrap.servers",
        ),
        (
            "nobody",
            with(
                sasl(PASSWORD),
                &[("bootstrap.servers", &address(free_port()))],
            ),
            "bootstrap.servers",
        ),
    ]
}

#[test]
fn each_way_of_not_getting_in_is_in_the_status_and_goes() {
    let broker = Broker::shared_secured();
    let mut worker = Worker::with_file_connectors(broker);
    let rest = worker.rest();
    broker.client().create_topic("doors", 1);
    let sink = |name: &str, overrides: Config| {
        let file = worker.scratch().text(&format!("{name}.out"));
        let mut own = config(&[
            ("connector.class", "FileStreamSink"),
            ("topics", "doors"),
            ("file", &file),
        ]);
        own.extend(prefixed("consumer.override.", overrides));
        own
    };
    let doors = closed_doors();
    for (name, overrides, _) in &doors {
        put(&rest, name, &sink(name, overrides.clone()));
    }
    for (name, _, key) in &doors {
        waits_for(&rest, name, &format!("consumer.override.{key}"));
        let gauge = format!("tidegate_task_waiting{{connector=\"{name}\",task=\"0\"}}");
        assert_eq!(metric(&rest, &gauge).as_deref(), Some("1"), "{name}");
    }
    for (name, _, _) in &doors {
        put(&rest, name, &sink(name, sasl(PASSWORD)));
    }
    for (name, _, _) in &doors {
        waits_no_more(&rest, name);
    }
    broker.client().produce("doors", [(None, "in")]);
    for (name, _, _) in &doors {
        let file = worker.scratch().join(&format!("{name}.out"));
        wait_until("a line gets through", LIMIT, || {
            fs::read_to_string(&file).is_ok_and(|text| text == "in\n")
        });
    }
    let health = rest.get("/health");
    assert_eq!(
        health.status, 200,
        "the worker itself gets in: {}",
        health.text
    );
    let log = worker.log();
    assert!(
        !log.contains("not-the-password"),
        "the log holds the password"
    );
}

#[test]
fn a_source_waits_in_the_same_words() {
    let broker = Broker::shared_secured();
    let worker = Worker::with_file_connectors(broker);
    let rest = worker.rest();
    broker.client().create_topic("from-source", 1);
    let input = worker.scratch().join("in.txt");
    append_lines(&input, 0, 10);
    let source = |overrides: Config| {
        let mut own = config(&[
            ("connector.class", "FileStreamSource"),
            ("topic", "from-source"),
            ("file", input.to_str().unwrap()),
        ]);
        own.extend(prefixed("producer.override.", overrides));
        own
    };
    put(&rest, "source", &source(sasl("not-the-password")));
    waits_for(&rest, "source", "producer.override.sasl.jaas.config");
    put(&rest, "source", &source(sasl(PASSWORD)));
    waits_no_more(&rest, "source");
    wait_until("its lines arrive", LIMIT, || {
        broker.client().count("from-source") == 10
    });
}

#[test]
fn a_source_names_the_topic_that_does_not_exist_and_counts_what_kafka_has() {
    let broker = Broker::shared_secured();
    let worker = Worker::with_file_connectors(broker);
    let rest = worker.rest();
    let input = worker.scratch().join("in.txt");
    append_lines(&input, 0, 60);
    let source = config(&[
        ("connector.class", "FileStreamSource"),
        ("topic", "not-yet"),
        ("file", input.to_str().unwrap()),
    ]);
    put(&rest, "source", &source);
    let wait = waits_for(&rest, "source", "topic.creation.default.partitions");
    assert!(
        wait["reason"].as_str().unwrap().contains("not-yet"),
        "{wait}"
    );
    let counted = "tidegate_source_records_total{connector=\"source\",task=\"0\"}";
    assert!(matches!(
        metric(&rest, counted).as_deref(),
        None | Some("0")
    ));
    broker.client().create_topic("not-yet", 1);
    waits_no_more(&rest, "source");
    wait_until("its lines arrive", LIMIT, || {
        broker.client().count("not-yet") == 60
    });
    wait_until("60 are counted", LIMIT, || {
        metric(&rest, counted).as_deref() == Some("60")
    });
}

#[test]
fn a_database_that_is_away_is_named_when_it_is_opened_and_when_it_is_written() {
    let broker = Broker::shared_secured();
    let mut server = Postgres::start();
    let database = server.create_database();
    let worker = Worker::setup(broker).start();
    let rest = worker.rest();
    rest.upload_guests(&["sql-sink"]);
    broker.client().create_topic("rows", 1);
    let row = |id: u32| {
        let value = json!({
            "schema": {"type": "struct", "optional": false, "fields": [{"field": "id", "type": "int32", "optional": false}]},
            "payload": {"id": id},
        });
        broker
            .client()
            .produce("rows", [(None, &*value.to_string())]);
    };
    let sink = |url: &str| {
        config(&[
            ("connector.class", "JdbcSink"),
            ("topics", "rows"),
            ("connection.url", url),
            ("connection.user", postgres::USER),
            ("connection.password", postgres::PASSWORD),
            ("value.converter", "JsonConverter"),
            ("table.name.format", "items"),
            ("auto.create", "true"),
        ])
    };
    let url = server.url(&database);
    let count = |server: &Postgres| {
        let asked = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'items'";
        if server.rows(&database, asked) == ["0"] {
            return 0;
        }
        server.rows(&database, "SELECT count(*) FROM items")[0]
            .parse()
            .unwrap()
    };
    server.stop_immediately();
    put(&rest, "sink", &sink(&url));
    row(1);
    let wait = waits_for(&rest, "sink", "connection.url");
    assert!(
        wait["reason"].as_str().unwrap().contains("127.0.0.1"),
        "{wait}"
    );
    server.start_again();
    waits_no_more(&rest, "sink");
    wait_until("the first row", LIMIT, || count(&server) == 1);
    server.stop_immediately();
    row(2);
    waits_for(&rest, "sink", "connection.url");
    server.start_again();
    waits_no_more(&rest, "sink");
    wait_until("the second row", LIMIT, || count(&server) == 2);
    put(
        &rest,
        "sink",
        &sink("jdbc:postgresql://database.invalid/db"),
    );
    let wait = waits_for(&rest, "sink", "connection.url");
    assert!(
        wait["reason"]
            .as_str()
            .unwrap()
            .contains("database.invalid"),
        "{wait}"
    );
    put(&rest, "sink", &sink(&url));
    waits_no_more(&rest, "sink");
}

/// Ten sinks, and Kafka is away: a log that nobody has to be afraid of.
#[test]
fn while_kafka_is_away_all_say_so_and_ten_sinks_log_less_than_a_line_a_second() {
    const SINKS: usize = 10;
    const WATCHED: Duration = Duration::from_secs(45);
    let mut broker = Broker::start();
    broker.client().create_topic("away", 1);
    let mut worker = Worker::with_file_connectors(&broker);
    let rest = worker.rest();
    let names: Vec<String> = (0..SINKS).map(|number| format!("sink{number}")).collect();
    for name in &names {
        let file = worker.scratch().text(&format!("{name}.out"));
        put(
            &rest,
            name,
            &config(&[
                ("connector.class", "FileStreamSink"),
                ("topics", "away"),
                ("file", &file),
            ]),
        );
    }
    broker.client().produce("away", [(None, "before")]);
    for name in &names {
        let file = worker.scratch().join(&format!("{name}.out"));
        wait_until("a line gets through", LIMIT, || {
            fs::read_to_string(&file).is_ok_and(|text| text == "before\n")
        });
    }
    let before = worker.log().lines().count();
    broker.stop();
    for name in &names {
        waits_for(&rest, name, "bootstrap.servers");
    }
    let since_ms = wait_for("the worker's own wait", LIMIT, || {
        let health = rest.get("/health");
        let keys = health.body["waiting"]["keys"].as_array()?;
        assert_eq!(
            (health.status, &health.body["status"]),
            (503, &json!("waiting"))
        );
        assert_eq!(keys[0], "bootstrap.servers");
        health.body["waiting"]["since_ms"].as_u64()
    });
    wait_until("the time in which lines are counted", WATCHED * 2, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.saturating_sub(Duration::from_millis(since_ms)) >= WATCHED
    });
    let log = worker.log();
    let lines: Vec<&str> = log.lines().skip(before).collect();
    println!(
        "{} lines in {WATCHED:?}:\n{}",
        lines.len(),
        lines.join("\n")
    );
    assert!(
        lines.len() as u64 <= WATCHED.as_secs(),
        "{} lines",
        lines.len()
    );
    for name in &names {
        let own = format!("{name}-0");
        assert!(
            lines.iter().any(|line| line.contains(&own)),
            "no line names {own}"
        );
    }
    broker.start_again();
    for name in &names {
        waits_no_more(&rest, name);
    }
    wait_until("the worker is healthy", LIMIT, || {
        rest.get("/health").status == 200
    });
}

#[test]
fn a_start_that_cannot_work_ends_and_names_the_key() {
    let broker = Broker::shared_secured();
    let jaas = sasl(PASSWORD)
        .into_iter()
        .find(|(key, _)| key == "sasl.jaas.config");
    let (_, jaas) = jaas.unwrap();
    for (overrides, key) in [
        (sasl("not-the-password"), "sasl.jaas.config"),
        (
            with(
                sasl(PASSWORD),
                &[(
                    "ssl.truststore.location",
                    broker.secured().certificates.stranger.to_str().unwrap(),
                )],
            ),
            "ssl.truststore.location",
        ),
        (
            with(
                sasl(PASSWORD),
                &[("ssl.truststore.location", "/not/there.pem")],
            ),
            "ssl.truststore.location",
        ),
        (
            with(
                sasl(PASSWORD),
                &[
                    ("sasl.mechanism", "OAUTHBEARER"),
                    ("sasl.jaas.config", &jaas),
                ],
            ),
            "sasl.mechanism",
        ),
        (
            with(sasl(PASSWORD), &[("sasl.jaas.config", "")]),
            "sasl.jaas.config",
        ),
        (
            with(sasl(PASSWORD), &[("security.protocol", "TLS")]),
            "security.protocol",
        ),
    ] {
        let mut setup = Worker::setup(broker);
        for (name, value) in &overrides {
            setup = setup.set(name, value);
        }
        let mut worker = setup.spawn();
        let status = worker.wait_ended();
        let log = worker.log();
        let last = log.lines().last().unwrap_or_default();
        println!("{last}");
        assert!(!status.success() && last.contains(key), "{key}: {log}");
        assert!(!log.contains("not-the-password"), "{log}");
    }
}

#[test]
fn overrides_that_cannot_connect_are_refused() {
    let worker = Worker::with_file_connectors(Broker::shared_secured());
    let file = worker.scratch().text("out");
    for (key, value) in [
        ("ssl.truststore.location", "/not/there.pem"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", ""),
        ("security.protocol", "TLS"),
    ] {
        let mut sink = config(&[
            ("connector.class", "FileStreamSink"),
            ("topics", "t"),
            ("file", &file),
        ]);
        let overrides = with(sasl(PASSWORD), &[(key, value)]);
        sink.extend(prefixed("consumer.override.", overrides));
        let pairs: Vec<(&str, &str)> = sink.iter().map(|(k, v)| (&**k, &**v)).collect();
        let path = "/connectors/sink/config";
        let answer = worker
            .rest()
            .put(path, &Value::Object(config_object(&pairs)));
        let message = answer.error(400);
        let key = format!("consumer.override.{key}");
        assert!(message.contains(&key), "{message}");
    }
}

#[test]
fn any_worker_of_a_cluster_tells_what_a_task_waits_for() {
    let broker = Broker::shared_secured();
    broker.client().create_topic("waits-in-cluster", 1);
    let cluster = Cluster::of(broker, "waits").start_with_connectors(2);
    let file = cluster.files.text("out");
    let rest = cluster.rest(0);
    let sink = |overrides: Config, file: &str| {
        let mut own = config(&[
            ("connector.class", "FileStreamSink"),
            ("topics", "waits-in-cluster"),
            ("file", file),
        ]);
        own.extend(prefixed("consumer.override.", overrides));
        own
    };
    put(&rest, "sink", &sink(sasl("not-the-password"), &file));
    let told: Vec<Value> = (0..2)
        .map(|worker| {
            waits_for(
                &cluster.rest(worker),
                "sink",
                "consumer.override.sasl.jaas.config",
            )
        })
        .collect();
    assert_eq!(told[0]["reason"], told[1]["reason"]);
    put(&rest, "sink", &sink(sasl(PASSWORD), &file));
    for worker in 0..2 {
        waits_no_more(&cluster.rest(worker), "sink");
    }
}
