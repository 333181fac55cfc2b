//! Topics that are deleted and created again under a sink: an offset belongs to the topic that is gone,
//! and no record of the new one is passed over.

use std::fs;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::items::items;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::target::{On, Target};
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// More than the old topic had: an offset of the old one is one of the new one, too.
const NEW_RECORDS: usize = 8;
const OLD_RECORDS: usize = 3;

fn values(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

fn produce(broker: &Broker, topic: &str, values: &[String]) {
    let records = values.iter().map(|value| (None, value.as_str()));
    broker.client().produce(topic, records);
}

fn create_file_sink(worker: &Worker, topic: &str, reset: &str) {
    let config = [
        ("connector.class", "FileStreamSink"),
        ("topics", topic),
        ("file", &worker.scratch().text(topic)),
        ("consumer.override.auto.offset.reset", reset),
    ];
    worker.rest().create(topic, &config);
}

/// The lines of the file that a sink writes, sorted.
fn lines(worker: &Worker, topic: &str) -> Vec<String> {
    let text = fs::read_to_string(worker.scratch().join(topic)).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn wait_for_commit(broker: &Broker, topic: &str, next: i64) {
    let group = format!("connect-{topic}");
    wait_until("the sink's offset is committed", LIMIT, || {
        broker.client().committed(&group, topic) == [(0, Some(next))]
    });
}

/// Has the new topic filled before the consumer sees that there is one: else an offset that is out of
/// its range would tell.
fn create_again(worker: &Worker, broker: &Broker, topic: &str, values: &[String]) {
    let rest = worker.rest();
    rest.call("PUT", &format!("/connectors/{topic}/pause"));
    rest.wait_for_status(topic, "a paused task", |status| {
        status["tasks"][0]["state"] == "PAUSED"
    });
    broker.client().delete_topic(topic);
    broker.client().create_topic(topic, 1);
    produce(broker, topic, values);
    rest.call("PUT", &format!("/connectors/{topic}/resume"));
}

fn is_read_from_its_beginning(topic: &str, reset: &str) {
    let broker = Broker::shared();
    broker.client().create_topic(topic, 1);
    let mut worker = Worker::with_file_connectors(broker);
    let old = values("old", OLD_RECORDS);
    produce(broker, topic, &old);
    // It begins at the beginning here in either way.
    broker
        .client()
        .commit(&format!("connect-{topic}"), topic, 0, "");
    create_file_sink(&worker, topic, reset);
    wait_for_commit(broker, topic, OLD_RECORDS as i64);
    let new = values("new", NEW_RECORDS);
    create_again(&worker, broker, topic, &new);

    let all: Vec<String> = new.into_iter().chain(old).collect();
    wait_until("every record of both topics is in the file", LIMIT, || {
        lines(&worker, topic) == all
    });
    wait_for_commit(broker, topic, NEW_RECORDS as i64);
    assert!(worker.log().contains("deleted and created again"));
}

#[test]
fn a_topic_created_again_is_read_from_its_beginning() {
    is_read_from_its_beginning("again-earliest", "earliest");
}

#[test]
fn so_it_is_where_a_sink_without_offsets_would_begin_at_the_end() {
    is_read_from_its_beginning("again-latest", "latest");
}

#[test]
fn an_offset_that_was_committed_for_the_topic_before_is_none_of_the_new_one() {
    let broker = Broker::shared();
    let topic = "again-stopped";
    broker.client().create_topic(topic, 1);
    let mut worker = Worker::with_file_connectors(broker);
    create_file_sink(&worker, topic, "earliest");
    let old = values("old", OLD_RECORDS);
    produce(broker, topic, &old);
    wait_for_commit(broker, topic, OLD_RECORDS as i64);
    let group = format!("connect-{topic}");
    let metadata = broker.client().committed_metadata(&group, topic);
    worker.stop();

    broker.client().delete_topic(topic);
    broker.client().create_topic(topic, 1);
    let new = values("new", NEW_RECORDS);
    produce(broker, topic, &new);
    // Kafka forgets a topic's offsets with the topic, but a worker may commit them once more.
    broker
        .client()
        .commit(&group, topic, OLD_RECORDS as i64, &metadata);
    worker.start_again();

    let all: Vec<String> = new.into_iter().chain(old).collect();
    wait_until("every record of both topics is in the file", LIMIT, || {
        lines(&worker, topic) == all
    });
}

fn a_sink_with_a_ledger_fails_before_it_reads_the_new_topic(on: On) {
    let broker = Broker::shared();
    let topic = format!("again-sql-{on:?}");
    let directory = Scratch::new("databases");
    let target = on.target(&directory);
    target.execute("CREATE TABLE items (id BIGINT NOT NULL, name TEXT, price DOUBLE PRECISION, is_even BOOLEAN)");
    broker.client().create_topic(&topic, 1);
    let directories = directory.path().display().to_string();
    let worker = Worker::setup(broker)
        .set("tidegate.directories", &directories)
        .start();
    worker.rest().upload_guests(&["sql-sink"]);
    let connection = target.connection();
    let mut config = vec![
        ("connector.class", "sql-sink"),
        ("topics", topic.as_str()),
        ("value.converter", "JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("table.name.format", "items"),
        ("insert.mode", "insert"),
    ];
    config.extend(connection.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    worker.rest().create(&topic, &config);
    let rows = |target: &Target| target.number("SELECT count(*) FROM items").unwrap() as usize;
    produce(broker, &topic, &items(0..OLD_RECORDS).collect::<Vec<_>>());
    wait_until("the rows", LIMIT, || rows(&target) == OLD_RECORDS);

    let new: Vec<String> = items(100..100 + NEW_RECORDS).collect();
    create_again(&worker, broker, &topic, &new);

    let failed = worker.rest().wait_for_failed_task(&topic);
    assert!(failed.contains("topic"), "{failed}");
    assert_eq!(rows(&target), OLD_RECORDS);
}

tidegate_tests::on_both! {
    a_sink_with_a_ledger_fails_before_it_reads_the_new_topic
}
