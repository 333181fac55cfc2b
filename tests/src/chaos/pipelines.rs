//! What the storm goes over: lines from a file into a topic, the topic into a file and into databases, and
//! a topic that is deleted and created again.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::broker::Broker;
use crate::scratch::Scratch;
use crate::target::{On, Target};
use crate::worker::Worker;

pub(super) const LINES: &str = "chaos-lines";
pub(super) const AGAIN: &str = "chaos-again";

/// Lines of one write.
const LINES_AT_ONCE: usize = 40;
/// Records of a topic that is created again.
const RECORDS_AT_ONCE: usize = 20;
const MOST_PARTITIONS: usize = 8;

/// The file that is rotated, and the topic of its lines.
pub(super) struct Lines {
    file: PathBuf,
    pub(super) output: PathBuf,
    written: usize,
    rotations: usize,
    partitions: usize,
}

impl Lines {
    pub(super) fn start(broker: &Broker, worker: &Worker, directory: &Scratch) -> Self {
        broker.client().create_topic(LINES, 2);
        let own = directory.join("lines");
        fs::create_dir_all(&own).unwrap();
        let mut lines = Self {
            file: own.join("in.txt"),
            output: directory.join("out.txt"),
            written: 0,
            rotations: 0,
            partitions: 2,
        };
        lines.write();
        let (file, output) = (
            lines.file.display().to_string(),
            lines.output.display().to_string(),
        );
        let rest = worker.rest();
        rest.create(
            "lines",
            &[
                ("connector.class", "FileStreamSource"),
                ("topic", LINES),
                ("file", &file),
            ],
        );
        rest.create(
            "file",
            &[
                ("connector.class", "FileStreamSink"),
                ("tasks.max", "2"),
                ("topics", LINES),
                ("file", &output),
            ],
        );
        lines
    }

    pub(super) fn written(&self) -> usize {
        self.written
    }

    pub(super) fn write(&mut self) {
        let numbers = self.written..self.written + LINES_AT_ONCE;
        let text: String = numbers.map(|n| line(n) + "\n").collect();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file);
        file.unwrap().write_all(text.as_bytes()).unwrap();
        self.written += LINES_AT_ONCE;
    }

    pub(super) fn rotate(&mut self) {
        let rotated = self.rotated();
        fs::rename(&self.file, rotated).unwrap();
        self.write();
    }

    pub(super) fn copy_and_truncate(&mut self) {
        let rotated = self.rotated();
        fs::copy(&self.file, rotated).unwrap();
        OpenOptions::new()
            .write(true)
            .open(&self.file)
            .unwrap()
            .set_len(0)
            .unwrap();
        self.write();
    }

    pub(super) fn replace(&mut self) {
        let rotated = self.rotated();
        fs::hard_link(&self.file, rotated).unwrap();
        let new = self.file.with_extension("new");
        fs::write(&new, "").unwrap();
        fs::rename(&new, &self.file).unwrap();
        self.write();
    }

    fn rotated(&mut self) -> PathBuf {
        self.rotations += 1;
        let name = format!("in.txt.{:04}", self.rotations);
        self.file.with_file_name(name)
    }

    pub(super) fn add_partition(&mut self, broker: &Broker) {
        if self.partitions < MOST_PARTITIONS {
            self.partitions += 1;
            broker.client().add_partitions(LINES, self.partitions);
        }
    }

    pub(super) fn allow_small_batches(&self, broker: &Broker) {
        broker
            .client()
            .configure_topic(LINES, "max.message.bytes", "1000");
    }

    pub(super) fn allow_large_batches(&self, broker: &Broker) {
        broker
            .client()
            .configure_topic(LINES, "max.message.bytes", "1048588");
    }
}

/// A line, which is an item of JSON, too.
pub(super) fn line(number: usize) -> String {
    format!("{{\"id\":{number},\"name\":\"line {number}\"}}")
}

/// A topic that is deleted and created again, on its way into a file.
pub(super) struct Recreated {
    pub(super) output: PathBuf,
    pub(super) produced: usize,
}

impl Recreated {
    pub(super) fn start(broker: &Broker, worker: &Worker, directory: &Scratch) -> Self {
        broker.client().create_topic(AGAIN, 1);
        let output = directory.join("again.txt");
        worker.rest().create(
            "again",
            &[
                ("connector.class", "FileStreamSink"),
                ("topics", AGAIN),
                ("file", &output.display().to_string()),
            ],
        );
        let mut recreated = Self {
            output,
            produced: 0,
        };
        recreated.produce(broker);
        recreated
    }

    /// Once all of the old one is in the file: what nobody has read goes with a topic.
    pub(super) fn again(&mut self, broker: &Broker) {
        if self.missing() == 0 {
            broker.client().delete_topic(AGAIN);
            broker.client().create_topic(AGAIN, 1);
            self.produce(broker);
        }
    }

    pub(super) fn missing(&self) -> usize {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let there: std::collections::BTreeSet<&str> = text.lines().collect();
        (0..self.produced)
            .filter(|n| !there.contains(n.to_string().as_str()))
            .count()
    }

    fn produce(&mut self, broker: &Broker) {
        let texts: Vec<String> = (self.produced..self.produced + RECORDS_AT_ONCE)
            .map(|n| n.to_string())
            .collect();
        broker
            .client()
            .produce(AGAIN, texts.iter().map(|text| (None, text.as_str())));
        self.produced += RECORDS_AT_ONCE;
    }
}

/// A table that gets the lines, exactly once.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) target: Target,
}

impl Table {
    pub(super) fn all(worker: &Worker, directory: &Scratch) -> Vec<Self> {
        let start = |on: On| {
            let name = format!("{on:?}");
            let target = on.target(directory);
            target.execute("CREATE TABLE items (id BIGINT NOT NULL, name TEXT)");
            let connection = target.connection();
            let mut config = vec![
                ("connector.class", "sql-sink"),
                ("tasks.max", "2"),
                ("topics", LINES),
                ("value.converter", "JsonConverter"),
                ("value.converter.schemas.enable", "false"),
                ("table.name.format", "items"),
                ("insert.mode", "insert"),
            ];
            config.extend(connection.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            worker.rest().create(&name, &config);
            Self { name, target }
        };
        vec![start(On::Sqlite), start(On::Postgres)]
    }
}
