//! Moving the records once, with a worker: its connector is made, watched and removed again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{LINE_LENGTH, append_lines};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::meter::Meter;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::wait_until;

use crate::librdkafka::{self, Way};
use crate::report::Figures;
use crate::say;
use crate::subject::Subject;

const LIMIT: Duration = Duration::from_secs(600);
const SINK_PARTITIONS: i32 = 4;

/// Where the records lie that sinks read.
pub const SINK_TOPIC: &str = "bench-lines";

/// One way to move the records, with one size of batches. `None`: the connector's default.
pub struct Case {
    /// For the tables.
    pub name: &'static str,
    /// Or out of it.
    pub to_kafka: bool,
    /// A key of the connector and its value.
    pub batch: Option<(&'static str, &'static str)>,
}

/// The records, in a file and in a topic, and where they are moved.
pub struct Bench<'a> {
    /// The Kafka.
    pub broker: &'a Broker,
    /// A client of it.
    pub kafka: Kafka,
    /// Where the files are.
    pub data: &'a Scratch,
    /// How many.
    pub records: usize,
}

impl<'a> Bench<'a> {
    /// Writes the records.
    pub fn new(broker: &'a Broker, data: &'a Scratch, records: usize) -> Self {
        say(&format!("writing {records} lines"));
        append_lines(&data.join("lines.txt"), 0, records);
        let kafka = broker.client();
        kafka.create_topic(SINK_TOPIC, SINK_PARTITIONS);
        librdkafka::run(Way::Produce, &broker.bootstrap(), SINK_TOPIC, records);
        Self {
            broker,
            kafka,
            data,
            records,
        }
    }

    /// One run of a worker, with a connector of its own.
    pub fn measure(&self, case: &Case, subject: &mut Subject, run: usize) -> Figures {
        let sized = if case.batch.is_some() {
            "sized"
        } else {
            "default"
        };
        let way = if case.to_kafka { "source" } else { "sink" };
        let name = format!("{way}-{}-{sized}-{run}", subject.name());
        let meter = Meter::start(subject.pid());
        let start = Instant::now();
        if case.to_kafka {
            self.kafka.create_topic(&name, 1);
            let input = self.named_input(&name);
            self.create(
                subject,
                case,
                &name,
                "FileStreamSource",
                ("topic", &name),
                &input,
            );
            wait_until("all records are in the topic", LIMIT, || {
                self.kafka.count(&name) as usize >= self.records
            });
        } else {
            let output = self.data.join(&format!("{name}.txt"));
            self.create(
                subject,
                case,
                &name,
                "FileStreamSink",
                ("topics", SINK_TOPIC),
                &output,
            );
            let wanted = (self.records * (LINE_LENGTH + 1)) as u64;
            wait_until("all records are in the file", LIMIT, || {
                fs::metadata(&output).is_ok_and(|data| data.len() >= wanted)
            });
        }
        let figures = Figures {
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: meter.cpu_seconds(),
            peak_mib: meter.peak_mib(),
        };
        self.remove(subject, &name);
        let _ = fs::remove_file(self.data.join(&format!("{name}.txt")));
        figures
    }

    /// The lines under a name of their own: a source remembers how far it has read a file.
    pub fn named_input(&self, name: &str) -> PathBuf {
        let path = self.data.join(&format!("{name}.txt"));
        fs::hard_link(self.data.join("lines.txt"), &path).unwrap();
        path
    }

    fn create(
        &self,
        subject: &Subject,
        case: &Case,
        name: &str,
        class: &str,
        topic: (&str, &str),
        file: &Path,
    ) {
        let file = file.to_str().unwrap();
        let mut config = vec![
            ("connector.class", class),
            ("tasks.max", "1"),
            topic,
            ("file", file),
        ];
        config.extend(case.batch);
        subject.rest().create(name, &config);
    }

    fn remove(&self, subject: &Subject, name: &str) {
        let rest = subject.rest();
        rest.delete(&format!("/connectors/{name}")).expect(204);
        wait_until("the connector is gone", LIMIT, || {
            rest.get(&format!("/connectors/{name}/status")).status == 404
        });
    }
}
