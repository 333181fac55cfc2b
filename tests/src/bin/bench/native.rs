//! Bare librdkafka: what moving the same records costs at least. In a process of its own, so that
//! its CPU time and memory are counted alone.

use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};
use tidegate_tests::files::line;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::meter::Meter;

use crate::report::Figures;

/// Which way.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    /// Into the topic.
    Produce,
    /// Out of it.
    Consume,
}

/// What the process shall do.
#[derive(Args, Debug)]
pub struct Job {
    way: Way,
    bootstrap: String,
    topic: String,
    records: usize,
}

/// Runs a job in a process of its own.
pub fn run(way: Way, bootstrap: &str, topic: &str, records: usize) -> Figures {
    let way = if matches!(way, Way::Produce) {
        "produce"
    } else {
        "consume"
    };
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["native", way, bootstrap, topic, &records.to_string()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    Figures {
        seconds: answer["seconds"].as_f64().unwrap(),
        cpu_seconds: answer["cpu_seconds"].as_f64().unwrap(),
        peak_mib: answer["peak_mib"].as_u64().unwrap(),
    }
}

/// The job itself; prints its figures.
pub fn work(job: &Job) {
    let meter = Meter::start(std::process::id());
    let start = Instant::now();
    match job.way {
        Way::Produce => produce(job),
        Way::Consume => consume(job),
    }
    println!(
        "{}",
        json!({
            "seconds": start.elapsed().as_secs_f64(),
            "cpu_seconds": meter.cpu_seconds(),
            "peak_mib": meter.peak_mib(),
        })
    );
}

fn produce(job: &Job) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &job.bootstrap)
        .set("acks", "all")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    for number in 0..job.records {
        let value = line(number);
        let mut record = BaseRecord::<(), str>::to(&job.topic).payload(&value);
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(5));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn consume(job: &Job) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &job.bootstrap)
        .set("group.id", "bench-native")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in Kafka::new(&job.bootstrap).partitions(&job.topic) {
        assignment
            .add_partition_offset(&job.topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let mut bytes = 0;
    for _ in 0..job.records {
        let message = consumer
            .poll(Duration::from_secs(30))
            .expect("a record within 30 s")
            .unwrap();
        bytes += message.payload().map_or(0, <[u8]>::len);
    }
    assert_eq!(bytes, job.records * line(0).len());
}
