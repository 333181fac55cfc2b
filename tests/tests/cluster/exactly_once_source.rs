//! ExactlyOnceSourceIntegrationTest (KIP-618).

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_kafka::{Kafka, KafkaSettings, LogWriter};
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::{Cluster, LIMIT};
use tidegate_tests::files::append_lines;
use tidegate_tests::kafka::Record;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::streams::Streams;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::{wait_for, wait_until};

use crate::numbered;

/// A cluster whose sources write with transactions.
fn cluster(name: &str, workers: usize) -> Cluster {
    let cluster = Cluster::of(Broker::shared(), name)
        .set("exactly.once.source.support", "enabled")
        .start_with_connectors(workers);
    cluster
        .rest(0)
        .upload_guests(&["hostile/keyed-source", "hostile/boundary-source"]);
    cluster
}

/// A source of a known number of records, to which `more` is added; answers its topic.
fn keyed(cluster: &Cluster, name: &str, more: &[(&str, &str)]) -> String {
    let topic = format!("{name}-{}", fastrand::u32(..));
    cluster.kafka().create_topic(&topic, 1);
    let mut config = json!({
        "name": name,
        "connector.class": "keyed-source",
        "topic": topic,
        "records": "300",
        "batch": "7",
        "interval.ms": "5",
        "exactly.once.support": "required",
    });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    let body = json!({"name": name, "config": config});
    cluster.rest(0).post("/connectors", &body).expect(201);
    topic
}

