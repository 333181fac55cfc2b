//! Offsets that a database keeps: seen and changed through REST and by Kafka's own tool, and what
//! another topic or another cluster of the same name finds.

use std::time::Duration;

use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::items::items;
use tidegate_tests::java;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::target::{On, Target};
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 100;
const CREATE: &str = "CREATE TABLE items (id BIGINT NOT NULL, name TEXT, price DOUBLE PRECISION, \
                      is_even BOOLEAN)";

/// A sink that has put [`RECORDS`] records of a topic of one partition into a table.
struct Sink {
    worker: Worker,
    target: Target,
    topic: String,
    directory: Scratch,
}

tidegate_tests::on_both! {
    rest_shows_and_changes_them
    kafkas_own_tool_moves_them_and_that_wins_once
    a_topic_created_anew_is_another_topic
    every_partition_is_reset_also_of_a_topic_that_is_gone
    the_same_name_on_another_cluster_fails_and_says_so
}

impl Sink {
    fn start(broker: &Broker, topic: &str, on: On) -> Self {
        Self::start_with(broker, topic, on, 1)
    }

    fn start_with(broker: &Broker, topic: &str, on: On, partitions: i32) -> Self {
        let topic = &format!("{topic}-{on:?}");
        let directory = Scratch::new("databases");
        let target = on.target(&directory);
        target.execute(CREATE);
        broker.client().create_topic(topic, partitions);
        let worker = worker(broker, &directory);
        create(&worker, &target, topic, topic);
        let sink = Self {
            worker,
            target,
            topic: topic.to_owned(),
            directory,
        };
        sink.produce(broker);
        sink.wait_for_rows(RECORDS);
        sink
    }

    fn produce(&self, broker: &Broker) {
        let texts: Vec<String> = items(0..RECORDS).collect();
        let records = texts.iter().map(|text| (None, text.as_str()));
        broker.client().produce(&self.topic, records);
    }

    fn rows(&self) -> usize {
        self.target.number("SELECT count(*) FROM items").unwrap() as usize
    }

    fn wait_for_rows(&self, wanted: usize) {
        wait_until(&format!("{wanted} rows"), LIMIT, || self.rows() >= wanted);
    }

    fn path(&self, action: &str) -> String {
        format!("/connectors/{}/{action}", self.topic)
    }

    fn stop(&self) {
        self.worker.rest().call("PUT", &self.path("stop"));
        let is_stopped = |status: &serde_json::Value| {
            status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([])
        };
        self.worker
            .rest()
            .wait_for_status(&self.topic, "STOPPED", is_stopped);
    }

    fn resume(&self) {
        self.worker.rest().call("PUT", &self.path("resume"));
    }

    fn offset(&self) -> serde_json::Value {
        self.worker
            .rest()
            .get(&self.path("offsets"))
            .expect(200)
            .body
    }

    fn wait_until_group_left(&self, broker: &Broker) {
        let group = format!("connect-{}", self.topic);
        wait_until("the group is empty", LIMIT, || {
            broker.client().group_members(&group) == 0
        });
    }
}

fn worker(broker: &Broker, directory: &Scratch) -> Worker {
    let directories = directory.path().display().to_string();
    let worker = Worker::setup(broker)
        .set("tidegate.directories", &directories)
        .start();
    worker.rest().upload_guests(&["sql-sink"]);
    worker
}

