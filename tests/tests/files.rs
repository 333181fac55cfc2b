//! The file connectors: Kafka Connect's own configurations, and files as they behave in the wild.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{append_lines, tally_file};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn wait_for_count(kafka: &Kafka, topic: &str, count: i64) {
    wait_until(&format!("{count} records in {topic}"), LIMIT, || {
        kafka.count(topic) >= count
    });
}

/// A worker with a source that follows `files` into a new topic.
fn follow(topic: &str, files: &[&str], tasks_max: &str) -> (Worker, Kafka) {
    let broker = Broker::shared();
    let kafka = broker.client();
    kafka.create_topic(topic, 1);
    let worker = Worker::with_file_connectors(broker);
    let files: Vec<String> = files
        .iter()
        .map(|file| worker.scratch().text(file))
        .collect();
    let config = [
        ("connector.class", "FileStreamSource"),
        ("tasks.max", tasks_max),
        ("topic", topic),
        ("file", &files.join(",")),
    ];
    worker.rest().create("follow", &config);
    (worker, kafka)
}

/// The two files that come with Kafka Connect, letter for letter.
#[test]
fn kafka_connects_own_configurations_run_unchanged() {
    let broker = Broker::shared();
    broker.client().create_topic("connect-test", 1);
    let mut worker = Worker::with_file_connectors(broker);
    worker.stop();
    let source = worker.scratch().join("connect-file-source.properties");
    fs::write(
        &source,
        "name=local-file-source\nconnector.class=FileStreamSource\ntasks.max=1\n\
         file=test.txt\ntopic=connect-test\n",
    )
    .unwrap();
    let sink = worker.scratch().join("connect-file-sink.properties");
    fs::write(
        &sink,
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\n\
         file=test.sink.txt\ntopics=connect-test\n",
    )
    .unwrap();
    append_lines(&worker.scratch().join("test.txt"), 0, 100);
    worker.set_connector_files(vec![source, sink]);
    worker.start_again();
    worker.rest().wait_for_state("local-file-source", "RUNNING");
    worker.rest().wait_for_state("local-file-sink", "RUNNING");
    let output = worker.scratch().join("test.sink.txt");
    wait_until("all lines arrive", LIMIT, || {
        output.exists() && tally_file(&output, 100).missing() == 0
    });
    tally_file(&output, 100).assert_exact();
}

#[test]
fn all_class_names_of_the_file_connectors_are_known() {
    let broker = Broker::shared();
    broker.client().create_topic("classes", 1);
    let worker = Worker::with_file_connectors(broker);
    let rest = worker.rest();
    let (input, output) = (
        worker.scratch().text("in.txt"),
        worker.scratch().text("out.txt"),
    );
    for (kind, key) in [("Source", "topic"), ("Sink", "topics")] {
        let class = format!("FileStream{kind}");
        let names = [
            class.clone(),
            format!("{class}Connector"),
            format!("org.apache.kafka.connect.file.{class}Connector"),
        ];
        for (number, class) in names.iter().enumerate() {
            let name = format!("{kind}-{number}");
            let file = if kind == "Source" { &input } else { &output };
            rest.create(
                &name,
                &[("connector.class", class), (key, "classes"), ("file", file)],
            );
            rest.wait_for_state(&name, "RUNNING");
            let info = rest.get(&format!("/connectors/{name}")).expect(200).body;
            assert_eq!(info["type"], kind.to_lowercase());
            assert_eq!(info["config"]["connector.class"], *class);
        }
    }
}

#[test]
fn a_topic_is_created_with_the_partitions_asked_for() {
    let broker = Broker::shared();
    let worker = Worker::with_file_connectors(broker);
    append_lines(&worker.scratch().join("in.txt"), 0, 10);
    worker.rest().create(
        "creator",
        &[
            ("connector.class", "FileStreamSource"),
            ("topic", "created"),
            ("file", &worker.scratch().text("in.txt")),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "1"),
        ],
    );
    let kafka = broker.client();
    wait_for_count(&kafka, "created", 10);
    assert_eq!(kafka.partitions("created"), [0, 1, 2]);
}

