//! Reading single records by their offsets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::topic_tail::StateRecord;

/// How long to wait for all of them.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

impl Kafka {
    /// The records at these offsets; none where there is no record any more.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn records_at(
        &self,
        topic: &str,
        partition: i32,
        offsets: Vec<i64>,
    ) -> Result<Vec<Option<StateRecord>>, KafkaError> {
        let (kafka, topic) = (self.clone(), topic.to_owned());
        let read = move || kafka.read_records_at(&topic, partition, &offsets);
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(error) => Err(KafkaError::Client {
                client: "consumer",
                reason: error.to_string(),
            }),
        }
    }

    fn read_records_at(
        &self,
        topic: &str,
        partition: i32,
        offsets: &[i64],
    ) -> Result<Vec<Option<StateRecord>>, KafkaError> {
        let (Some(first), Some(last)) = (offsets.iter().min(), offsets.iter().max()) else {
            return Ok(Vec::new());
        };
        let (mut settings, _) = self.client_config(ClientKind::Consumer, &ConfigMap::new())?;
        settings.insert("group.id".to_owned(), "tidegate-reader".to_owned());
        settings.insert("enable.auto.commit".to_owned(), "false".to_owned());
        settings.insert("enable.partition.eof".to_owned(), "true".to_owned());
        settings.insert("auto.offset.reset".to_owned(), "earliest".to_owned());
        let client = |reason: String| KafkaError::Client {
            client: "consumer",
            reason,
        };
        let consumer: BaseConsumer = client_config(&settings)
            .create()
            .map_err(|e| client(e.to_string()))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(*first))
            .map_err(|e| client(e.to_string()))?;
        consumer.assign(&list).map_err(|e| client(e.to_string()))?;
        let mut found: BTreeMap<i64, StateRecord> = BTreeMap::new();
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            match consumer.poll(POLL) {
                None => {}
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if offsets.contains(&offset) {
                        let record = StateRecord {
                            partition,
                            offset,
                            key: message.key().map(<[u8]>::to_vec),
                            value: message.payload().map(<[u8]>::to_vec),
                            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                        };
                        found.insert(offset, record);
                    }
                    if offset >= *last {
                        return Ok(in_order(offsets, found));
                    }
                }
                // What is there has been read.
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => {
                    return Ok(in_order(offsets, found));
                }
                // librdkafka tries again by itself.
                Some(Err(error)) => tracing::debug!(topic, "read records: {error}"),
            }
        }
        Err(self.unreachable(format!("read {} record(s) of {topic}", offsets.len())))
    }
}

fn in_order(offsets: &[i64], mut found: BTreeMap<i64, StateRecord>) -> Vec<Option<StateRecord>> {
    offsets.iter().map(|offset| found.remove(offset)).collect()
}
