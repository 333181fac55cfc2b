//! The file of a sink: cut off in the middle of a line by a crash, rotated, removed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{LINE_LENGTH, line, tally_file};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// A worker whose sink writes a topic of its own into `out.txt`.
struct Write {
    worker: Worker,
    kafka: Kafka,
    topic: &'static str,
}

impl Write {
    fn start(topic: &'static str, flush_interval_ms: &str) -> Self {
        let broker = Broker::shared();
        let kafka = broker.client();
        kafka.create_topic(topic, 1);
        let worker = Worker::setup(broker)
            .set("offset.flush.interval.ms", flush_interval_ms)
            .start();
        worker.rest().upload_guests(&["file-sink"]);
        let config = [
            ("connector.class", "FileStreamSink"),
            ("topics", topic),
            ("file", &worker.scratch().text("out.txt")),
        ];
        worker.rest().create(topic, &config);
        Self {
            worker,
            kafka,
            topic,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.worker.scratch().join(name)
    }

    fn produce(&self, numbers: std::ops::Range<usize>) {
        let lines: Vec<String> = numbers.map(line).collect();
        let records = lines.iter().map(|line| (None, Some(line.as_str())));
        self.kafka.produce_nullable(self.topic, records);
    }

    /// Waits until lines 0 to `count` - 1 are in these files together.
    fn wait_for(&self, files: &[&str], count: usize) {
        wait_until(&format!("{count} lines in {files:?}"), LIMIT, || {
            self.all(files).lines().count() >= count
        });
    }

    fn all(&self, files: &[&str]) -> String {
        let read = |name: &&str| fs::read_to_string(self.path(name)).unwrap_or_default();
        files.iter().map(read).collect()
    }

    fn assert_exact(&self, files: &[&str], count: usize) {
        fs::write(self.path("all.txt"), self.all(files)).unwrap();
        tally_file(&self.path("all.txt"), count).assert_exact();
    }
}

#[test]
fn a_crash_leaves_no_half_line_behind() {
    let mut write = Write::start("half-line", "600000");
    write.produce(0..100);
    write.wait_for(&["out.txt"], 100);
    // Stored up to here; what comes now is written and not accepted.
    assert_eq!(write.worker.stop().code(), Some(0));
    write.worker.start_again();
    write.produce(100..200);
    write.wait_for(&["out.txt"], 200);
    write.worker.kill();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(write.path("out.txt"))
        .unwrap();
    let whole = 150 * (LINE_LENGTH as u64 + 1);
    file.set_len(whole + 7).unwrap();
    write.worker.start_again();
    // 150 whole lines and those since the last commit once more.
    write.wait_for(&["out.txt"], 250);
    let tally = tally_file(&write.path("out.txt"), 200);
    tally.assert_complete();
    assert_eq!(tally.duplicates(), 50);
    assert!(write.worker.log().contains("7 bytes of a line"));
}

#[test]
fn a_rotated_file_is_left_for_a_new_one() {
    let write = Write::start("sink-rotated", "1000");
    write.produce(0..100);
    write.wait_for(&["out.txt"], 100);
    fs::rename(write.path("out.txt"), write.path("out.txt.1")).unwrap();
    write.produce(100..300);
    write.wait_for(&["out.txt.1", "out.txt"], 300);
    assert_eq!(write.all(&["out.txt.1"]).lines().count(), 100);
    write.assert_exact(&["out.txt.1", "out.txt"], 300);
}

#[test]
fn a_removed_file_is_begun_anew() {
    let write = Write::start("sink-removed", "1000");
    write.produce(0..100);
    write.wait_for(&["out.txt"], 100);
    let before = write.all(&["out.txt"]);
    fs::remove_file(write.path("out.txt")).unwrap();
    write.produce(100..300);
    write.wait_for(&["out.txt"], 200);
    fs::write(write.path("before.txt"), before).unwrap();
    write.assert_exact(&["before.txt", "out.txt"], 300);
    write.worker.rest().wait_for_state(write.topic, "RUNNING");
}
