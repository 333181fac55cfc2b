//! What ends up in the file, also when writing fails.

use std::fs;
use std::io::{self, ErrorKind, Write};

use serde_json::json;
use tidegate_sdk::prelude::*;
use tidegate_sdk::testing::{self, SinkTest, TestRecord};

use crate::FileSink;
use crate::appender::{Appender, Target};

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
fn a_half_line_of_before_is_not_glued_to_the_first_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    fs::write(&path, "hal").unwrap();
    let mut sink = start(&path).unwrap();
    sink.put("t", [TestRecord::text("a")]).unwrap();
    sink.put("t", [TestRecord::text("b")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "hal\na\nb\n");
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
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room).min(3);
        if fits == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.room -= fits;
        self.text.extend_from_slice(&bytes[..fits]);
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
        Ok(())
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
