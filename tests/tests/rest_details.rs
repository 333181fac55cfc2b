//! What clients of Kafka Connect send besides the documented forms, and what protects a worker.

use std::time::Duration;

use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::Cluster;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

fn source(name: &str) -> serde_json::Value {
    json!({"name": name, "connector.class": "FileStreamSource", "topic": "t", "file": "in.txt"})
}

#[test]
fn paths_flags_and_marks_are_read_as_kafka_connect_reads_them() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let create = json!({"name": "slashed", "config": source("slashed")});
    rest.post("/connectors/", &create).expect(201);
    for path in [
        "/connectors/",
        "/connector-plugins/",
        "/connectors/slashed/status/",
    ] {
        rest.get(path).expect(200);
    }
    rest.wait_for_state("slashed", "RUNNING");
    let marked = [b"\xEF\xBB\xBF", source("marked").to_string().as_bytes()].concat();
    let json = "application/json";
    let put = rest.try_send("PUT", "/connectors/marked/config", json, Some(&marked));
    put.unwrap().expect(201);
    rest.call("POST", "/connectors/slashed/restart?includeTasks=TRUE")
        .expect(202);
    let refused = rest.get("/connectors/%FF/status");
    assert!(refused.error(400).contains("UTF-8"), "{}", refused.text);
    let null = rest.patch("/connectors/slashed/offsets", &json!({"offsets": null}));
    null.error(400);
    let listed = rest
        .get("/connectors?expand=status&expand=info")
        .expect(200)
        .body;
    for name in ["slashed", "marked"] {
        assert_eq!(listed[name]["info"]["name"], name);
        assert_eq!(listed[name]["status"]["name"], name);
    }
    let keys = rest
        .get("/connector-plugins/FileStreamSource/config")
        .expect(200)
        .body;
    let has = |name: &str| {
        keys.as_array()
            .unwrap()
            .iter()
            .any(|key| key["name"] == name)
    };
    assert!(
        has("file") && has("errors.tolerance") && has("tasks.max"),
        "{keys}"
    );
}

#[test]
fn what_is_not_obeyed_is_refused_by_its_key() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let sink = |more: &[(&str, &str)]| {
        let mut config = json!({"name": "s", "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt"});
        for (key, value) in more {
            config[*key] = json!(value);
        }
        config
    };
    let validate = "/connector-plugins/FileStreamSink/config/validate";
    let wrong = |more: &[(&str, &str)]| -> Vec<String> {
        let report = worker.rest().put(validate, &sink(more)).expect(200).body;
        let all = report["configs"].as_array().unwrap().iter();
        let wrong = all.filter(|key| key["value"]["errors"] != json!([]));
        wrong
            .map(|key| {
                assert!(key["definition"]["name"].is_string(), "{key}");
                key["value"]["name"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    for (key, value) in [
        ("errors.log.include.messages", "perhaps"),
        ("errors.retry.timeout", "soon"),
        ("errors.retry.delay.max.ms", "late"),
        ("tasks.max.enforce", "maybe"),
        ("config.action.reload", "sometimes"),
        ("header.converter", "com.example.Headers"),
        ("consumer.override.fetch.min.bytes", "many"),
        ("file", "${file:/secrets:path}"),
    ] {
        assert_eq!(wrong(&[(key, value)]), [key], "{key}={value}");
    }
    assert_eq!(
        wrong(&[("topics.regex", "t.*")]),
        ["topics", "topics.regex"]
    );
    // One answer says all, whoever found it.
    let mut all = wrong(&[
        ("tasks.max", "0"),
        ("file", ""),
        ("value.converter", "Nope"),
        ("consumer.override.fetch.min.bytes", "many"),
        ("topics.regex", "t.*"),
    ]);
    all.sort_unstable();
    assert_eq!(
        all,
        [
            "consumer.override.fetch.min.bytes",
            "tasks.max",
            "topics",
            "topics.regex",
            "value.converter"
        ]
    );
    for (key, value) in [
        ("consumer.override.auto.offset.reset", "none"),
        (
            "header.converter",
            "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        ),
        ("config.action.reload", "none"),
    ] {
        assert_eq!(
            wrong(&[(key, value)]),
            Vec::<String>::new(),
            "{key}={value}"
        );
    }
}

#[test]
fn a_sink_does_not_join_the_group_of_its_worker() {
    let cluster = Cluster::of(Broker::shared(), "own-group").start_with_connectors(1);
    let group = cluster.status()["group_id"].as_str().map(str::to_owned);
    let group = group.unwrap_or_else(|| panic!("no group in {}", cluster.status()));
    let sink = json!({"name": "s", "config": {
        "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt",
        "consumer.override.group.id": group,
    }});
    let refused = cluster.rest(0).post("/connectors", &sink);
    assert!(refused.error(400).contains("conflicts"), "{}", refused.text);
}

#[test]
fn a_worker_whose_protection_would_have_no_effect_does_not_start() {
    let broker = Broker::shared();
    for (key, value) in [
        ("rest.extension.classes", "com.example.Authentication"),
        ("listeners.https.ssl.keystore.location", "/keys.jks"),
        ("ssl.client.auth", "required"),
        ("connector.client.config.override.policy", "None"),
        ("producer.sasl.jaas.config", "${file:/secrets:jaas}"),
    ] {
        let mut worker = Worker::setup(broker).set(key, value).spawn();
        assert!(!worker.wait_ended().success());
        assert!(worker.log().contains(key), "{}", worker.log());
    }
    Worker::setup(broker)
        .set("rest.extension.classes", "com.example.Authentication")
        .set("tidegate.rest.unsecured", "true")
        .start();
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let broker = Broker::shared();
    for key in ["tidegate.cache.directory", "tidegate.state.directory"] {
        let mut worker = Worker::setup(broker)
            .set(key, "/proc/no-such/place")
            .spawn();
        assert!(!worker.wait_ended().success());
        let log = worker.log();
        assert!(log.contains("/proc/no-such/place"), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn the_root_is_answered_while_kafka_is_away() {
    let mut broker = Broker::start();
    let worker = Worker::setup(&broker).start();
    broker.stop();
    wait_until("an answer without a cluster id", LIMIT, || {
        worker.rest().get("/").expect(200).body["kafka_cluster_id"].is_null()
    });
}