fn create(worker: &Worker, target: &Target, name: &str, topic: &str) {
    let connection = target.connection();
    let mut config = vec![
        ("connector.class", "sql-sink"),
        ("topics", topic),
        ("value.converter", "JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("table.name.format", "items"),
        ("insert.mode", "insert"),
    ];
    config.extend(connection.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    worker.rest().create(name, &config);
}

fn at(topic: &str, offset: usize) -> serde_json::Value {
    json!({"offsets": [{
        "partition": {"kafka_topic": topic, "kafka_partition": 0},
        "offset": {"kafka_offset": offset},
    }]})
}

fn rest_shows_and_changes_them(on: On) {
    let broker = Broker::shared();
    let sink = Sink::start(broker, "by-rest", on);
    let rest = sink.worker.rest();
    wait_until("the offset is shown", LIMIT, || {
        sink.offset() == at(&sink.topic, RECORDS)
    });
    let refused = rest.patch(&sink.path("offsets"), &at(&sink.topic, 60));
    assert!(refused.error(400).contains("STOPPED state"), "{refused:?}");

    sink.stop();
    sink.wait_until_group_left(broker);
    let elsewhere = json!({"offsets": [{
        "partition": {"kafka_topic": sink.topic, "kafka_partition": 7},
        "offset": {"kafka_offset": 1},
    }]});
    let refused = rest.patch(&sink.path("offsets"), &elsewhere);
    assert!(refused.error(400).contains("does not exist"), "{refused:?}");
    rest.patch(&sink.path("offsets"), &at(&sink.topic, 60))
        .expect(200);
    assert_eq!(sink.offset(), at(&sink.topic, 60));
    sink.resume();
    sink.wait_for_rows(RECORDS + 40);

    sink.stop();
    sink.wait_until_group_left(broker);
    let reset = rest.delete(&sink.path("offsets")).expect(200);
    assert!(reset.text.contains("reset successfully"), "{}", reset.text);
    assert_eq!(sink.offset(), json!({"offsets": []}));
    sink.resume();
    sink.wait_for_rows(2 * RECORDS + 40);
    // Started again, it goes on and does not begin once more.
    sink.stop();
    sink.resume();
    sink.produce(broker);
    sink.wait_for_rows(3 * RECORDS + 40);
    sink.stop();
    assert_eq!(sink.rows(), 3 * RECORDS + 40);
}

fn kafkas_own_tool_moves_them_and_that_wins_once(on: On) {
    let broker = Broker::shared();
    let sink = Sink::start(broker, "by-tool", on);
    sink.stop();
    sink.wait_until_group_left(broker);
    let group = format!("connect-{}", sink.topic);
    let mut tool = java::command("128m");
    tool.arg("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand")
        .args(["--bootstrap-server", &broker.bootstrap()])
        .args(["--group", &group, "--topic", &sink.topic])
        .args(["--reset-offsets", "--to-offset", "70", "--execute"]);
    java::run(tool);
    sink.resume();
    sink.wait_for_rows(RECORDS + 30);
    for _ in 0..2 {
        sink.stop();
        sink.resume();
        sink.worker.rest().wait_for_state(&sink.topic, "RUNNING");
    }
    sink.produce(broker);
    sink.wait_for_rows(2 * RECORDS + 30);
    sink.stop();
    assert_eq!(sink.rows(), 2 * RECORDS + 30);
}

fn a_topic_created_anew_is_another_topic(on: On) {
    let broker = Broker::shared();
    let sink = Sink::start(broker, "anew", on);
    sink.stop();
    broker.client().delete_topic(&sink.topic);
    wait_until("the topic is gone", LIMIT, || {
        broker.client().partitions(&sink.topic).is_empty()
    });
    broker.client().create_topic(&sink.topic, 1);
    sink.produce(broker);
    sink.resume();
    let trace = sink.worker.rest().wait_for_failed_task(&sink.topic);
    assert!(trace.contains("tidegate_offsets"), "{trace}");
    assert_eq!(sink.rows(), RECORDS);
    // A person says what is meant: forget the old topic's offsets.
    sink.stop();
    let rest = sink.worker.rest();
    rest.delete(&sink.path("offsets")).expect(200);
    sink.resume();
    sink.wait_for_rows(2 * RECORDS);
}

fn every_partition_is_reset_also_of_a_topic_that_is_gone(on: On) {
    let broker = Broker::shared();
    let sink = Sink::start_with(broker, "gone", on, 3);
    let rest = sink.worker.rest();
    for rows in [2 * RECORDS, 3 * RECORDS] {
        sink.stop();
        sink.wait_until_group_left(broker);
        rest.delete(&sink.path("offsets")).expect(200);
        assert_eq!(sink.offset(), json!({"offsets": []}));
        sink.resume();
        sink.wait_for_rows(rows);
    }
    sink.stop();
    sink.wait_until_group_left(broker);
    broker.client().delete_topic(&sink.topic);
    rest.delete(&sink.path("offsets")).expect(200);
    assert_eq!(sink.offset(), json!({"offsets": []}));
}

fn the_same_name_on_another_cluster_fails_and_says_so(on: On) {
    let sink = Sink::start(Broker::shared(), "elsewhere", on);
    sink.stop();
    let other = Broker::start();
    other.client().create_topic(&sink.topic, 1);
    let worker = worker(&other, &sink.directory);
    create(&worker, &sink.target, &sink.topic, &sink.topic);
    sink.produce(&other);
    let trace = worker.rest().wait_for_failed_task(&sink.topic);
    assert!(trace.contains("cluster"), "{trace}");
    assert_eq!(sink.rows(), RECORDS);
    // Under another name they do not meet.
    create(&worker, &sink.target, "another-name", &sink.topic);
    sink.wait_for_rows(2 * RECORDS);
}
