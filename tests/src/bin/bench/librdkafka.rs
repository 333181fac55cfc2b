//! Bare librdkafka: what moving the same records costs at least. In a process of its own, so that
//! its CPU time and memory are counted alone.

use std::time::Duration;

use clap::{Args, ValueEnum};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tidegate_tests::files::line;
use tidegate_tests::kafka::Kafka;

use crate::child::{self, Watch};
use crate::report::Figures;

/// Which way.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    /// Into the topic.
    Produce,
    /// Out of it.
    Consume,
}

impl Way {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
        }
    }
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
    let way = way.word();
    child::run(&["librdkafka", way, bootstrap, topic, &records.to_string()])
}

/// The job itself; prints its figures.
pub fn work(job: &Job) {
    let watch = Watch::start();
    match job.way {
        Way::Produce => produce(job),
        Way::Consume => consume(job),
    }
    watch.print();
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
