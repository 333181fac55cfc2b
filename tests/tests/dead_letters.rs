//! Records that cannot be handled are in the dead letter queue before their offset moves, wherever
//! the worker dies; all others are in the database exactly once (D2, D3, D8).

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::items::{ItemCount, item};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::target::{On, Target};
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(90);
/// Refuses the prices below nothing.
const CREATE: &str = "CREATE TABLE items (id BIGINT NOT NULL, name TEXT, \
                      price DOUBLE PRECISION CHECK (price >= 0), is_even BOOLEAN)";

/// Records of a topic, some of which no table takes.
struct Batch {
    texts: Vec<String>,
    /// How many that the table takes.
    good: usize,
    /// Values that are no JSON.
    unreadable: Vec<String>,
    /// Numbers of items that the table refuses.
    refused: Vec<usize>,
}

impl Batch {
    /// Items 0 to `good` - 1, with a bad record of each kind after every `every` of them, and one at
    /// the end.
    fn new(good: usize, every: usize) -> Self {
        let mut batch = Self {
            texts: Vec::new(),
            good,
            unreadable: Vec::new(),
            refused: Vec::new(),
        };
        for id in 0..good {
            batch.texts.push(item(id).to_string());
            if id % every == every - 1 {
                batch.push_bad(id);
            }
        }
        batch.push_bad(good);
        batch
    }

    fn push_bad(&mut self, id: usize) {
        let unreadable = format!("{{\"id\": {id}");
        self.texts.push(unreadable.clone());
        self.unreadable.push(unreadable);
        let mut refused = item(id);
        refused["price"] = (-1.0).into();
        self.texts.push(refused.to_string());
        self.refused.push(id);
    }
}

tidegate_tests::on_both! {
    refused_rows_are_dead_letters_once_and_all_others_arrive
    without_tolerance_a_refused_row_takes_its_put_back_and_fails_the_task
    a_worker_that_dies_between_two_steps_of_a_put_loses_and_doubles_nothing
}

/// A sink with a topic, a queue and a table of its own.
struct Sink {
    name: String,
    kafka: Kafka,
    target: Target,
    worker: Worker,
    batch: Batch,
    _directory: Scratch,
}

impl Sink {
    /// A stage on which nothing runs yet but the worker.
    fn new(name: &str, on: On, batch: Batch) -> Self {
        let name = &format!("{name}-{on:?}");
        let directory = Scratch::new("databases");
        let target = on.target(&directory);
        target.execute(CREATE);
        let broker = Broker::shared();
        let kafka = broker.client();
        kafka.create_topic(name, 1);
        let records = batch.texts.iter().map(|text| (Some("key"), text.as_str()));
        kafka.produce(name, records);
        let directories = directory.path().display().to_string();
        let worker = Worker::setup(broker)
            .set("tidegate.directories", &directories)
            .set("offset.flush.interval.ms", "300")
            .start();
        worker.rest().upload_guests(&["sql-sink"]);
        Self {
            name: name.to_owned(),
            kafka,
            target,
            worker,
            batch,
            _directory: directory,
        }
    }