#[test]
fn line_ends_of_either_kind_are_cut_and_empty_lines_kept() {
    let (worker, kafka) = follow("line-ends", &["in.txt"], "1");
    append(&worker.scratch().join("in.txt"), "one\r\ntwo\n\nfour\r\n");
    wait_for_count(&kafka, "line-ends", 4);
    assert_eq!(kafka.read_texts("line-ends"), ["one", "two", "", "four"]);
}

#[test]
fn a_line_counts_once_it_has_an_end() {
    let (worker, kafka) = follow("growing", &["in.txt"], "1");
    let input = worker.scratch().join("in.txt");
    append(&input, "one\nha");
    wait_for_count(&kafka, "growing", 1);
    append(&input, "lf");
    append(&input, " a line\nthree\n");
    wait_for_count(&kafka, "growing", 3);
    assert_eq!(kafka.read_texts("growing"), ["one", "half a line", "three"]);
}

#[test]
fn a_file_that_became_shorter_is_read_from_its_start() {
    let (worker, kafka) = follow("truncated", &["in.txt"], "1");
    let input = worker.scratch().join("in.txt");
    fs::write(&input, "one\ntwo\n").unwrap();
    wait_for_count(&kafka, "truncated", 2);
    fs::write(&input, "new\n").unwrap();
    wait_for_count(&kafka, "truncated", 3);
    assert_eq!(kafka.read_texts("truncated"), ["one", "two", "new"]);
    worker.rest().wait_for_state("follow", "RUNNING");
}

#[test]
fn a_file_may_come_late_and_vanish() {
    let (worker, kafka) = follow("vanishing", &["in.txt"], "1");
    let input = worker.scratch().join("in.txt");
    worker.rest().wait_for_state("follow", "RUNNING");
    append(&input, "one\n");
    wait_for_count(&kafka, "vanishing", 1);
    fs::remove_file(&input).unwrap();
    append(&input, "two, in a new file\n");
    wait_for_count(&kafka, "vanishing", 2);
    assert_eq!(kafka.read_texts("vanishing"), ["one", "two, in a new file"]);
    worker.rest().wait_for_state("follow", "RUNNING");
}

#[test]
fn several_files_are_shared_among_tasks() {
    let (worker, kafka) = follow("several", &["a.txt", "b.txt", "c.txt"], "2");
    for (number, file) in ["a.txt", "b.txt", "c.txt"].iter().enumerate() {
        append_lines(
            &worker.scratch().join(file),
            number * 100,
            number * 100 + 100,
        );
    }
    let status = worker.rest().wait_for_state("follow", "RUNNING");
    assert_eq!(status["tasks"].as_array().map(Vec::len), Some(2));
    wait_for_count(&kafka, "several", 300);
    let texts = kafka.read_texts("several");
    let tally = Tally::of(300, texts.iter().map(String::as_str));
    assert_eq!(
        (tally.missing(), tally.duplicates(), texts.len()),
        (0, 0, 300)
    );
    for file in 0..3 {
        let own = texts
            .iter()
            .filter(|text| text.contains(&format!("line-{:07}", file)));
        let own: Vec<&String> = own.collect();
        assert!(
            own.is_sorted() && own.len() == 100,
            "the lines of one file keep their order"
        );
    }
}

#[test]
fn a_directory_that_is_not_granted_is_refused_with_the_key_to_change() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let config = serde_json::json!({
        "connector.class": "FileStreamSource", "topic": "t", "file": "/etc/passwd"
    });
    let answer = worker.rest().put("/connectors/curious/config", &config);
    assert!(
        answer.error(400).contains("tidegate.directories"),
        "{}",
        answer.text
    );
    worker.rest().get("/connectors/curious").expect(404);
}
