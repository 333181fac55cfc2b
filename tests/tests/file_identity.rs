//! Files that are rotated, removed, rewritten and linked while a worker reads them, stands still or is
//! killed: every line arrives, whatever the file is called by then.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{append_lines, line};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// A worker whose source follows `in.txt` into a topic of its own.
struct Follow {
    worker: Worker,
    kafka: Kafka,
    topic: String,
}

impl Follow {
    fn start(topic: &str) -> Self {
        Self::start_with(topic, |_| {}, &[])
    }

    /// `prepare` comes before the connector and gets the path of `in.txt`.
    fn start_with(topic: &str, prepare: impl FnOnce(PathBuf), more: &[(&str, &str)]) -> Self {
        let broker = Broker::shared();
        let kafka = broker.client();
        kafka.create_topic(topic, 1);
        // Positions are stored early when they must be, and else by nobody.
        let worker = Worker::setup(broker)
            .set("offset.flush.interval.ms", "600000")
            .start();
        worker.rest().upload_guests(&["file-source"]);
        let file = worker.scratch().text("in.txt");
        prepare(worker.scratch().join("in.txt"));
        let mut config = vec![
            ("connector.class", "FileStreamSource"),
            ("topic", topic),
            ("file", &file),
        ];
        config.extend_from_slice(more);
        worker.rest().create("follow", &config);
        Self {
            worker,
            kafka,
            topic: topic.to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.worker.scratch().join(name)
    }

    fn append(&self, name: &str, lines: std::ops::Range<usize>) {
        append_lines(&self.path(name), lines.start, lines.end);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn tally(&self, expected: usize) -> Tally {
        let texts = self.kafka.read_texts(&self.topic);
        Tally::of(expected, texts.iter().map(String::as_str))
    }

    /// Waits until lines 0 to `count` - 1 are all in the topic.
    fn wait_for(&self, count: usize) {
        wait_until(&format!("{count} lines in {}", self.topic), LIMIT, || {
            self.kafka.count(&self.topic) >= count as i64 && self.tally(count).missing() == 0
        });
    }

    /// Stops the worker with its positions stored.
    fn stop(&mut self) {
        assert_eq!(self.worker.stop().code(), Some(0));
    }

    fn start_again(&mut self) {
        self.worker.start_again();
    }

    /// Each line once and in order, and the task runs.
    fn assert_exact(&self, count: usize) {
        self.wait_for(count);
        self.worker.rest().wait_for_state("follow", "RUNNING");
        self.tally(count).assert_exact();
    }
}

fn append(path: PathBuf, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_kill_after_a_rotation_that_was_seen_loses_nothing() {
    let mut follow = Follow::start("killed-after-rotation");
    follow.append("in.txt", 0..500);
    follow.wait_for(500);
    follow.stop();
    follow.start_again();
    follow.append("in.txt", 500..1000);
    follow.rename("in.txt", "in.txt.1");
    follow.append("in.txt", 1000..5500);
    follow.wait_for(5500);
    follow.worker.kill();
    follow.start_again();
    follow.append("in.txt", 5500..5600);
    follow.wait_for(5600);
    follow.tally(5600).assert_complete();
}

#[test]
fn a_kill_in_the_middle_of_a_rotated_file_loses_nothing() {
    let mut follow = Follow::start("killed-in-rotated");
    follow.append("in.txt", 0..50_000);
    follow.wait_for(1);
    follow.worker.kill();
    follow.append("in.txt", 50_000..60_000);
    follow.rename("in.txt", "in.txt.1");
    follow.append("in.txt", 60_000..70_000);
    follow.start_again();
    follow.wait_for(70_000);
    follow.tally(70_000).assert_complete();
}

#[test]
fn a_file_that_was_rotated_while_the_worker_was_stopped_is_finished() {
    let mut follow = Follow::start("rotated-while-stopped");
    follow.append("in.txt", 0..500);
    follow.wait_for(500);
    follow.stop();
    follow.append("in.txt", 500..840);
    follow.rename("in.txt", "in.txt.1");
    follow.append("in.txt", 840..1900);
    follow.start_again();
    follow.assert_exact(1900);
    // By its inode, not only by its contents.
    let log = follow.worker.log();
    assert!(log.contains("where its lines are now"), "{log}");
}

#[test]
fn a_file_that_was_removed_and_written_anew_is_read_from_its_start() {
    let mut follow = Follow::start("written-anew");
    follow.append("in.txt", 0..300);
    follow.wait_for(300);
    follow.stop();
    fs::remove_file(follow.path("in.txt")).unwrap();
    follow.append("in.txt", 300..600);
    follow.start_again();
    follow.assert_exact(600);
}

#[test]
fn a_file_that_was_rewritten_past_the_old_place_is_read_from_its_start() {
    let mut follow = Follow::start("rewritten");
    follow.append("in.txt", 0..200);
    follow.wait_for(200);
    follow.stop();
    fs::write(follow.path("in.txt"), "").unwrap();
    follow.append("in.txt", 200..500);
    follow.start_again();
    follow.assert_exact(500);
    // And once more, under the eyes of the task: no longer, no shorter.
    fs::write(follow.path("new"), "").unwrap();
    follow.append("new", 500..800);
    let new = fs::read(follow.path("new")).unwrap();
    fs::write(follow.path("in.txt"), new).unwrap();
    follow.assert_exact(800);
}

#[test]
fn several_rotations_during_an_outage_keep_every_line() {
    let mut follow = Follow::start("several-rotations");
    follow.append("in.txt", 0..100);
    follow.wait_for(100);
    follow.stop();
    follow.append("in.txt", 100..200);
    for rotation in 1..5 {
        for number in (1..rotation).rev() {
            follow.rename(
                &format!("in.txt.{number}"),
                &format!("in.txt.{}", number + 1),
            );
        }
        follow.rename("in.txt", "in.txt.1");
        follow.append("in.txt", rotation * 100 + 100..rotation * 100 + 200);
    }
    follow.start_again();
    follow.assert_exact(600);
}

#[test]
fn a_copied_and_truncated_file_is_finished_in_its_copy() {
    let mut follow = Follow::start("copytruncate");
    follow.append("in.txt", 0..100);
    follow.wait_for(100);
    follow.stop();
    follow.append("in.txt", 100..300);
    fs::copy(follow.path("in.txt"), follow.path("in.txt.1")).unwrap();
    fs::write(follow.path("in.txt"), "").unwrap();
    follow.append("in.txt", 300..700);
    follow.start_again();
    follow.assert_exact(700);
}

#[test]
fn a_path_that_is_a_symbolic_link_is_read_once() {
    let follow = Follow::start_with(
        "symbolic-link",
        |path| {
            let target = path.with_file_name("target.txt");
            append_lines(&target, 0, 100);
            symlink("target.txt", path).unwrap();
        },
        &[],
    );
    follow.wait_for(100);
    // The link leads to another file, which takes as long to be believed as a wrong look would.
    for round in 1..4 {
        let target = format!("target-{round}.txt");
        follow.append(&target, round * 100..round * 100 + 100);
        symlink(&target, follow.path("next")).unwrap();
        follow.rename("next", "in.txt");
        follow.wait_for(round * 100 + 100);
    }
    follow.assert_exact(400);
}

#[test]
fn an_absolute_link_inside_a_granted_directory_is_followed() {
    let mut follow = Follow::start_with(
        "absolute-link",
        |path| {
            let target = path.with_file_name("target.txt");
            append_lines(&target, 0, 100);
            symlink(&target, path).unwrap();
        },
        &[],
    );
    follow.wait_for(100);
    follow.append("target.txt", 100..200);
    follow.wait_for(200);
    follow.stop();
    follow.append("target.txt", 200..300);
    follow.start_again();
    follow.assert_exact(300);
}

#[test]
fn a_link_out_of_what_was_granted_is_refused_with_advice() {
    let broker = Broker::shared();
    broker.client().create_topic("link-out", 1);
    let worker = Worker::setup(broker).start();
    worker.rest().upload_guests(&["file-source"]);
    symlink("/etc/passwd", worker.scratch().join("in.txt")).unwrap();
    let file = worker.scratch().text("in.txt");
    worker.rest().create(
        "follow",
        &[
            ("connector.class", "FileStreamSource"),
            ("topic", "link-out"),
            ("file", &file),
        ],
    );
    let trace = worker.rest().wait_for_failed_task("follow");
    assert!(
        trace.contains(&file) && trace.contains("no link to a place outside"),
        "{trace}"
    );
}

#[test]
fn a_line_that_is_too_long_is_a_record_that_cannot_be_handled() {
    let more = [("line.max.bytes", "5000"), ("errors.tolerance", "all")];
    let mut follow = Follow::start_with("too-long", |_| {}, &more);
    follow.append("in.txt", 0..100);
    append(
        follow.path("in.txt"),
        &format!("{}\n", "x".repeat(2_000_000)),
    );
    follow.append("in.txt", 100..200);
    append(follow.path("in.txt"), &format!("{}\n", "y".repeat(5001)));
    follow.append("in.txt", 200..300);
    follow.assert_exact(300);
    let metrics = follow.worker.rest().get("/metrics").text;
    let skipped = "tidegate_records_skipped_total{connector=\"follow\",task=\"0\"} 2";
    assert!(metrics.contains(skipped), "{metrics}");
    follow.stop();
    follow.start_again();
    follow.append("in.txt", 300..400);
    follow.assert_exact(400);
}

#[test]
fn a_line_that_is_too_long_fails_the_task_without_tolerance() {
    let more = [("line.max.bytes", "5000")];
    let follow = Follow::start_with("too-long-fails", |_| {}, &more);
    follow.append("in.txt", 0..10);
    follow.wait_for(10);
    append(
        follow.path("in.txt"),
        &format!("{}\nnext\n", "x".repeat(5001)),
    );
    let trace = follow.worker.rest().wait_for_failed_task("follow");
    for words in ["position 1010 of", "5001 bytes", "line.max.bytes (5000)"] {
        assert!(trace.contains(words), "{trace}");
    }
    assert_eq!(follow.kafka.count("too-long-fails"), 10);
}

#[test]
fn a_return_alone_ends_a_line() {
    let follow = Follow::start("returns");
    append(follow.path("in.txt"), "a\r\nb\rc\n\n\nlast");
    append(follow.path("in.txt"), "\rmore\r");
    wait_until("six records", LIMIT, || follow.kafka.count("returns") >= 6);
    append(follow.path("in.txt"), "\n");
    wait_until("seven records", LIMIT, || {
        follow.kafka.count("returns") >= 7
    });
    let texts = follow.kafka.read_texts("returns");
    assert_eq!(texts, ["a", "b", "c", "", "", "last", "more"]);
}

#[test]
fn an_offset_of_kafkas_form_goes_on_and_is_still_readable() {
    let mut follow = Follow::start("offset-form");
    follow.append("in.txt", 0..100);
    follow.wait_for(100);
    follow.stop();
    follow.start_again();
    let offsets = follow.worker.rest().get("/connectors/follow/offsets");
    let stored = &offsets.expect(200).body["offsets"][0];
    let filename = follow.worker.scratch().text("in.txt");
    assert_eq!(stored["partition"]["filename"], filename);
    assert_eq!(stored["offset"]["position"], 100 * (line(0).len() + 1));
    follow.append("in.txt", 100..150);
    follow.assert_exact(150);
}