    fn create(&self, more: &[(&str, &str)]) {
        let connection = self.target.connection();
        let dead = self.dead();
        let mut config = vec![
            ("connector.class", "sql-sink"),
            ("topics", self.name.as_str()),
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("table.name.format", "items"),
            ("insert.mode", "insert"),
            ("errors.deadletterqueue.topic.name", dead.as_str()),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
            ("consumer.override.max.poll.records", "500"),
            ("consumer.override.session.timeout.ms", "2000"),
            ("consumer.override.heartbeat.interval.ms", "500"),
        ];
        config.extend(connection.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        config.extend(more);
        self.worker.rest().create(&self.name, &config);
    }

    /// The dead letter queue's topic.
    fn dead(&self) -> String {
        format!("{}-dead", self.name)
    }

    fn wait_until_done(&self) {
        let all = self.batch.texts.len();
        wait_until("all records are done", LIMIT, || {
            self.target.progress() == Some(all)
        });
    }

    fn assert_exact(&self) {
        let rows = self.target.rows("SELECT id, name FROM items");
        ItemCount::of(self.batch.good, rows).assert_exact();
    }

    /// How often each dead letter is in the queue, by its value.
    fn dead_letters(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for text in self.kafka.read_texts(&self.dead()) {
            *count.entry(text).or_default() += 1;
        }
        count
    }

    /// Every bad record is a dead letter, and nothing else is.
    fn assert_dead_letters_complete(&self) -> BTreeMap<String, usize> {
        let letters = self.dead_letters();
        let refused = |text: &&String| {
            let item: serde_json::Value = serde_json::from_str(text).unwrap();
            let id = item["id"].as_u64().unwrap() as usize;
            assert!(self.batch.refused.contains(&id), "{text}");
            true
        };
        let (broken, whole): (Vec<_>, Vec<_>) = letters
            .keys()
            .partition(|text| self.batch.unreadable.contains(text));
        assert_eq!(broken.len(), self.batch.unreadable.len());
        assert_eq!(
            whole.iter().filter(|text| refused(text)).count(),
            self.batch.refused.len()
        );
        letters
    }
}

fn refused_rows_are_dead_letters_once_and_all_others_arrive(on: On) {
    let sink = Sink::new("refused", on, Batch::new(3_000, 250));
    sink.create(&[("errors.tolerance", "all")]);
    sink.wait_until_done();
    sink.assert_exact();
    let letters = sink.assert_dead_letters_complete();
    assert!(letters.values().all(|count| *count == 1), "{letters:?}");
    let records = sink.kafka.read(&sink.dead());
    for record in &records {
        let header = |name: &str| record.header(&format!("__connect.errors.{name}"));
        assert_eq!(record.key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(
            [
                header("topic"),
                header("partition"),
                header("connector.name"),
                header("task.id")
            ],
            [sink.name.as_str(), "0", &sink.name, "0"]
        );
        let offset: usize = header("offset").parse().unwrap();
        assert_eq!(sink.batch.texts[offset], record.text());
        let message = header("exception.message");
        if sink.batch.unreadable.contains(&record.text()) {
            assert_eq!(header("stage"), "VALUE_CONVERTER");
            assert!(header("class.name").ends_with("JsonConverter"));
            assert_eq!(
                header("exception.class.name"),
                "org.apache.kafka.connect.errors.DataException"
            );
        } else {
            assert_eq!(header("stage"), "TASK_PUT");
            assert!(message.contains(sink.target.check_violation()), "{message}");
        }
    }
    let metrics = sink.worker.rest().get("/metrics").text;
    let counted = format!(
        "tidegate_dead_letters_total{{connector=\"{}\"}} {}",
        sink.name,
        records.len()
    );
    assert!(metrics.contains(&counted), "{metrics}");
}

fn without_tolerance_a_refused_row_takes_its_put_back_and_fails_the_task(on: On) {
    let sink = Sink::new("intolerant", on, Batch::new(100, 1_000));
    sink.create(&[]);
    let trace = sink.worker.rest().wait_for_failed_task(&sink.name);
    assert!(trace.contains(&format!("{}-0@100", sink.name)), "{trace}");
    assert_eq!(sink.target.number("SELECT count(*) FROM items"), Some(0));
    assert_eq!(sink.target.progress(), Some(0));
    assert!(sink.kafka.partitions(&sink.dead()).is_empty());
}

/// Every arrow between the steps of a put, in order, and which visit is one with dead letters and
/// rows behind it.
const ARROWS: [(&str, u32); 6] = [
    ("guest-put", 2),
    ("dead-letters-acked", 2),
    ("before-commit", 2),
    ("offsets-written", 2),
    ("committed", 2),
    ("group-committed", 1),
];

fn a_worker_that_dies_between_two_steps_of_a_put_loses_and_doubles_nothing(on: On) {
    for (arrow, visit) in ARROWS {
        let mut sink = Sink::new(arrow, on, Batch::new(3_000, 250));
        sink.worker.stop();
        sink.worker.set_failpoint(Some(&format!("{arrow}:{visit}")));
        sink.worker.start_again();
        sink.create(&[("errors.tolerance", "all")]);
        let status = sink.worker.wait_ended();
        assert!(!status.success(), "{arrow}: {status}");
        let committed = sink
            .kafka
            .committed(&format!("connect-{}", sink.name), &sink.name);
        let group: i64 = committed.iter().filter_map(|(_, offset)| *offset).sum();
        let stored = sink.target.progress().unwrap_or_default();
        assert!(
            group as usize <= stored,
            "{arrow}: {group} in the group, {stored} stored"
        );
        sink.worker.set_failpoint(None);
        sink.worker.start_again();
        sink.wait_until_done();
        sink.assert_exact();
        sink.assert_dead_letters_complete();
    }
}
