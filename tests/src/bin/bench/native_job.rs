//! The file connectors' work without a sandbox, on the worker's own clients and converters, with
//! its settings. What a worker does for a record and this does not is what the sandbox costs.

mod sink;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tidegate_convert::{Converter, Side, converter};
use tidegate_kafka::{Kafka, KafkaSettings};
use tidegate_model::config::ConfigMap;

use crate::child::{self, Watch};
use crate::librdkafka::Way;
use crate::report::Figures;

/// As a worker has.
const RUNTIME_THREADS: usize = 2;
/// The default of `tidegate.fetch.memory.max.bytes`.
const FETCH_BUDGET_BYTES: u64 = 32 << 20;

/// What the process shall do.
#[derive(Args, Debug)]
pub struct Job {
    way: Way,
    bootstrap: String,
    topic: String,
    file: PathBuf,
    records: usize,
}

/// Runs a job in a process of its own.
pub fn run(way: Way, bootstrap: &str, topic: &str, file: &Path, records: usize) -> Figures {
    let (file, records) = (file.to_str().unwrap(), records.to_string());
    let arguments = ["native-job", way.word(), bootstrap, topic, file, &records];
    child::run(&arguments)
}

/// The job itself; prints its figures.
pub fn work(job: &Job) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .unwrap();
    let common = ConfigMap::from([("bootstrap.servers".to_owned(), job.bootstrap.clone())]);
    let (kafka, _) = Kafka::new(KafkaSettings {
        common,
        fetch_budget_bytes: FETCH_BUDGET_BYTES,
        ..KafkaSettings::default()
    })
    .unwrap();
    let watch = Watch::start();
    let (topic, file, records) = (job.topic.clone(), job.file.clone(), job.records);
    // Spawned, as a worker's tasks are.
    let done = match job.way {
        Way::Produce => runtime.spawn(source::run(kafka, topic, file, records, watch)),
        Way::Consume => runtime.spawn(sink::run(kafka, topic, file, records, watch)),
    };
    runtime.block_on(done).unwrap();
    runtime.shutdown_background();
}

fn string_converter(side: Side) -> Arc<dyn Converter> {
    converter("StringConverter", &ConfigMap::new(), side).unwrap()
}
