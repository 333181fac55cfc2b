//! Source offsets as an offsets topic has them: Kafka Connect's form, the last record of each key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_kafka::{Kafka, KafkaError, StateRecord, StateWrite, TailSink, TopicTail};
use tidegate_model::offset::{
    SourceOffset, SourcePartition, offset_record_key, parse_offset_record_key,
};
use tokio::time::timeout;

use crate::store::Positions;

/// How long a plan waits for open transactions.
const MOMENT: Duration = Duration::from_secs(2);

type Offsets = HashMap<String, BTreeMap<SourcePartition, SourceOffset>>;

/// One offsets topic.
pub(crate) struct OffsetTable {
    tail: TopicTail,
    topic: String,
    offsets: Arc<Mutex<Offsets>>,
}

struct OffsetSink(Arc<Mutex<Offsets>>);

impl OffsetTable {
    pub(crate) fn open(kafka: &Kafka, topic: &str) -> Result<Self, KafkaError> {
        let offsets = Arc::default();
        let sink = OffsetSink(Arc::clone(&offsets));
        Ok(Self {
            tail: TopicTail::open(kafka, topic, Box::new(sink))?,
            topic: topic.to_owned(),
            offsets,
        })
    }

    /// What a connector has committed, as of now: transactions that are open are waited for, unless they
    /// stay open and nothing of the connector is in or behind them.
    pub(crate) async fn read(&self, connector: &str) -> Result<Positions, KafkaError> {
        let owner = connector.to_owned();
        let owns = move |key: &[u8]| parse_offset_record_key(key).is_some_and(|key| key.0 == owner);
        self.tail.read_own_to_end(owns).await?;
        Ok(self.known(connector))
    }

    /// The same, but transactions that stay open for longer than a moment are not waited for.
    pub(crate) async fn read_recent(&self, connector: &str) -> Result<Positions, KafkaError> {
        match timeout(MOMENT, self.tail.read_to_end()).await {
            Ok(read) => read?,
            Err(_) => tracing::warn!(
                topic = self.topic,
                connector,
                "a transaction on the offsets topic stays open; plan with what was committed before it"
            ),
        }
        Ok(self.known(connector))
    }

    fn known(&self, connector: &str) -> Positions {
        let offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let own = offsets.get(connector).into_iter().flatten();
        own.map(|(p, o)| (p.clone(), o.clone())).collect()
    }

    /// The records that commit positions.
    pub(crate) fn writes(&self, connector: &str, positions: &Positions) -> Vec<StateWrite> {
        let positions = positions.iter();
        positions
            .map(|(partition, offset)| StateWrite {
                topic: self.topic.clone(),
                partition: None,
                key: offset_record_key(connector, partition),
                value: Some(offset.as_str().as_bytes().to_vec()),
            })
            .collect()
    }
}

impl TailSink for OffsetSink {
    fn record(&mut self, record: StateRecord) {
        let key = record.key.as_deref().and_then(parse_offset_record_key);
        let Some((connector, partition)) = key else {
            tracing::warn!(
                partition = record.partition,
                offset = record.offset,
                "leave out a record of an offsets topic: its key is not [connector, partition]"
            );
            return;
        };
        let text = record.value.as_deref().map(String::from_utf8_lossy);
        let offset = text.map(|text| SourceOffset::parse(&text)).transpose();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match offset {
            Ok(Some(offset)) => {
                all.entry(connector).or_default().insert(partition, offset);
            }
            Ok(None) => {
                if let Some(own) = all.get_mut(&connector) {
                    own.remove(&partition);
                }
            }
            Err(error) => tracing::warn!(connector, "leave out a source offset: {error}"),
        }
    }
}
