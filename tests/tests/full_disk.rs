//! A sink whose disk is full or may not be written.
//!
//! Needs a disk that gets full: a small tmpfs, which takes the right to mount one. Without it,
//! /dev/full shows the refusal, but not that the sink goes on once there is room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{append_lines, count_lines, tally_file};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(90);
const LINES: usize = 20_000;

/// A small file system of its own.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// None without the right to mount.
    fn mount(path: &Path, options: &str) -> Option<Self> {
        unmount_left_over();
        std::fs::create_dir_all(path).unwrap();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                options,
                "tidegate-tests",
                path.to_str()?,
            ],
        )
        .then(|| Self {
            path: path.to_owned(),
        })
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(run("mount", &["-o", &options, self.path.to_str().unwrap()]));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.path.to_str().unwrap()]);
    }
}

/// A test that is killed unmounts nothing. The path names the process that mounted it.
fn unmount_left_over() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for mount in mounts
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate-tests "))
    {
        let path = mount.split(' ').next().unwrap_or_default();
        let owner = path
            .split("/tidegate-tests-")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            run("umount", &["--lazy", path]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .status()
        .is_ok_and(|status| status.success())
}

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
