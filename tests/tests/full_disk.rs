//! A sink whose disk is full or may not be written.
//!
//! Needs a disk that gets full: a small tmpfs, which takes the right to mount one. Without it,
//! /dev/full shows the refusal, but not that the sink goes on once there is room.

use std::path::Path;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{append_lines, count_lines, tally_file};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::small_disk::SmallDisk;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(90);
const LINES: usize = 20_000;
/// How often the disk with the state gets full; in the second half the worker is killed then.
const DISK_ROUNDS: usize = 6;
const LINES_ON_FULL_DISK: usize = 100;

/// A worker that may write below `directory`, with a sink into `file` for a topic of many lines.
fn sink_into(topic: &str, directory: &Path, file: &Path) -> (Worker, Kafka) {
    sink_flushing_each("1000", topic, directory, file)
}

fn sink_flushing_each(
    interval_ms: &str,
    topic: &str,
    directory: &Path,
    file: &Path,
) -> (Worker, Kafka) {
    let broker = Broker::shared();
    let kafka = broker.client();
    kafka.create_topic(topic, 1);
    let setup = Worker::setup(broker).set("offset.flush.interval.ms", interval_ms);
    let directories = format!(
        "{},{}",
        setup.scratch().path().display(),
        directory.display()
    );
    let worker = setup.set("tidegate.directories", &directories).start();
    worker.rest().upload_guests(&["file-source", "file-sink"]);
    let input = worker.scratch().join("in.txt");
    append_lines(&input, 0, LINES);
    worker.rest().create(
        "source",
        &[
            ("connector.class", "FileStreamSource"),
            ("topic", topic),
            ("file", input.to_str().unwrap()),
        ],
    );
    worker.rest().create(
        "sink",
        &[
            ("connector.class", "FileStreamSink"),
            ("topics", topic),
            ("file", file.to_str().unwrap()),
        ],
    );
    (worker, kafka)
}

#[test]
fn a_full_disk_delays_and_loses_nothing() {
    let disk = Scratch::new("disk");
    let Some(small) = SmallDisk::mount(&disk.join("small"), "size=512k") else {
        println!("no right to mount a tmpfs: /dev/full instead");
        return refuses_to_commit(Path::new("/dev/full"));
    };
    let output = small.path.join("out.txt");
    let (mut worker, _) = sink_into("full-disk", &small.path, &output);
    wait_until("the worker complains", LIMIT, || {
        worker.log().contains("No space left") || worker.log().contains("make room")
    });
    small.grow("64m");
    wait_until("all lines arrive", LIMIT, || {
        output.exists() && tally_file(&output, LINES).missing() == 0
    });
    tally_file(&output, LINES).assert_exact();
    worker.rest().wait_for_state("sink", "RUNNING");
    assert_eq!(worker.stop().code(), Some(0));
}

#[test]
fn what_was_accepted_is_stored_before_a_full_disk_is_waited_for() {
    let disk = Scratch::new("disk");
    let Some(small) = SmallDisk::mount(&disk.join("small"), "size=640k") else {
        println!("no right to mount a tmpfs: nothing is tried");
        return;
    };
    let output = small.path.join("out.txt");
    let topic = "full-disk-accepted";
    // Nobody else stores anything.
    let (mut worker, kafka) = sink_flushing_each("600000", topic, &small.path, &output);
    wait_until("the worker complains", LIMIT, || {
        worker.log().contains("No space left") || worker.log().contains("make room")
    });
    wait_until("what was accepted is stored", LIMIT, || {
        let stored = kafka.committed("connect-sink", topic);
        let lines = count_lines(&output) as i64;
        lines > 0 && stored == [(0, Some(lines))]
    });
    // The source has stored nothing, and would read its file again.
    wait_until("all is in the topic", LIMIT, || {
        kafka.count(topic) >= LINES as i64
    });
    worker.rest().delete("/connectors/source").expect(204);
    worker.kill();
    small.grow("64m");
    worker.start_again();
    wait_until("all lines arrive", LIMIT, || {
        tally_file(&output, LINES).missing() == 0
    });
    tally_file(&output, LINES).assert_exact();
}

