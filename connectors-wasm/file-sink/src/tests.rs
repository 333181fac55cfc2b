//! What ends up in the file, also when writing fails.

use std::fs;
use std::io::{self, ErrorKind, Write};

use serde_json::json;
use tidegate_sdk::prelude::*;
use tidegate_sdk::testing::{self, SinkTest, TestRecord};

use crate::FileSink;
use crate::appender::Appender;
use crate::target::Target;

fn start(path: &std::path::Path) -> Result<SinkTest<FileSink>> {
    SinkTest::start([("file", path.to_str().unwrap()), ("topics", "t")])
}

#[test]
fn values_are_appended_in_raw_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    fs::write(&path, "before\n").unwrap();
    let mut sink = start(&path).unwrap();
    sink.open("t", &[0, 1]).unwrap();
    let records = [
        TestRecord::text("text"),
        TestRecord::bytes(b"\xffbytes"),
        TestRecord::json(json!({"a": 1})),
        TestRecord::tombstone(),
        TestRecord::text("").partition(1),
    ];
    assert!(sink.put("t", records).unwrap().is_empty());
    assert_eq!(
        fs::read(&path).unwrap(),
        b"before\ntext\n\xffbytes\n{\"a\":1}\nnull\n\n"
    );
    let durable: Vec<_> = sink
        .flush()
        .unwrap()
        .durable
        .iter()
        .map(|p| (p.at.partition, p.next_offset))
        .collect();
    assert_eq!(durable, [(0, 4), (1, 5)]);
    sink.close("t", &[0, 1]).unwrap();
    sink.stop();
}

#[test]
fn a_half_line_that_a_crash_left_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let long = "x".repeat(200_000);
    for (before, after) in [
        ("one\nhal", "one\na\nb\n"),
        ("one\n", "one\na\nb\n"),
        (&format!("one\n{long}"), "one\na\nb\n"),
        ("", "a\nb\n"),
        ("not a line of ours", "not a line of ours\na\nb\n"),
    ] {
        fs::write(&path, before).unwrap();
        let mut sink = start(&path).unwrap();
        sink.put("t", [TestRecord::text("a")]).unwrap();
        sink.put("t", [TestRecord::text("b")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
    }
    let cut = testing::logs().join(" ");
    assert!(
        cut.contains("3 bytes of a line") && cut.contains("200000 bytes"),
        "{cut}"
    );
}

#[test]
fn a_rotated_or_removed_file_is_left_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let [path, old] = ["out", "out.1"].map(|name| dir.path().join(name));
    let mut sink = start(&path).unwrap();
    sink.put("t", [TestRecord::text("a")]).unwrap();
    fs::rename(&path, &old).unwrap();
    sink.put("t", [TestRecord::text("b")]).unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "a\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "theirs\n").unwrap();
    sink.put("t", [TestRecord::text("c")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs\nc\n");
    // Cut in place, it is still the same file.
    fs::write(&path, "").unwrap();
    sink.put("t", [TestRecord::text("d")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "d\n");
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let failure = start(&dir.path().join("none/out")).err().unwrap();
    assert!(
        failure.reason().contains("none/out") && failure.reason().contains("create its directory")
    );
    let failure = start(dir.path()).err().unwrap();
    assert!(failure.reason().contains("name a file in it"), "{failure}");
    assert!(!failure.is_retriable());
}

#[test]
fn there_is_one_task() {
    let tasks = testing::plan::<FileSink>([("file", "/out")], 8).unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(
        testing::validate::<FileSink>([("topics", "t")])[0].key,
        "file"
    );
}

/// A file on a disk that gets full.
#[derive(Default)]
struct Small {
    text: Vec<u8>,
    room: usize,
    cannot_cut: bool,
    /// It is removed by the write that brings this many bytes.
    removed_at: usize,
    removed: bool,
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room).min(3);
        if fits == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= fits;
        self.text.extend_from_slice(&bytes[..fits]);
        if self.removed_at > 0 && self.text.len() >= self.removed_at {
            self.removed_at = 0;
            self.removed = true;
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Small {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.cannot_cut {
            return Err(ErrorKind::Unsupported.into());
        }
        self.text.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.text.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn reopen(&mut self, _: &str) -> io::Result<()> {
        if std::mem::take(&mut self.removed) {
            self.text.clear();
        }
        Ok(())
    }

    fn is_named(&self, _: &str) -> io::Result<bool> {
        Ok(!self.removed)
    }

    fn is_removed(&self) -> bool {
        self.removed
    }

    fn last_line_end(&self, _: &str) -> io::Result<(u64, u64)> {
        Ok((self.text.len() as u64, self.text.len() as u64))
    }
}

#[test]
fn a_full_disk_is_tried_again_and_leaves_no_half_batch() {
    let mut appender = Appender::over(Small {
        room: 9,
        ..Small::default()
    });
    appender.append(b"one\n").unwrap();
    let failure = appender.append(b"two\nthree\n").unwrap_err();
    assert_eq!(failure.pause(), Some(Duration::from_secs(5)));
    assert_eq!(appender.target().text, b"one\n");
    appender.target().room = 100;
    appender.append(b"two\nthree\n").unwrap();
    assert_eq!(appender.target().text, b"one\ntwo\nthree\n");
}

#[test]
fn a_half_batch_that_stays_ends_with_a_line_end() {
    let mut appender = Appender::over(Small {
        room: 6,
        cannot_cut: true,
        ..Small::default()
    });
    assert!(appender.append(b"two\nthree\n").unwrap_err().is_retriable());
    assert!(appender.append(b"two\nthree\n").unwrap_err().is_retriable());
    appender.target().room = 100;
    appender.append(b"two\nthree\n").unwrap();
    assert_eq!(appender.target().text, b"two\nth\ntwo\nthree\n");
}

#[test]
fn what_went_into_a_file_that_was_removed_meanwhile_is_written_again() {
    let mut appender = Appender::over(Small {
        room: 100,
        removed_at: 10,
        ..Small::default()
    });
    appender.append(b"one\n").unwrap();
    appender.append(b"two\nthree\n").unwrap();
    assert_eq!(appender.target().text, b"two\nthree\n");
}
