//! Lines of a file into a topic, in the steps of the file source and of the worker's source loop.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;
use tidegate_convert::{EncodedColumn, Schema, Side};
use tidegate_kafka::{BatchAcks, Kafka, Outcome, Rows};
use tidegate_model::columns::{ByteColumn, Encoding};
use tidegate_model::config::ConfigMap;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;

use super::string_converter;
use crate::child::Watch;

/// The file source's default.
const BATCH_SIZE: usize = 2_000;
/// What it reads at a time.
const BLOCK: usize = 256 * 1024;
/// Room that it makes for a line.
const USUAL_LINE: usize = 128;
/// The default of `tidegate.source.in.flight.max.bytes`.
const MAX_IN_FLIGHT_BYTES: usize = 8 << 20;
/// As the worker's loop, which does not rely on being told either.
const HOLD: Duration = Duration::from_millis(20);

#[derive(Default)]
struct InFlight {
    sent: VecDeque<(Arc<BatchAcks>, usize)>,
    bytes: usize,
    acked: Arc<Notify>,
}

impl InFlight {
    fn reap(&mut self) {
        while let Some((acks, bytes)) = self.sent.front() {
            let Some(outcome) = acks.outcome() else {
                break;
            };
            assert_eq!(outcome, Outcome::Acked);
            self.bytes -= bytes;
            self.sent.pop_front();
        }
    }

    /// Waits until there is less than `bytes` on the way.
    async fn wait_below(&mut self, bytes: usize) {
        self.reap();
        while self.bytes >= bytes {
            let _ = timeout(HOLD, self.acked.notified()).await;
            self.reap();
        }
    }
}

/// Until every record is acked.
pub async fn run(kafka: Kafka, topic: String, file: PathBuf, records: usize, watch: Watch) {
    let producer = kafka.producer(&ConfigMap::new()).unwrap();
    let (key, value) = (string_converter(Side::Key), string_converter(Side::Value));
    let schema = Schema::from_json(r#"{"type":"string","optional":false}"#).unwrap();
    let schemas = vec![Arc::new(schema)];
    // While one batch is produced the next is read, as the worker has its guest do.
    let (sender, mut batches) = channel(1);
    let reader = tokio::task::spawn_blocking(move || read(&file, &sender));
    let (topics, mut in_flight, mut produced) = ([topic], InFlight::default(), 0);
    while let Some(values) = batches.recv().await {
        let rows = values.len();
        let encoded = |bytes, schemas| EncodedColumn {
            encoding: Encoding::Raw,
            bytes,
            schemas,
            schema_index: Vec::new(),
        };
        let (keys, bad_keys) = key.encode_column(encoded(ByteColumn::nulls(rows), Vec::new()));
        let (values, bad_values) = value.encode_column(encoded(values, schemas.clone()));
        assert!(bad_keys.is_empty() && bad_values.is_empty());
        in_flight.wait_below(MAX_IN_FLIGHT_BYTES).await;
        let acks = BatchAcks::new(rows, Arc::clone(&in_flight.acked));
        let batch = Rows {
            topics: &topics,
            topic: &[],
            partitions: &[],
            timestamps: &[],
            keys: &keys,
            values: &values,
            headers: None,
            skip: &[],
        };
        producer.produce(batch, &acks).await.unwrap();
        produced += rows;
        in_flight.bytes += values.bytes();
        in_flight.sent.push_back((acks, values.bytes()));
    }
    in_flight.wait_below(1).await;
    watch.print();
    reader.await.unwrap();
    assert_eq!(produced, records);
}

/// The guest's work, in its own way: whole blocks, and lines copied from there into the batch.
fn read(file: &Path, batches: &Sender<ByteColumn>) {
    let new = || ByteColumn::with_capacity(BATCH_SIZE, BATCH_SIZE * USUAL_LINE);
    let (mut file, mut batch) = (File::open(file).unwrap(), new());
    let (mut block, mut waiting) = (vec![0; BLOCK], 0);
    loop {
        let read = file.read(&mut block[waiting..]).unwrap();
        let end = waiting + read;
        let mut taken = 0;
        for line_end in memchr_iter(b'\n', &block[..end]) {
            let line = &block[taken..line_end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // A value is a string, so somebody has to look whether it is one.
            assert!(std::str::from_utf8(line).is_ok());
            batch.push(Some(line));
            taken = line_end + 1;
            if batch.len() == BATCH_SIZE && !send(batches, std::mem::replace(&mut batch, new())) {
                return;
            }
        }
        if read == 0 {
            if !batch.is_empty() {
                send(batches, batch);
            }
            return;
        }
        block.copy_within(taken..end, 0);
        waiting = end - taken;
    }
}

fn send(batches: &Sender<ByteColumn>, batch: ByteColumn) -> bool {
    batches.blocking_send(batch).is_ok()
}
