//! A broker takes or refuses a batch as a whole: of a refused batch only the record that is at fault is
//! left out, or fails the task (D3). All others are written, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::Cluster;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 10_000;
/// One of so many records is odd.
const EVERY: usize = 4_000;
/// What a topic takes, far below a batch of small records.
const TOPIC_LIMIT: &str = "3000";

/// A source of which odd records are too large, or have no key.
fn source(topic: &str, odd: &[(&str, &str)], more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "name": topic,
        "connector.class": "keyed-source",
        "topic": topic,
        "records": RECORDS.to_string(),
        "batch": RECORDS.to_string(),
        "odd.every": EVERY.to_string(),
        "key.converter": "StringConverter",
        "value.converter": "StringConverter",
    });
    for (key, value) in odd.iter().chain(more) {
        config[*key] = json!(value);
    }
    json!({"name": topic, "config": config})
}

const LARGE: &[(&str, &str)] = &[("odd.bytes", "5000")];
const UNKEYED: &[(&str, &str)] = &[("odd.unkeyed", "true")];
const SKIP: (&str, &str) = ("errors.tolerance", "all");

fn is_odd(number: usize) -> bool {
    number % EVERY == EVERY - 1
}

fn number(text: &str) -> usize {
    text.trim_end_matches('.').parse().unwrap()
}

/// Waits for the last record and reads the numbers that are there.
fn written(kafka: &Kafka, topic: &str) -> Vec<usize> {
    let last = RECORDS - 1;
    let mut numbers = Vec::new();
    wait_until("the last record", LIMIT, || {
        numbers = kafka
            .read_committed(topic)
            .iter()
            .map(|r| number(&r.text()))
            .collect();
        numbers.contains(&last)
    });
    numbers
}

fn all_but_odd() -> BTreeSet<usize> {
    (0..RECORDS).filter(|n| !is_odd(*n)).collect()
}

fn worker(broker: &Broker) -> Worker {
    let worker = Worker::setup(broker).start();
    worker.rest().upload_guests(&["hostile/keyed-source"]);
    worker
}

/// The last time that each number was written: repeated batches are in order, too.
fn last_times(numbers: &[usize]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let mut last: Vec<usize> = numbers
        .iter()
        .rev()
        .copied()
        .filter(|n| seen.insert(*n))
        .collect();
    last.reverse();
    last
}

fn leaves_out_only_what_is_at_fault(topic: &str, odd: &[(&str, &str)], create: impl Fn(&Kafka)) {
    let broker = Broker::shared();
    let kafka = broker.client();
    create(&kafka);
    let mut worker = worker(broker);
    worker
        .rest()
        .post("/connectors", &source(topic, odd, &[SKIP]))
        .expect(201);
    let numbers = written(&kafka, topic);
    let distinct: BTreeSet<usize> = numbers.iter().copied().collect();
    assert!(distinct == all_but_odd(), "{} of {RECORDS}", distinct.len());
    let last = last_times(&numbers);
    assert!(last.is_sorted(), "out of order");
    assert!(worker.log().contains(topic));
    let skipped = (0..RECORDS).filter(|n| is_odd(*n)).count();
    let counted =
        format!("tidegate_records_skipped_total{{connector=\"{topic}\",task=\"0\"}} {skipped}");
    wait_until("the skipped records are counted", LIMIT, || {
        worker.rest().get("/metrics").text.contains(&counted)
    });
}

#[test]
fn a_record_that_is_too_large_takes_no_other_with_it() {
    leaves_out_only_what_is_at_fault("too-large", LARGE, |kafka| {
        kafka.create_configured_topic("too-large", "max.message.bytes", TOPIC_LIMIT);
    });
}

#[test]
fn a_record_that_a_topic_does_not_take_takes_no_other_with_it() {
    leaves_out_only_what_is_at_fault("not-taken", UNKEYED, |kafka| {
        kafka.create_compacted_topic("not-taken", 1);
    });
}

#[test]
fn without_tolerance_the_record_is_named_and_what_is_before_it_is_written() {
    let broker = Broker::shared();
    let kafka = broker.client();
    kafka.create_configured_topic("intolerant", "max.message.bytes", TOPIC_LIMIT);
    let worker = worker(broker);
    worker
        .rest()
        .post("/connectors", &source("intolerant", LARGE, &[]))
        .expect(201);
    let trace = worker.rest().wait_for_failed_task("intolerant");
    for word in ["topic intolerant", TOPIC_LIMIT, "max.message.bytes", "5076"] {
        assert!(trace.contains(word), "no {word} in {trace}");
    }
    let written: BTreeSet<usize> = kafka
        .read_texts("intolerant")
        .iter()
        .map(|text| number(text))
        .collect();
    assert!((0..EVERY - 1).all(|n| written.contains(&n)));
}

#[test]
fn a_small_topic_takes_every_record_of_large_batches() {
    let broker = Broker::shared();
    let kafka = broker.client();
    kafka.create_configured_topic("small-topic", "max.message.bytes", TOPIC_LIMIT);
    let worker = worker(broker);
    worker
        .rest()
        .post("/connectors", &source("small-topic", &[], &[]))
        .expect(201);
    let numbers: BTreeSet<usize> = written(&kafka, "small-topic").into_iter().collect();
    assert_eq!(numbers.len(), RECORDS);
}

#[test]
fn a_transaction_is_repeated_without_the_record_that_doomed_it() {
    let broker = Broker::shared();
    let cluster = Cluster::of(broker, "refusals")
        .set("exactly.once.source.support", "enabled")
        .start_with_connectors(1);
    cluster.rest(0).upload_guests(&["hostile/keyed-source"]);
    let kafka = broker.client();
    for (topic, odd) in [("exact-large", LARGE), ("exact-unkeyed", UNKEYED)] {
        if odd == LARGE {
            kafka.create_configured_topic(topic, "max.message.bytes", TOPIC_LIMIT);
        } else {
            kafka.create_compacted_topic(topic, 1);
        }
        let source = source(topic, odd, &[SKIP, ("exactly.once.support", "required")]);
        cluster.rest(0).post("/connectors", &source).expect(201);
        let numbers = written(&kafka, topic);
        let expected: Vec<usize> = all_but_odd().into_iter().collect();
        assert!(numbers == expected, "{topic}: {} records", numbers.len());
    }
}

#[test]
fn a_queue_that_takes_small_batches_gets_every_dead_letter_once() {
    let broker = Broker::shared();
    let kafka = broker.client();
    let (topic, dead) = ("unreadable", "unreadable-dead");
    kafka.create_topic(topic, 1);
    kafka.create_configured_topic(dead, "max.message.bytes", TOPIC_LIMIT);
    let worker = Worker::with_file_connectors(broker);
    let texts: Vec<String> = (0..2_000).map(|n| format!("{{{n}")).collect();
    kafka.produce(topic, texts.iter().map(|text| (None, text.as_str())));
    worker.rest().create(
        topic,
        &[
            ("connector.class", "FileStreamSink"),
            ("topics", topic),
            ("file", &worker.scratch().text("out")),
            ("value.converter", "JsonConverter"),
            SKIP,
            ("errors.deadletterqueue.topic.name", dead),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
        ],
    );
    wait_until("all letters", LIMIT, || {
        kafka.count(dead) >= texts.len() as i64
    });
    let mut letters = kafka.read_texts(dead);
    letters.sort();
    let mut expected = texts;
    expected.sort();
    assert!(letters == expected, "{} letters", letters.len());
}
