//! Nothing is lost on the way from a file through Kafka into a file, whoever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{append_lines, estimate_lines, last_line, line, tally_file};
use tidegate_tests::java;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::{wait_or_give_up, wait_until};
use tidegate_tests::worker::Worker;

const LINES: usize = 1_000_000;
const LIMIT: Duration = Duration::from_secs(300);

/// A file on its way through a topic of one partition into another file.
struct Route {
    topic: &'static str,
    kafka: Kafka,
    worker: Worker,
    lines: usize,
    output: PathBuf,
}

impl Route {
    fn start(broker: &Broker, topic: &'static str, lines: usize) -> Self {
        let worker = Worker::with_file_connectors(broker);
        let (input, output) = (
            worker.scratch().join("in.txt"),
            worker.scratch().join("out.txt"),
        );
        append_lines(&input, 0, lines);
        let kafka = broker.client();
        kafka.create_topic(topic, 1);
        worker.rest().create(
            "sink",
            &[
                ("connector.class", "FileStreamSink"),
                ("topics", topic),
                ("file", text(&output)),
            ],
        );
        worker.rest().create(
            "source",
            &[
                ("connector.class", "FileStreamSource"),
                ("topic", topic),
                ("file", text(&input)),
            ],
        );
        Self {
            topic,
            kafka,
            worker,
            lines,
            output,
        }
    }

    /// Waits until this much of all there is to do, twice the number of lines, has been done.
    fn wait_for_progress(&self, wanted: usize) {
        wait_until(
            &format!("{wanted} steps of {}", 2 * self.lines),
            LIMIT,
            || self.kafka.count(self.topic) as usize + estimate_lines(&self.output) >= wanted,
        );
    }

    /// Waits for the last line, and counts in the topic and in the file what came.
    fn finish(mut self) -> (Tally, Tally) {
        let last = line(self.lines - 1);
        let arrived = wait_or_give_up(LIMIT, || {
            (last_line(&self.output).as_deref() == Some(last.as_str())).then_some(())
        });
        if arrived.is_none() {
            eprintln!(
                "the last line never arrived\n{}",
                self.worker.process().log_tail()
            );
        }
        self.worker.rest().wait_for_state("source", "RUNNING");
        self.worker.rest().wait_for_state("sink", "RUNNING");
        assert_eq!(self.worker.stop().code(), Some(0));
        let mut topic = Tally::new(self.lines);
        self.kafka.read_each(self.topic, |message| {
            use rdkafka::Message;
            topic.add(message.payload_view::<str>().unwrap().unwrap());
        });
        let file = tally_file(&self.output, self.lines);
        println!("{}: topic: {topic}", self.topic);
        println!("{}: file: {file}", self.topic);
        (topic, file)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_million_lines_arrive_once_and_in_order() {
    let (topic, file) = Route::start(Broker::shared(), "undisturbed", LINES).finish();
    topic.assert_exact();
    file.assert_exact();
}

#[test]
fn a_million_lines_survive_a_worker_killed_five_times() {
    const KILLS: usize = 5;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let moments: BTreeSet<usize> = (0..KILLS)
        .map(|_| random.usize(0..2 * LINES * 9 / 10))
        .collect();
    println!("killed after {moments:?} steps of {}", 2 * LINES);

    let mut route = Route::start(Broker::shared(), "killed-worker", LINES);
    for moment in moments {
        route.wait_for_progress(moment);
        route.worker.kill();
        route.worker.start_again();
    }
    let (topic, file) = route.finish();
    topic.assert_complete();
    file.assert_complete();
}

#[test]
fn a_stopped_broker_only_delays() {
    let mut broker = Broker::start();
    let route = Route::start(&broker, "stopped-broker", LINES / 2);
    route.wait_for_progress(LINES / 2);
    broker.stop();
    broker.start_again();
    let (topic, file) = route.finish();
    topic.assert_complete();
    file.assert_complete();
}

#[test]
fn a_killed_broker_only_delays() {
    let mut broker = Broker::start();
    let route = Route::start(&broker, "killed-broker", LINES / 2);
    route.wait_for_progress(LINES / 4);
    broker.kill();
    broker.start_again();
    let (topic, file) = route.finish();
    topic.assert_complete();
    file.assert_complete();
}

/// Kafka's own partitioner, for keys counted up like those of the keyed source.
const MURMUR: &str = r#"
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Utils;

public class Murmur {
    public static void main(String[] args) {
        int keys = Integer.parseInt(args[1]), partitions = Integer.parseInt(args[2]);
        for (int i = 0; i < keys; i++) {
            byte[] key = (args[0] + i).getBytes(StandardCharsets.UTF_8);
            System.out.println(args[0] + i + " " + Utils.toPositive(Utils.murmur2(key)) % partitions);
        }
    }
}
"#;

#[test]
fn keys_land_where_a_java_producer_would_put_them() {
    let broker = Broker::shared();
    let kafka = broker.client();
    kafka.create_topic("keyed", 7);
    let worker = Worker::setup(broker).start();
    worker.rest().upload_guests(&["hostile/keyed-source"]);
    worker.rest().create(
        "keyed",
        &[
            ("connector.class", "keyed-source"),
            ("tasks.max", "2"),
            ("topic", "keyed"),
            ("records", "3000"),
            ("keys", "500"),
            ("key.prefix", "schlüssel-"),
        ],
    );
    wait_until("3000 records", LIMIT, || kafka.count("keyed") >= 3000);

    let directory = worker.scratch().path();
    let java: BTreeMap<String, i32> =
        java::run_source(directory, "Murmur", MURMUR, &["schlüssel-", "500", "7"])
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(key, partition)| (key.to_owned(), partition.parse().unwrap()))
            .collect();
    let records = kafka.read("keyed");
    let values: BTreeSet<String> = records.iter().map(|record| record.text()).collect();
    assert_eq!((records.len(), values.len()), (3000, 3000));
    for record in records {
        let key = String::from_utf8(record.key.unwrap()).unwrap();
        assert_eq!(java.get(&key), Some(&record.partition), "{key}");
    }
}
