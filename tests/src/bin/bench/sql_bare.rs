//! What a program takes that knows its rows: librdkafka, serde and PostgreSQL's bulk statements, in
//! transactions of the size that a worker's have. It keeps no offsets.

use std::time::Duration;

use clap::{Args, ValueEnum};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_tests::kafka::Kafka;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use crate::child::{self, Watch};
use crate::report::Figures;
use crate::rows::{Envelope, TOPIC};

/// Records of a transaction.
const BATCH: usize = 5_000;

/// How rows are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// COPY.
    Insert,
    /// INSERT of arrays with ON CONFLICT.
    Upsert,
}

impl Mode {
    /// `insert.mode`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
        }
    }
}

/// What the process shall do.
#[derive(Args, Debug)]
pub struct Job {
    pub mode: Mode,
    pub bootstrap: String,
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub database: String,
    pub table: String,
    pub records: usize,
}

/// Runs a job in a process of its own; `kind` is its subcommand.
pub fn run(kind: &str, job: &Job) -> Figures {
    child::run(&[
        kind,
        job.mode.word(),
        &job.bootstrap,
        &job.database,
        &job.table,
        &job.records.to_string(),
    ])
}

/// The job itself; prints its figures.
pub fn work(job: &Job) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let watch = Watch::start();
    runtime.block_on(move_rows(job));
    watch.print();
}

async fn move_rows(job: &Job) {
    let (mut client, connection) = tokio_postgres::connect(&job.database, NoTls).await.unwrap();
    tokio::spawn(connection);
    let consumer = consumer(&job.bootstrap);
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(BATCH);
    let mut left = job.records;
    while left > 0 {
        let message = consumer
            .poll(Duration::from_secs(30))
            .expect("a record within 30 s")
            .unwrap();
        texts.push(message.payload().unwrap().to_vec());
        left -= 1;
        if texts.len() == BATCH || left == 0 {
            write(&mut client, job, &texts).await;
            texts.clear();
        }
    }
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-bare")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in Kafka::new(bootstrap).partitions(TOPIC) {
        assignment
            .add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    consumer
}

async fn write(client: &mut Client, job: &Job, texts: &[Vec<u8>]) {
    let rows = texts.iter().map(|text| {
        let envelope: Envelope<'_> = serde_json::from_slice(text).unwrap();
        envelope.payload
    });
    let time = |ms: i64| std::time::UNIX_EPOCH + Duration::from_millis(ms as u64);
    let transaction = client.transaction().await.unwrap();
    match job.mode {
        Mode::Insert => {
            let copy = format!(
                "COPY {} (id, name, amount, ts) FROM STDIN BINARY",
                job.table
            );
            let sink = transaction.copy_in(&copy).await.unwrap();
            let types = [Type::INT4, Type::TEXT, Type::FLOAT8, Type::TIMESTAMPTZ];
            let writer = BinaryCopyInWriter::new(sink, &types);
            let mut writer = std::pin::pin!(writer);
            for row in rows {
                let (name, ts) = (row.name, time(row.ts));
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                    [&row.id, &name, &row.amount, &ts];
                writer.as_mut().write(&values).await.unwrap();
            }
            writer.finish().await.unwrap();
        }
        Mode::Upsert => {
            let (mut ids, mut names, mut amounts, mut times) = (vec![], vec![], vec![], vec![]);
            for row in rows {
                ids.push(row.id);
                names.push(row.name);
                amounts.push(row.amount);
                times.push(time(row.ts));
            }
            let upsert = format!(
                "INSERT INTO {} (id, name, amount, ts) \
                 SELECT * FROM unnest($1::int4[], $2::text[], $3::float8[], $4::timestamptz[]) \
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = excluded.amount, \
                 ts = excluded.ts",
                job.table
            );
            transaction
                .execute(&upsert, &[&ids, &names, &amounts, &times])
                .await
                .unwrap();
        }
    }
    transaction.commit().await.unwrap();
}
