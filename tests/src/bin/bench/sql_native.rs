//! The sql-sink's work without a sandbox, on the worker's own consumer, converter and database
//! session, with its offsets: what a worker takes beyond this is what the sandbox costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_connections::{ConnectionSettings, Pools, SessionSettings, session};
use tidegate_convert::{Converter, Side, converter};
use tidegate_kafka::{
    Committed, ConsumerEvent, ConsumerSettings, Kafka, KafkaSettings, RecordBatch, SinkConsumer,
};
use tidegate_model::config::ConfigMap;
use tidegate_sandbox::{
    LedgerOwner, LedgerPartition, SinkBatch, SqlConnection, SqlSession, TopicPartition,
    ValueSource, Write,
};
use tokio::time::{Instant, sleep_until};

use crate::child::Watch;
use crate::rows::TOPIC;
use crate::sql_bare::{Job, Mode};

/// The default of `tidegate.fetch.memory.max.bytes`.
const FETCH_BUDGET_BYTES: u64 = 32 << 20;
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
const COLUMNS: [&str; 4] = ["id", "name", "amount", "ts"];
const KEY: &str = "connection.url";

struct Sink {
    kafka: Kafka,
    consumer: SinkConsumer,
    converter: Arc<dyn Converter>,
    session: Arc<dyn SqlSession>,
    connection: Arc<dyn SqlConnection>,
    how: Write,
    group: String,
    done: BTreeMap<(String, i32), i64>,
}

/// The job itself; prints its figures.
pub fn work(job: &Job) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let watch = Watch::start();
    runtime.block_on(async {
        let mut sink = Sink::start(job).await;
        let mut left = job.records;
        let mut next_flush = Instant::now() + FLUSH_INTERVAL;
        while left > 0 {
            let event = tokio::select! {
                event = sink.consumer.next() => event.expect("events"),
                () = sleep_until(next_flush) => {
                    sink.commit().await;
                    next_flush = Instant::now() + FLUSH_INTERVAL;
                    continue;
                }
            };
            left -= sink.handle(event).await;
        }
    });
    watch.print();
    runtime.shutdown_background();
}

impl Sink {
    async fn start(job: &Job) -> Self {
        let common = ConfigMap::from([("bootstrap.servers".to_owned(), job.bootstrap.clone())]);
        let (kafka, _) = Kafka::new(KafkaSettings {
            common,
            fetch_budget_bytes: FETCH_BUDGET_BYTES,
            ..KafkaSettings::default()
        })
        .unwrap();
        let group = format!("native-{}", job.table);
        let consumer = kafka
            .consumer(&ConsumerSettings {
                group: group.clone(),
                topics: vec![TOPIC.to_owned()],
                ..ConsumerSettings::default()
            })
            .unwrap();
        let settings = ConnectionSettings {
            url: job.database.clone(),
            ..ConnectionSettings::default()
        };
        let session = session(
            &Arc::new(Pools::default()),
            SessionSettings::new(
                [(KEY.to_owned(), settings)].into(),
                Some(KEY.to_owned()),
                Vec::new(),
            ),
        );
        let connection = session.connect(KEY.to_owned()).await.unwrap();
        let column = |name: &str| (name.to_owned(), ValueSource::ValueField(name.to_owned()));
        let how = Write {
            table: job.table.clone(),
            mode: job.mode.word().to_owned(),
            columns: COLUMNS.map(column).into(),
            identity: match job.mode {
                Mode::Insert => Vec::new(),
                Mode::Upsert => vec!["id".to_owned()],
            },
            delete_tombstones: false,
        };
        Self {
            kafka,
            consumer,
            converter: converter("JsonConverter", &ConfigMap::new(), Side::Value).unwrap(),
            session,
            connection,
            how,
            group,
            done: BTreeMap::new(),
        }
    }

    /// How many records came with it.
    async fn handle(&mut self, event: ConsumerEvent) -> usize {
        match event {
            ConsumerEvent::Records(records) => {
                let count = records.len();
                self.put(*records).await;
                count
            }
            ConsumerEvent::Assigned(partitions, answer) => {
                self.open(partitions).await;
                let _ = answer.send(Vec::new());
                0
            }
            other => panic!("{other:?}"),
        }
    }

    async fn open(&self, partitions: Vec<(String, i32)>) {
        let (cluster_id, ids) = self.kafka.identities(vec![TOPIC.to_owned()]).await.unwrap();
        let partition = |(topic, partition)| LedgerPartition {
            topic_id: ids[&topic].clone(),
            at: TopicPartition { topic, partition },
            reset_to: None,
        };
        let owner = LedgerOwner {
            cluster_id,
            group: self.group.clone(),
            embedded: false,
        };
        let partitions = partitions.into_iter().map(partition).collect();
        self.session.open_ledger(owner, partitions).await.unwrap();
    }

    async fn put(&mut self, mut records: RecordBatch) {
        let mut next = BTreeMap::new();
        for (partition, offset) in records.partitions.iter().zip(&records.offsets) {
            next.insert((records.topic.clone(), *partition), offset + 1);
        }
        let (keys, _) = self
            .converter
            .decode_column(std::mem::take(&mut records.keys));
        let (values, _) = self
            .converter
            .decode_column(std::mem::take(&mut records.values));
        let batch = Arc::new(SinkBatch {
            topic: records.topic,
            partitions: records.partitions,
            offsets: records.offsets,
            timestamps: records.timestamps,
            keys,
            values,
            headers: None,
        });
        self.session.begin();
        let errants = self.connection.write(batch, None, self.how.clone()).await;
        assert_eq!(errants, Ok(Vec::new()));
        let position = |((topic, partition), offset): (&(String, i32), &i64)| {
            let (topic, partition) = (topic.clone(), *partition);
            (TopicPartition { topic, partition }, *offset)
        };
        let positions = next.iter().map(position).collect();
        self.session.commit(positions).await.unwrap();
        self.done.extend(next);
    }

    async fn commit(&mut self) {
        let position = |(at, offset)| Committed {
            at,
            offset,
            metadata: "tidegate:1".to_owned(),
        };
        let positions = std::mem::take(&mut self.done);
        let positions: Vec<_> = positions.into_iter().map(position).collect();
        if !positions.is_empty() {
            self.consumer.commit(positions).await.unwrap();
        }
    }
}
