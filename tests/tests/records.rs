//! Records and configurations that are wrong: what the user hears, and that nothing else is lost.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// Three records, of which the one in the middle is no JSON.
fn a_bad_record_in(topic: &str) -> (Worker, Kafka) {
    let broker = Broker::shared();
    let kafka = Kafka::new(&broker.bootstrap());
    kafka.create_topic(topic, 1);
    let values = [r#"{"id":1}"#, r#"{"id":2"#, r#"{"id":3}"#];
    kafka.produce(topic, values.map(|value| (None, value)));
    (Worker::with_file_connectors(broker), kafka)
}

fn sink<'a>(topic: &'a str, file: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("connector.class", "FileStreamSink"),
        ("topics", topic),
        ("file", file),
        (
            "value.converter",
            "org.apache.kafka.connect.json.JsonConverter",
        ),
        ("value.converter.schemas.enable", "false"),
    ]
}

#[test]
fn a_record_that_does_not_parse_fails_the_task_and_commits_nothing_past_it() {
    let (worker, kafka) = a_bad_record_in("bad-record");
    let file = worker.scratch().join("out.txt").display().to_string();
    worker.rest().create("sink", &sink("bad-record", &file));
    let trace = worker.rest().wait_for_failed_task("sink");
    for word in ["VALUE_CONVERTER", "bad-record-0@1"] {
        assert!(trace.contains(word), "{trace}");
    }
    let committed = kafka.committed("connect-sink", "bad-record");
    assert!(
        committed.iter().all(|(_, offset)| offset.unwrap_or(0) <= 1),
        "{committed:?}"
    );
}

#[test]
fn a_record_that_does_not_parse_is_skipped_and_counted_if_the_user_says_so() {
    let (worker, kafka) = a_bad_record_in("tolerated-record");
    let file = worker.scratch().join("out.txt").display().to_string();
    let mut config = sink("tolerated-record", &file);
    config.push(("errors.tolerance", "all"));
    worker.rest().create("sink", &config);
    wait_until("all three records are committed", LIMIT, || {
        kafka.committed("connect-sink", "tolerated-record") == [(0, Some(3))]
    });
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "{\"id\":1}\n{\"id\":3}\n");
    let metrics = worker.rest().get("/metrics").expect(200).text;
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("tidegate_records_skipped_total"));
    assert!(
        counted.is_some_and(|line| line.ends_with(" 1")),
        "{counted:?}"
    );
}

/// `\d` and `(?:...)` are nothing to the C library, which librdkafka asks.
#[test]
fn topics_are_matched_as_java_matches_them() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let kafka = Broker::shared().client();
    for topic in [
        "java.regex-1",
        "java.regex-22",
        "java.regex-d",
        "javaxregex-3",
    ] {
        kafka.create_topic(topic, 1);
        kafka.produce(topic, [(None, topic)]);
    }
    let file = worker.scratch().join("out.txt").display().to_string();
    let config = [
        ("connector.class", "FileStreamSink"),
        ("topics.regex", r"(?:java|node)\.regex-\d{1,2}?"),
        ("file", &file),
    ];
    worker.rest().create("java-regex", &config);
    wait_until("the two that match are read", LIMIT, || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines == ["java.regex-1", "java.regex-22"]
    });
}

#[test]
fn a_wrong_configuration_is_refused_key_by_key() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let cases = [
        (json!({"topic": "t"}), "\"file\""),
        (json!({"file": "in.txt"}), "\"topic\""),
        (
            json!({"file": "in.txt", "topic": "t", "batch.size": "many"}),
            "batch.size: Not a number of type INT",
        ),
        (
            json!({"file": "in.txt", "topic": "t", "tasks.max": "0"}),
            "tasks.max",
        ),
        (
            json!({"file": "in.txt", "topic": "t", "value.converter": "Nope"}),
            "Nope",
        ),
        (
            json!({"file": "in.txt", "topic": "t", "exactly.once.support": "required"}),
            "at-least-once",
        ),
        (
            json!({"file": "in.txt", "topic": "t", "producer.override.linger.ms": "soon"}),
            "linger.ms",
        ),
        (
            json!({"file": "in.txt", "topic": "t", "producer.override.plugin.library.paths": "/tmp/x.so"}),
            "plugin.library.paths",
        ),
    ];
    for (mut config, word) in cases {
        config["connector.class"] = Value::from("FileStreamSource");
        let body = json!({"name": "wrong", "config": config});
        let answer = worker.rest().post("/connectors", &body);
        let message = answer.error(400);
        println!("{message}");
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(worker.rest().get("/connectors").expect(200).body, json!([]));
}