/// Each line of a file that is rotated is seen once, whoever is killed meanwhile.
#[test]
fn a_rotated_file_is_read_exactly_once() {
    let files = Scratch::new("rotated-once");
    let mut cluster = Cluster::of(Broker::shared(), "rotated-once")
        .set("exactly.once.source.support", "enabled")
        .set("tidegate.directories", &files.path().display().to_string())
        .start_with_connectors(2);
    cluster.rest(0).upload_guests(&["file-source"]);
    let topic = format!("rotated-once-{}", fastrand::u32(..));
    cluster.kafka().create_topic(&topic, 1);
    let config = json!({
        "connector.class": "FileStreamSource",
        "topic": topic,
        "file": files.text("in.txt"),
        "exactly.once.support": "required",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    let body = json!({"name": "follow", "config": config});
    cluster.rest(0).post("/connectors", &body).expect(201);
    let seen = |cluster: &Cluster| cluster.kafka().read_committed(&topic).len();
    let (path, old) = (files.join("in.txt"), files.join("in.txt.1"));
    append_lines(&path, 0, 20_000);
    wait_until("some lines are committed", LIMIT, || seen(&cluster) > 0);
    let status = cluster.wait_running("follow", 1);
    let owner = cluster.number_of(status["tasks"][0]["worker_id"].as_str().unwrap());
    cluster.worker(owner).kill();
    append_lines(&path, 20_000, 21_000);
    fs::rename(&path, &old).unwrap();
    append_lines(&path, 21_000, 30_000);
    fs::rename(&old, files.join("in.txt.2")).unwrap();
    fs::rename(&path, &old).unwrap();
    append_lines(&path, 30_000, 40_000);
    wait_until("all lines are committed", LIMIT, || {
        seen(&cluster) >= 40_000
    });
    let texts: Vec<String> = cluster
        .kafka()
        .read_committed(&topic)
        .iter()
        .map(Record::text)
        .collect();
    Tally::of(40_000, texts.iter().map(String::as_str)).assert_exact();
}

/// The numbers that read_committed sees, in order.
fn numbers(cluster: &Cluster, topic: &str) -> Vec<usize> {
    let records = cluster.kafka().read_committed(topic);
    records
        .iter()
        .map(|record| record.text().parse().unwrap())
        .collect()
}

/// testPreflightValidation: what cannot be kept is refused when it is configured.
#[test]
fn preflight_validation() {
    let cluster = cluster("preflight", 1);
    let errors = |config: Value, key: &str| -> Vec<Value> {
        let class = config["connector.class"].as_str().unwrap().to_owned();
        let path = format!("/connector-plugins/{class}/config/validate");
        let report = cluster.rest(0).put(&path, &config).expect(200).body;
        let found = report["configs"].as_array().unwrap().iter();
        let mut found = found.filter(|entry| entry["value"]["name"] == key);
        let entry = found
            .next()
            .unwrap_or_else(|| panic!("{key} is not reported: {report}"));
        entry["value"]["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let of = |class: &str, key: &str, value: &str| {
        let config = json!({"connector.class": class, "name": "x", "topic": "t", "tasks.max": "1", key: value});
        errors(config, key)
    };
    assert_eq!(
        of("keyed-source", "exactly.once.support", "required"),
        Vec::<Value>::new()
    );
    assert_eq!(
        of("keyed-source", "transaction.boundary", "connector"),
        Vec::<Value>::new()
    );
    assert_eq!(
        of("boundary-source", "exactly.once.support", "required").len(),
        1
    );
    assert_eq!(
        of("numbered-source", "transaction.boundary", "connector").len(),
        1
    );
    assert_eq!(
        of("keyed-source", "transaction.boundary", "sometimes").len(),
        1
    );
    assert_eq!(
        of("boundary-source", "exactly.once.support", "requested"),
        Vec::<Value>::new()
    );
}

/// testPollBoundary, testIntervalBoundary: read_committed sees every number once, in order.
#[test]
fn poll_and_interval_boundaries() {
    let cluster = cluster("boundaries", 2);
    let interval = [
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "200"),
    ];
    let topics = [
        keyed(&cluster, "polls", &[]),
        keyed(&cluster, "intervals", &interval),
    ];
    for topic in topics {
        wait_until("all records are committed", LIMIT, || {
            numbers(&cluster, &topic).len() >= 300
        });
        assert_eq!(numbers(&cluster, &topic), (0..300).collect::<Vec<_>>());
    }
}

/// testConnectorBoundary: what the connector aborts is never seen, and is not repeated either.
#[test]
fn connector_boundary() {
    let cluster = cluster("own-boundaries", 1);
    let own = [
        ("transaction.boundary", "connector"),
        ("transaction.records", "10"),
        ("abort.every", "3"),
    ];
    let topic = keyed(&cluster, "owned", &own);
    // The numbers 20 to 29, 50 to 59 and so on are aborted.
    let expected: Vec<usize> = (0..300).filter(|n| (n / 10) % 3 != 2).collect();
    wait_until("all records are committed", LIMIT, || {
        numbers(&cluster, &topic).len() >= expected.len()
    });
    assert_eq!(numbers(&cluster, &topic), expected);
    let offsets = cluster
        .rest(0)
        .get("/connectors/owned/offsets")
        .expect(200)
        .body;
    assert_eq!(offsets["offsets"][0]["offset"]["n"], 300, "{offsets}");
}

/// testFencedLeaderRecovery: somebody else initialises the transactions of the leader's producer; a
/// request may fail once, the next one works.
#[test]
fn a_fenced_leader_recovers() {
    let cluster = cluster("fenced-leader", 2);
    let settings = KafkaSettings {
        common: [("bootstrap.servers".to_owned(), Broker::shared().bootstrap())].into(),
        ..KafkaSettings::default()
    };
    let (kafka, _) = Kafka::new(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let limit = Duration::from_secs(30);
    let other = LogWriter::open(&kafka, "connect-cluster-fenced-leader", limit, limit);
    drop(runtime.block_on(other).unwrap());

    let config =
        json!({"connector.class": "numbered-source", "topic": "fenced-leader", "tasks.max": "1"});
    cluster.kafka().create_topic("fenced-leader", 1);
    let created = wait_for("a request works", LIMIT, || {
        let answer = cluster.rest(1).put("/connectors/after/config", &config);
        assert!([201, 409].contains(&answer.status), "{}", answer.text);
        (answer.status == 201).then_some(answer)
    });
    created.expect(201);
    cluster.wait_running("after", 1);
}

/// testConnectorReconfiguration: the number of tasks changes again and again; those of earlier
/// generations are fenced, nothing is repeated or left out.
#[test]
fn reconfigurations_fence_earlier_generations() {
    let cluster = cluster("generations", 2);
    let mut config = numbered(&cluster, "numbers", 6, 3);
    let topic = config["topic"].as_str().unwrap().to_owned();
    cluster.wait_running("numbers", 3);
    for tasks in [1, 6, 2, 5] {
        config["tasks.max"] = json!(tasks.to_string());
        cluster
            .rest(1)
            .put("/connectors/numbers/config", &config)
            .expect(200);
        cluster.wait_running("numbers", tasks);
        let before = Streams::read(&cluster.kafka(), &topic).least(6);
        wait_until("records flow", LIMIT, || {
            Streams::read(&cluster.kafka(), &topic).least(6) > before
        });
    }
    cluster
        .rest(0)
        .call("PUT", "/connectors/numbers/stop")
        .expect(204);
    let fences = cluster.kafka().read_committed("generations-configs");
    let is_fence = |key: &Option<Vec<u8>>| key.as_deref() == Some(b"tasks-fencing-numbers");
    let counts: Vec<String> = fences
        .iter()
        .filter(|record| is_fence(&record.key))
        .map(|record| record.text())
        .collect();
    assert!(
        counts
            .last()
            .is_some_and(|last| last.contains("\"task-count\":5")),
        "{counts:?}"
    );
    Streams::read(&cluster.kafka(), &topic).assert_exact(6);
}

/// testSeparateOffsetsTopic, on the same cluster of brokers: positions are in the connector's own topic,
/// and count after a restart.
#[test]
fn separate_offsets_topic() {
    let mut cluster = cluster("own-offsets", 1);
    let topic = keyed(
        &cluster,
        "apart",
        &[
            ("offsets.storage.topic", "apart-offsets"),
            ("interval.ms", "20"),
        ],
    );
    let kafka = cluster.kafka();
    wait_until("some records are committed", LIMIT, || {
        numbers(&cluster, &topic).len() > 50
    });
    cluster.worker(0).kill();
    cluster.worker(0).start_again();
    wait_until("all records are committed", LIMIT, || {
        numbers(&cluster, &topic).len() >= 300
    });
    assert_eq!(numbers(&cluster, &topic), (0..300).collect::<Vec<_>>());
    let keys = |topic: &str| -> BTreeSet<String> {
        let records = kafka.read_committed(topic).into_iter();
        let keys = records.filter_map(|record| record.key);
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    };
    assert_eq!(
        keys("apart-offsets"),
        [r#"["apart",{"task":0}]"#.to_owned()].into()
    );
    assert_eq!(keys("own-offsets-offsets"), BTreeSet::new());
}

/// A worker that dies between any two steps of a transaction repeats nothing and leaves nothing out.
#[test]
fn a_worker_that_dies_between_two_steps_of_a_transaction() {
    for (index, failpoint) in [
        "source-produced:5",
        "source-offsets-written:9",
        "source-committed:13",
    ]
    .into_iter()
    .enumerate()
    {
        let mut cluster = cluster(&format!("steps-{index}"), 1);
        cluster.worker(0).stop();
        cluster.worker(0).set_failpoint(Some(failpoint));
        cluster.worker(0).start_again();
        cluster.wait_members(1);
        let topic = keyed(&cluster, "steps", &[]);
        let ended = cluster.worker(0).wait_ended();
        assert_ne!(ended.code(), Some(0), "{failpoint}");
        cluster.worker(0).set_failpoint(None);
        cluster.worker(0).start_again();
        wait_until("all records are committed", LIMIT, || {
            numbers(&cluster, &topic).len() >= 300
        });
        assert_eq!(
            numbers(&cluster, &topic),
            (0..300).collect::<Vec<_>>(),
            "{failpoint}"
        );
    }
}