fn refuses_to_commit(file: &Path) {
    let (mut worker, kafka) = sink_into("dev-full", file.parent().unwrap(), file);
    wait_until("the worker complains", LIMIT, || {
        worker.log().contains("No space left")
    });
    assert_eq!(kafka.committed("connect-sink", "dev-full"), [(0, None)]);
}

#[test]
fn a_directory_that_may_not_be_written_fails_the_task_with_advice() {
    let disk = Scratch::new("disk");
    let locked = disk.join("locked");
    // Root may write where permissions forbid it, but not on a file system that is read-only.
    let mounted = SmallDisk::mount(&locked, "ro");
    if mounted.is_none() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    let output = locked.join("out.txt");
    let (worker, kafka) = sink_into("locked", &locked, &output);
    let trace = worker.rest().wait_for_failed_task("sink");
    assert!(trace.contains(output.to_str().unwrap()), "{trace}");
    assert_eq!(kafka.committed("connect-sink", "locked"), [(0, None)]);
}

#[test]
fn a_worker_whose_state_is_on_a_full_disk_holds_its_source_and_goes_on() {
    let disk = Scratch::new("disk");
    let Some(small) = SmallDisk::mount(&disk.join("small"), "size=4m") else {
        println!("skipped: no right to mount a tmpfs");
        return;
    };
    let broker = Broker::shared();
    let topic = "state-on-full-disk";
    broker.client().create_topic(topic, 1);
    let mut worker = Worker::setup(broker)
        .set(
            "tidegate.state.directory",
            &small.path.join("state").display().to_string(),
        )
        .set("offset.flush.interval.ms", "100")
        .start();
    worker.rest().upload_guests(&["file-source"]);
    let input = worker.scratch().join("in.txt");
    append_lines(&input, 0, 1);
    worker.rest().create(
        "source",
        &[
            ("connector.class", "FileStreamSource"),
            ("topic", topic),
            ("file", input.to_str().unwrap()),
        ],
    );
    let position = |worker: &Worker| {
        let offsets = worker.rest().get("/connectors/source/offsets").body;
        offsets["offsets"][0]["offset"]["position"].as_u64()
    };
    let is_stored = |worker: &Worker| {
        let length = std::fs::metadata(worker.scratch().join("in.txt"))
            .unwrap()
            .len();
        position(worker) == Some(length)
    };
    let (mut lines, mut times_ill) = (1, 0);
    wait_until("the first offset", LIMIT, || is_stored(&worker));
    for round in 0..DISK_ROUNDS {
        small.fill();
        // What there is room for in files that are large already is still written.
        let last = lines + LINES_ON_FULL_DISK;
        wait_until(
            "the state cannot be written, or has had room",
            LIMIT,
            || {
                append_lines(&input, lines, lines + 1);
                lines += 1;
                let health = worker.rest().try_get("/health");
                let is_ill = health.is_some_and(|answer| answer.status == 500);
                times_ill += usize::from(is_ill);
                is_ill || lines == last
            },
        );
        let restarts = round >= DISK_ROUNDS / 2;
        if restarts {
            worker.kill();
            worker.launch();
            wait_until("a start on a full disk ends, or goes on", LIMIT, || {
                worker.process().ended().is_some() || worker.rest().try_get("/health").is_some()
            });
        }
        small.free();
        if restarts {
            worker.kill();
            worker.launch();
        }
        worker.wait_healthy();
        wait_until("the offset is stored", LIMIT, || is_stored(&worker));
        if !restarts {
            assert_eq!(
                broker.client().count(topic) as usize,
                lines,
                "nothing is repeated"
            );
        }
        // Changes are taken again.
        let name = format!("after-{round}");
        let idle = [
            ("connector.class", "FileStreamSource"),
            ("topic", "unused"),
            ("file", "unused.txt"),
        ];
        worker.rest().create(&name, &idle);
    }
    let mut tally = Tally::new(lines);
    for text in broker.client().read_texts(topic) {
        tally.add(&text);
    }
    assert_eq!(tally.missing(), 0);
    assert!(times_ill > 0, "the disk was never full for the worker");
    let connectors = worker.rest().get("/connectors").body;
    assert_eq!(connectors.as_array().unwrap().len(), 1 + DISK_ROUNDS);
}
