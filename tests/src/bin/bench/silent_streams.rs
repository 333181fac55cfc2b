//! Numbers that go through Kafka ten times a second, by a worker's connectors and by a plain client.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use tidegate_tests::wait::wait_for;
use tidegate_tests::worker::Worker;

/// The worker's row.
pub const WORKER: &str = "tidegate";
/// The plain client's row.
pub const PLAIN: &str = "librdkafka";
/// The worker's topic and the plain client's.
pub const TOPICS: [&str; 2] = ["silent-lines", "silent-plain"];

const BETWEEN: Duration = Duration::from_millis(100);
/// For the first line to arrive.
const LIMIT: Duration = Duration::from_secs(60);
/// What is started within a silence sends a number from here on.
const MARKS: usize = 1_000_000_000;

/// When each number was written. Ends the writing with itself.
struct Written {
    times: Arc<Mutex<Vec<Instant>>>,
    _end: Sender<()>,
}

impl Written {
    /// Writes the next number every 100 ms.
    fn start(write: impl Fn(usize) + Send + 'static) -> Self {
        let times = Arc::<Mutex<Vec<Instant>>>::default();
        let (end, ended) = channel();
        let noted = Arc::clone(&times);
        thread::spawn(move || {
            while ended.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Timeout) {
                let number = noted.lock().unwrap().len();
                write(number);
                noted.lock().unwrap().push(Instant::now());
            }
        });
        Self { times, _end: end }
    }

    /// How many were written longer ago than this.
    fn before(&self, age: Duration) -> usize {
        let times = self.times.lock().unwrap();
        times.partition_point(|at| at.elapsed() > age)
    }
}

/// The numbers that have arrived.
#[derive(Default)]
struct Arrived {
    all: HashSet<usize>,
    /// All below are among them.
    complete: usize,
}

impl Arrived {
    fn add(&mut self, text: &str) {
        self.all.extend(text.parse::<usize>());
    }

    fn complete(&mut self) -> usize {
        while self.all.contains(&self.complete) {
            self.complete += 1;
        }
        self.complete
    }
}

/// A producer and a consumer with their defaults.
pub struct Plain {
    bootstrap: String,
    written: Written,
    arrived: Arc<Mutex<Arrived>>,
    /// They live for as long as they may have something to send.
    started: Mutex<Vec<ThreadedProducer<DefaultProducerContext>>>,
}

impl Plain {
    /// Starts both.
    pub fn start(bootstrap: &str) -> Self {
        let consumer: BaseConsumer = config(bootstrap)
            .set("group.id", "silent-plain")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPICS[1]]).unwrap();
        let arrived = Arc::<Mutex<Arrived>>::default();
        let arriving = Arc::clone(&arrived);
        thread::spawn(move || {
            for message in consumer.iter().flatten() {
                let text = str::from_utf8(message.payload().unwrap_or_default());
                arriving.lock().unwrap().add(text.unwrap_or_default());
            }
        });
        let producer = producer(bootstrap);
        Self {
            bootstrap: bootstrap.to_owned(),
            written: Written::start(move |number| send(&producer, number)),
            arrived,
            started: Mutex::default(),
        }
    }

    /// Whether all that was written has arrived, but for what is younger than this.
    pub fn is_current(&self, on_its_way: Duration) -> bool {
        let due = self.written.before(on_its_way);
        due > 0 && self.arrived.lock().unwrap().complete() >= due
    }

    /// Whether this one has arrived.
    pub fn has(&self, number: usize) -> bool {
        self.arrived.lock().unwrap().all.contains(&number)
    }

    /// Starts another producer, and answers what it sends.
    pub fn start_another(&self, number: usize) -> usize {
        let mark = MARKS + number;
        let producer = producer(&self.bootstrap);
        send(&producer, mark);
        self.started.lock().unwrap().push(producer);
        mark
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn producer(bootstrap: &str) -> ThreadedProducer<DefaultProducerContext> {
    config(bootstrap).create().unwrap()
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, number: usize) {
    let text = number.to_string();
    let record = BaseRecord::<(), str>::to(TOPICS[1]).payload(&text);
    producer.send(record).map_err(|(e, _)| e).unwrap();
}

/// A worker with a file source and a file sink.
pub struct Piped {
    // Before the worker, in whose directory it writes.
    written: Written,
    output: Mutex<Output>,
    worker: Worker,
}

/// The sink's file, as far as it was read.
struct Output {
    reader: BufReader<File>,
    /// A line whose end is not there yet.
    line: String,
    arrived: Arrived,
}

impl Output {
    fn read(&mut self) {
        while self.reader.read_line(&mut self.line).unwrap() > 0 && self.line.ends_with('\n') {
            self.arrived.add(self.line.trim_end());
            self.line.clear();
        }
    }
}

impl Piped {
    /// Starts the worker and both connectors.
    pub fn start(bootstrap: &str) -> Self {
        let worker = Worker::setup_at(bootstrap).start();
        worker.rest().upload_guests(&["file-source", "file-sink"]);
        let (input, output) = (
            worker.scratch().join("in.txt"),
            worker.scratch().join("out.txt"),
        );
        create_source(&worker, "lines", &input);
        let file = output.display().to_string();
        let sink = [
            ("connector.class", "FileStreamSink"),
            ("topics", TOPICS[0]),
            ("file", &file),
        ];
        worker.rest().create("sink", &sink);
        let written = Written::start(move |number| append(&input, number));
        let output = wait_for("the sink's file is there", LIMIT, || {
            File::open(&output).ok()
        });
        Self {
            written,
            output: Mutex::new(Output {
                reader: BufReader::new(output),
                line: String::new(),
                arrived: Arrived::default(),
            }),
            worker,
        }
    }

    /// Whether all that was written has arrived, but for what is younger than this.
    pub fn is_current(&self, on_its_way: Duration) -> bool {
        let due = self.written.before(on_its_way);
        due > 0 && self.with_arrived(Arrived::complete) >= due
    }

    /// Whether this one has arrived.
    pub fn has(&self, number: usize) -> bool {
        self.with_arrived(|arrived| arrived.all.contains(&number))
    }

    fn with_arrived<T>(&self, look: impl FnOnce(&mut Arrived) -> T) -> T {
        let mut output = self.output.lock().unwrap();
        output.read();
        look(&mut output.arrived)
    }

    /// Starts another source on a file of one line, and answers the line.
    pub fn start_another(&self, number: usize) -> usize {
        let mark = MARKS + number;
        let file = self.worker.scratch().join(&format!("{mark}.txt"));
        append(&file, mark);
        create_source(&self.worker, &mark.to_string(), &file);
        mark
    }
}

fn create_source(worker: &Worker, name: &str, file: &Path) {
    let file = file.display().to_string();
    let config = [
        ("connector.class", "FileStreamSource"),
        ("topic", TOPICS[0]),
        ("file", file.as_str()),
    ];
    worker.rest().create(name, &config);
}

fn append(file: &Path, number: usize) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    writeln!(file, "{number}").unwrap();
}
