//! `bench files`: lines of a file into a topic, and out of a topic into a file.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_tests::broker::Broker;
use tidegate_tests::files::{LINE_LENGTH, append_lines};
use tidegate_tests::kafka::Kafka;
use tidegate_tests::meter::Meter;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::wait_until;

use crate::native::{self, Way};
use crate::report::{self, Figures, Row};
use crate::subject::Subject;
use crate::{Options, say, start_up};

const LIMIT: Duration = Duration::from_secs(600);
const SINK_TOPIC: &str = "bench-lines";
const SINK_PARTITIONS: i32 = 4;

/// One way to move the records, with one size of batches. `None`: the connector's default.
struct Case {
    name: &'static str,
    to_kafka: bool,
    batch: Option<(&'static str, &'static str)>,
}

const CASES: [Case; 4] = [
    Case {
        name: "file to topic",
        to_kafka: true,
        batch: None,
    },
    Case {
        name: "file to topic, batch.size=20000",
        to_kafka: true,
        batch: Some(("batch.size", "20000")),
    },
    Case {
        name: "topic to file",
        to_kafka: false,
        batch: None,
    },
    Case {
        name: "topic to file, max.poll.records=5000",
        to_kafka: false,
        batch: Some(("consumer.override.max.poll.records", "5000")),
    },
];

struct Bench<'a> {
    broker: &'a Broker,
    kafka: Kafka,
    data: &'a Scratch,
    records: usize,
}

/// Measures and prints.
pub fn run(options: &Options) {
    let data = Scratch::new("bench");
    say("starting Kafka");
    let broker = Broker::start();
    let bench = Bench {
        broker: &broker,
        kafka: broker.client(),
        data: &data,
        records: options.records,
    };
    say(&format!("writing {} lines", options.records));
    append_lines(&data.join("lines.txt"), 0, options.records);
    bench.kafka.create_topic(SINK_TOPIC, SINK_PARTITIONS);
    native::run(
        Way::Produce,
        &broker.bootstrap(),
        SINK_TOPIC,
        options.records,
    );

    let mut subjects = Vec::new();
    if options.wants("tidegate") {
        subjects.push(Subject::tidegate(&broker, data.path()));
    }
    if options.wants("connect") {
        subjects.push(Subject::connect(&broker));
    }
    let mut rows: Vec<Row> = Vec::new();
    for case in &CASES {
        let runs = bench.alternate(case, &mut subjects, options);
        rows.extend(runs);
    }
    println!(
        "\n{} records of {LINE_LENGTH} bytes, one worker, one task\n",
        options.records
    );
    report::throughput(&rows, options.records);

    let mut starts = Vec::new();
    for subject in &mut subjects {
        say(&format!("start of {}", subject.name()));
        starts.extend(start_up::measure(&broker, &data, subject, options.runs));
    }
    report::start_up(&starts);
}

impl Bench<'_> {
    /// One run of each subject after the other, so that a busy minute hits all of them alike.
    fn alternate(&self, case: &Case, subjects: &mut [Subject], options: &Options) -> Vec<Row> {
        let row = |subject| Row {
            case: case.name.to_owned(),
            subject,
            runs: Vec::new(),
        };
        let mut rows: Vec<Row> = subjects.iter().map(|subject| row(subject.name())).collect();
        let mut bare = row("librdkafka");
        for run in 0..=options.runs {
            let warming_up = run == 0;
            let title = if warming_up {
                "warming up".to_owned()
            } else {
                format!("run {run}")
            };
            for (subject, row) in subjects.iter_mut().zip(&mut rows) {
                say(&format!("{}: {}, {title}", case.name, subject.name()));
                let figures = self.measure(case, subject, run);
                if !warming_up {
                    row.runs.push(figures);
                }
            }
            // Its batches have no such size, so once for each way is enough.
            if options.wants("librdkafka") && case.batch.is_none() {
                say(&format!("{}: librdkafka, {title}", case.name));
                let figures = self.measure_native(case, run);
                if !warming_up {
                    bare.runs.push(figures);
                }
            }
        }
        rows.extend((!bare.runs.is_empty()).then_some(bare));
        rows
    }

    fn measure_native(&self, case: &Case, run: usize) -> Figures {
        let bootstrap = self.broker.bootstrap();
        if !case.to_kafka {
            return native::run(Way::Consume, &bootstrap, SINK_TOPIC, self.records);
        }
        let topic = format!("native-{run}");
        self.kafka.create_topic(&topic, 1);
        native::run(Way::Produce, &bootstrap, &topic, self.records)
    }

    fn measure(&self, case: &Case, subject: &mut Subject, run: usize) -> Figures {
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
    fn named_input(&self, name: &str) -> std::path::PathBuf {
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
