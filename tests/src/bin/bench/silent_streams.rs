//! Numbers that go through Kafka ten times a second, by a worker's connectors and by a plain client.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use tidegate_tests::worker::Worker;

/// The worker's row.
pub const WORKER: &str = "tidegate";
/// The plain client's row.
pub const PLAIN: &str = "librdkafka";
/// The worker's topic and the plain client's.
pub const TOPICS: [&str; 2] = ["silent-lines", "silent-plain"];

const BETWEEN: Duration = Duration::from_millis(100);
/// Marks of what is started within a silence: far above the numbers.
const MARKS: usize = 1_000_000_000;

/// What was written when, and what has arrived.
#[derive(Debug, Default)]
pub struct Stream {
    written: Mutex<Vec<Instant>>,
    arrived: Mutex<HashSet<usize>>,
    /// All below have arrived.
    complete: AtomicUsize,
}

impl Stream {
    /// Whether all that was written has arrived, but for what is younger than this.
    pub fn is_current(&self, on_its_way: Duration) -> bool {
        let written = self.written.lock().unwrap();
        let due = written.partition_point(|at| at.elapsed() > on_its_way);
        let arrived = self.arrived.lock().unwrap();
        let mut complete = self.complete.load(Ordering::Relaxed);
        while arrived.contains(&complete) {
            complete += 1;
        }
        self.complete.store(complete, Ordering::Relaxed);
        due > 0 && complete >= due
    }

    /// Whether this one has arrived.
    pub fn has(&self, number: usize) -> bool {
        self.arrived.lock().unwrap().contains(&number)
    }

    fn arrive(&self, text: &[u8]) {
        let number: Option<usize> = str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        self.arrived.lock().unwrap().extend(number);
    }

    /// Writes the next number every 100 ms, until it cannot be written: then the run is over.
    fn write_on(self: &Arc<Self>, mut write: impl FnMut(usize) -> bool + Send + 'static) {
        let stream = Arc::clone(self);
        thread::spawn(move || {
            loop {
                let number = stream.written.lock().unwrap().len();
                if !write(number) {
                    break;
                }
                stream.written.lock().unwrap().push(Instant::now());
                thread::sleep(BETWEEN);
            }
        });
    }
}

/// A producer and a consumer with their defaults.
pub struct Plain {
    bootstrap: String,
    stream: Arc<Stream>,
    /// They end with what they still have to send.
    started: Mutex<Vec<ThreadedProducer<DefaultProducerContext>>>,
}

impl Plain {
    /// Starts both.
    pub fn start(bootstrap: &str) -> Self {
        let stream = Arc::<Stream>::default();
        let consumer: BaseConsumer = config(bootstrap)
            .set("group.id", "silent-plain")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPICS[1]]).unwrap();
        let arriving = Arc::clone(&stream);
        thread::spawn(move || {
            for message in consumer.iter().flatten() {
                arriving.arrive(message.payload().unwrap_or_default());
            }
        });
        let producer = producer(bootstrap);
        stream.write_on(move |number| send(&producer, number));
        Self {
            bootstrap: bootstrap.to_owned(),
            stream,
            started: Mutex::default(),
        }
    }

    /// What goes through it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Starts another producer, and answers what it sends.
    pub fn start_another(&self, number: usize) -> usize {
        let mark = MARKS + number;
        let producer = producer(&self.bootstrap);
        assert!(send(&producer, mark));
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

fn send(producer: &ThreadedProducer<DefaultProducerContext>, number: usize) -> bool {
    let text = number.to_string();
    let record = BaseRecord::<(), str>::to(TOPICS[1]).payload(&text);
    producer.send(record).is_ok()
}

/// A worker with a file source and a file sink.
pub struct Piped {
    worker: Worker,
    stream: Arc<Stream>,
}

impl Piped {
    /// Starts the worker and both connectors.
    pub fn start(bootstrap: &str) -> Self {
        let worker = Worker::setup_at(bootstrap).start();
        worker.rest().upload_guests(&["file-source", "file-sink"]);
        let stream = Arc::<Stream>::default();
        let (file, output) = (
            worker.scratch().join("in.txt"),
            worker.scratch().join("out.txt"),
        );
        create_source(&worker, "lines", &file);
        let output_text = output.display().to_string();
        let sink = [
            ("connector.class", "FileStreamSink"),
            ("topics", TOPICS[0]),
            ("file", output_text.as_str()),
        ];
        worker.rest().create("sink", &sink);
        let arriving = Arc::clone(&stream);
        thread::spawn(move || {
            loop {
                let text = std::fs::read(&output).unwrap_or_default();
                text.split(|byte| *byte == b'\n')
                    .for_each(|line| arriving.arrive(line));
                thread::sleep(BETWEEN / 2);
            }
        });
        stream.write_on(move |number| append(&file, number));
        Self { worker, stream }
    }

    /// What goes through it.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Starts another source on a file of one line, and answers the line.
    pub fn start_another(&self, number: usize) -> usize {
        let mark = MARKS + number;
        let file = self.worker.scratch().join(&format!("{mark}.txt"));
        assert!(append(&file, mark));
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

fn append(file: &Path, number: usize) -> bool {
    let file = OpenOptions::new().create(true).append(true).open(file);
    file.is_ok_and(|mut file| writeln!(file, "{number}").is_ok())
}
