//! A topic into a file, in the steps of the file sink and of the worker's sink loop.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_convert::{Converter, Side};
use tidegate_kafka::{
    Committed, ConsumerEvent, ConsumerSettings, Kafka, RecordBatch, SinkConsumer, TopicPartition,
};
use tidegate_model::columns::Encoding;
use tokio::time::{Instant, sleep_until};

use super::string_converter;
use crate::child::Watch;

const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

struct Sink {
    consumer: SinkConsumer,
    key: Arc<dyn Converter>,
    value: Arc<dyn Converter>,
    file: File,
    /// Next offsets that are written and not committed.
    written: BTreeMap<TopicPartition, i64>,
}

/// Until every record is in the file. What comes after that is not measured, as with a worker.
pub async fn run(kafka: Kafka, topic: String, file: PathBuf, records: usize, watch: Watch) {
    let settings = ConsumerSettings {
        group: file.file_stem().unwrap().to_str().unwrap().to_owned(),
        topics: vec![topic],
        ..ConsumerSettings::default()
    };
    let mut sink = Sink {
        consumer: kafka.consumer(&settings).unwrap(),
        key: string_converter(Side::Key),
        value: string_converter(Side::Value),
        file: File::options()
            .append(true)
            .create(true)
            .open(file)
            .unwrap(),
        written: BTreeMap::new(),
    };
    let (mut done, mut next_flush) = (0, Instant::now() + FLUSH_INTERVAL);
    while done < records {
        if Instant::now() >= next_flush {
            sink.flush_and_commit().await;
            next_flush = Instant::now() + FLUSH_INTERVAL;
        }
        let event = tokio::select! {
            event = sink.consumer.next() => event.expect("events"),
            () = sleep_until(next_flush) => continue,
        };
        match event {
            ConsumerEvent::Records(records) => {
                done += records.len();
                sink.write(&records);
            }
            event => sink.membership(event).await,
        }
    }
    watch.print();
    sink.consumer.begin_stop();
    while let Some(event) = sink.consumer.next().await {
        let last = matches!(event, ConsumerEvent::Revoked { .. });
        sink.membership(event).await;
        if last {
            break;
        }
    }
}

impl Sink {
    async fn membership(&mut self, event: ConsumerEvent) {
        match event {
            ConsumerEvent::Assigned(_, answer) => answer.send(Vec::new()).unwrap(),
            ConsumerEvent::Revoked { done, .. } => {
                self.flush_and_commit().await;
                done.send(()).unwrap();
            }
            ConsumerEvent::Failed(reason) => panic!("{reason}"),
            ConsumerEvent::Recreated(topics) => panic!("created again: {topics:?}"),
            ConsumerEvent::Records(_) => {}
        }
    }

    fn write(&mut self, records: &RecordBatch) {
        // The worker's loop works on a copy, because it may have to put the batch again.
        let batch = records.clone();
        let (_, bad_keys) = self.key.decode_column(batch.keys);
        let (values, bad_values) = self.value.decode_column(batch.values);
        assert!(bad_keys.is_empty() && bad_values.is_empty());
        // The guest's work.
        let values = values.read(Encoding::Raw).unwrap();
        let mut lines = Vec::with_capacity(values.bytes() + values.len() * 5);
        for value in values.iter() {
            lines.extend_from_slice(value.unwrap_or(b"null"));
            lines.push(b'\n');
        }
        self.file.write_all(&lines).unwrap();
        for (partition, offset) in records.partitions.iter().zip(&records.offsets) {
            // Few partitions, so a search costs less than a map would.
            match self.written.iter_mut().find(|(at, _)| at.1 == *partition) {
                Some((_, next)) => *next = offset + 1,
                None => {
                    let at = (records.topic.clone(), *partition);
                    self.written.insert(at, offset + 1);
                }
            }
        }
    }

    /// What is committed has to be on the disk.
    async fn flush_and_commit(&mut self) {
        if self.written.is_empty() {
            return;
        }
        self.file.sync_data().unwrap();
        let written = std::mem::take(&mut self.written);
        let position = |(at, offset)| Committed {
            at,
            offset,
            metadata: String::new(),
        };
        let positions = written.into_iter().map(position).collect();
        self.consumer.commit(positions).await.unwrap();
    }
}
