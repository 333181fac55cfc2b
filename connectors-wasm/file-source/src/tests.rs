//! What happens to files while they are read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;
use tidegate_sdk::prelude::*;
use tidegate_sdk::testing::{self, Content, SourceTest};

use crate::FileSource;

mod identity;

struct Setup {
    dir: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn config(&self, names: &[&str]) -> RawConfig {
        let paths: Vec<_> = names
            .iter()
            .map(|n| self.path(n).to_str().unwrap().to_owned())
            .collect();
        RawConfig::from([("file", paths.join(",")), ("topic", "lines".to_owned())])
    }

    fn start(&self, name: &str) -> SourceTest<FileSource> {
        started(self.config(&[name]))
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn partition(&self, name: &str) -> Partition {
        Partition::new().with("filename", self.path(name).to_str().unwrap())
    }
}

/// A task that has stored which files there are; nothing is read before that.
fn started(config: RawConfig) -> SourceTest<FileSource> {
    let mut source = SourceTest::<FileSource>::start(config).unwrap();
    let polled = source.poll().unwrap();
    assert!(polled.records.is_empty());
    assert_eq!(polled.store_soon, !polled.checkpoints.is_empty());
    source
}

fn position(source: &SourceTest<FileSource>, partition: &Partition) -> Option<u64> {
    source
        .position(partition)
        .unwrap()
        .and_then(|offset| offset.u64("position"))
}

#[test]
fn lines_become_string_records_with_positions() {
    let setup = Setup::new();
    setup.append("a", "one\n\ntwo\r\nthr");
    let mut source = setup.start("a");
    let polled = source.poll().unwrap();
    assert_eq!(polled.values(), ["one", "", "two"]);
    let first = &polled.records[0];
    assert_eq!(
        (first.topic.as_str(), &first.key, first.partition),
        ("lines", &Content::Null, None)
    );
    assert_eq!(
        first.value_schema.as_deref(),
        Some(r#"{"type":"string","optional":false}"#)
    );
    let checkpoint = &polled.checkpoints[0];
    assert_eq!(
        (checkpoint.rows, checkpoint.offset.u64("position")),
        (3, Some(10)),
        "as Kafka has it, and of which file it is beside it"
    );
    assert_eq!(checkpoint.partition, setup.partition("a"));
}

#[test]
fn a_growing_file_is_followed_and_a_half_line_waits() {
    let setup = Setup::new();
    setup.append("a", "one\nhal");
    let mut source = setup.start("a");
    assert_eq!(source.drain().unwrap().values(), ["one"]);
    setup.append("a", "f");
    assert_eq!(source.drain().unwrap().values(), [""; 0]);
    assert_eq!(position(&source, &setup.partition("a")), Some(4));
    setup.append("a", "\r");
    assert_eq!(source.drain().unwrap().values(), [""; 0]);
    setup.append("a", "\nnext\n");
    assert_eq!(source.drain().unwrap().values(), ["half", "next"]);
}

#[test]
fn a_crash_resumes_after_the_last_position() {
    let setup = Setup::new();
    setup.append("a", "one\ntwo\nthr");
    let mut source = setup.start("a");
    source.limit(1, 1000);
    assert_eq!(source.poll().unwrap().values(), ["one"]);
    source.crash().unwrap();
    setup.append("a", "ee\n");
    assert_eq!(source.drain().unwrap().values(), ["two", "three"]);
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let setup = Setup::new();
    setup.append("a", "one\ntwo\n");
    let mut source = setup.start("a");
    source.drain().unwrap();
    fs::write(setup.path("a"), "new\n").unwrap();
    assert_eq!(source.drain().unwrap().values(), ["new"]);
    assert_eq!(position(&source, &setup.partition("a")), Some(4));
    fs::write(setup.path("a"), "").unwrap();
    source.drain().unwrap();
    assert_eq!(position(&source, &setup.partition("a")), Some(0));
    assert!(
        testing::logs()
            .iter()
            .any(|line| line.contains("was truncated"))
    );
}

#[test]
fn a_position_behind_the_end_starts_over() {
    let setup = Setup::new();
    setup.append("a", "one\n");
    let at = [(setup.partition("a"), Offset::new().with("position", 1000))];
    let mut source = SourceTest::<FileSource>::start_at(setup.config(&["a"]), &at).unwrap();
    assert_eq!(source.drain().unwrap().values(), ["one"]);
    assert!(
        testing::logs()
            .iter()
            .any(|line| line.starts_with("warn: ") && line.contains("shorter"))
    );
}

#[test]
fn a_rotated_file_is_finished_before_the_new_one() {
    let setup = Setup::new();
    setup.append("a", "one\n");
    let mut source = setup.start("a");
    source.drain().unwrap();
    fs::rename(setup.path("a"), setup.path("a.1")).unwrap();
    setup.append("a.1", "two\n");
    setup.append("a", "three\nfour\n");
    assert_eq!(source.drain().unwrap().values(), ["two"]);
    setup.append("a.1", "late");
    assert_eq!(
        source.drain().unwrap().values(),
        [""; 0],
        "the new file has to wait"
    );
    let mut values: Vec<String> = Vec::new();
    let began = std::time::Instant::now();
    while values.len() < 3 && began.elapsed() < Duration::from_secs(10) {
        let more = source.drain().unwrap();
        values.extend(more.values().iter().map(ToString::to_string));
    }
    assert_eq!(values, ["late", "three", "four"]);
    assert_eq!(position(&source, &setup.partition("a")), Some(11));
}

#[test]
fn a_file_that_comes_later_or_goes_is_waited_for() {
    let setup = Setup::new();
    let mut source = SourceTest::<FileSource>::start(setup.config(&["a"])).unwrap();
    let first = source.poll().unwrap().rest.unwrap();
    let second = source.poll().unwrap().rest.unwrap();
    assert!(second > first);
    assert_eq!(
        testing::logs()
            .iter()
            .filter(|line| line.contains("waiting"))
            .count(),
        1
    );
    setup.append("a", "one\n");
    assert_eq!(source.drain().unwrap().values(), ["one"]);
    fs::remove_file(setup.path("a")).unwrap();
    source.drain().unwrap();
    source.drain().unwrap();
    assert_eq!(
        testing::logs()
            .iter()
            .filter(|line| line.contains("is gone"))
            .count(),
        1
    );
    // Not the name of the old file again: a new one may get its inode.
    setup.append("b", "two\n");
    fs::rename(setup.path("b"), setup.path("a")).unwrap();
    source.drain().unwrap();
    let mut values: Vec<String> = Vec::new();
    let began = std::time::Instant::now();
    while values.is_empty() && began.elapsed() < Duration::from_secs(10) {
        let more = source.drain().unwrap();
        values.extend(more.values().iter().map(ToString::to_string));
    }
    assert_eq!(values, ["two"]);
}

#[test]
fn long_lines_need_several_reads_and_have_a_limit() {
    let setup = Setup::new();
    let long = "x".repeat(700_000);
    setup.append("a", &format!("{long}\nshort\n"));
    let mut source = setup.start("a");
    let values = source.drain().unwrap().values();
    assert_eq!((values[0].len(), values[1].as_str()), (700_000, "short"));

    setup.append("b", &long);
    let config = setup.config(&["b"]).with("line.max.bytes", "65536");
    let mut source = started(config);
    setup.append("b", "\n");
    setup.append("b", "after\n");
    let polled = source.drain().unwrap();
    assert_eq!(polled.values(), ["after"]);
    assert_eq!(polled.refused.len(), 1);
    let reason = &polled.refused[0];
    assert!(
        reason.contains("position 0") && reason.contains("line.max.bytes (65536)"),
        "{reason}"
    );
    // Where blocks end makes no difference.
    setup.append(
        "b",
        &format!("{}\nfits\n{}\n", &long[..65_537], &long[..65_536]),
    );
    let polled = source.drain().unwrap();
    assert_eq!((polled.values().len(), polled.refused.len()), (2, 1));
    assert!(
        polled.refused[0].contains("position 700007 of"),
        "{:?}",
        polled.refused
    );
    source.crash().unwrap();
    assert!(source.drain().unwrap().values().is_empty());
    // One poll does not read all of a line that never ends.
    fs::write(setup.path("c"), vec![b'x'; 40 << 20]).unwrap();
    let config = setup.config(&["c"]).with("line.max.bytes", "65536");
    let mut source = started(config);
    let polls = std::iter::from_fn(|| Some(source.poll().unwrap()));
    let busy = polls.take_while(|polled| polled.rest.is_none_or(|rest| rest.is_zero()));
    assert_eq!(busy.count(), 2);
    setup.append("c", "\nnext\n");
    let polled = source.drain().unwrap();
    assert_eq!(
        (polled.values(), polled.refused.len()),
        (vec!["next".to_owned()], 1)
    );
}

#[test]
fn batches_keep_to_every_limit() {
    let setup = Setup::new();
    setup.append("a", &"0123456789\n".repeat(100));
    let config = setup.config(&["a"]).with("batch.size", "7");
    let mut source = started(config);
    assert_eq!(source.poll().unwrap().records.len(), 7);
    source.limit(3, 1000);
    assert_eq!(source.poll().unwrap().records.len(), 3);
    source.limit(1000, 45);
    assert_eq!(source.poll().unwrap().records.len(), 4);
    source.limit(1000, 5);
    assert_eq!(
        source.poll().unwrap().records.len(),
        1,
        "one record that does not fit goes alone"
    );
    source.limit(1000, 1000);
    assert_eq!(source.drain().unwrap().records.len(), 85);
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let setup = Setup::new();
    fs::write(setup.path("a"), b"ok\n\xff\xfe!\n").unwrap();
    let mut source = setup.start("a");
    assert_eq!(
        source.drain().unwrap().values(),
        ["ok", "\u{fffd}\u{fffd}!"]
    );
}

#[test]
fn several_files_share_a_task_and_take_turns() {
    let setup = Setup::new();
    setup.append("a", "a1\na2\na3\na4\n");
    setup.append("b", "b1\nb2\n");
    let mut source = started(setup.config(&["a", "b"]));
    source.limit(3, 1000);
    let polled = source.poll().unwrap();
    assert_eq!(polled.values(), ["b1", "b2", "a1"]);
    assert_eq!(source.poll().unwrap().values(), ["a2", "a3", "a4"]);
    let covered: Vec<_> = polled
        .checkpoints
        .iter()
        .map(|c| (c.rows, c.partition.clone()))
        .collect();
    assert_eq!(
        covered,
        [(2, setup.partition("b")), (3, setup.partition("a"))]
    );
}

#[test]
fn a_glob_becomes_tasks_and_their_files() {
    let setup = Setup::new();
    for name in ["1.log", "2.log", "3.log", "4.txt"] {
        setup.append(name, &format!("{name}\n"));
    }
    let mut lines = Vec::new();
    let tasks = testing::plan::<FileSource>(setup.config(&["*.log"]), 2).unwrap();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        lines.extend(
            SourceTest::<FileSource>::start(task)
                .unwrap()
                .drain()
                .unwrap()
                .values(),
        );
    }
    lines.sort();
    assert_eq!(lines, ["1.log", "2.log", "3.log"]);
    assert!(
        testing::plan::<FileSource>(setup.config(&["*.none"]), 2)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one_plain_file_is_one_task_with_the_connectors_own_configuration() {
    let setup = Setup::new();
    let config = setup.config(&["later"]);
    assert_eq!(
        testing::plan::<FileSource>(config.clone(), 5).unwrap(),
        [config]
    );
}

#[test]
fn bad_configurations_name_the_key() {
    let issues = testing::validate::<FileSource>([("batch.size", "0"), ("topic", "t")]);
    let messages: Vec<_> = issues.iter().map(|issue| issue.message.as_str()).collect();
    assert_eq!(messages[0], "file is missing, set it: the file to read");
    assert_eq!(messages[1], "batch.size is 0, it must be at least 1");
    let issues = testing::validate::<FileSource>([("file", ","), ("topic", "t")]);
    assert_eq!(issues[0].key, "file");
}

#[test]
fn offsets_of_another_form_are_refused() {
    let config = testing::typed::<FileSource>([("file", "/f"), ("topic", "t")]).unwrap();
    let file = Partition::new().with("filename", "/f");
    let alter = |p: &Partition, o| FileSource::alter_offsets(&config, &[(p.clone(), o)]);
    assert!(alter(&file, None).unwrap());
    assert!(alter(&file, Some(Offset::new().with("position", 3))).unwrap());
    assert!(alter(&file, Some(Offset::new().with("position", -3))).is_err());
    assert!(alter(&Partition::new(), None).is_err());
}

#[test]
fn a_directory_is_refused_by_name() {
    let setup = Setup::new();
    fs::create_dir(setup.path("d")).unwrap();
    File::open(setup.path("d")).unwrap();
    let mut source = SourceTest::<FileSource>::start(setup.config(&["d"])).unwrap();
    let failure = source.poll().unwrap_err();
    assert!(failure.reason().contains("/d: "), "{failure}");
}
