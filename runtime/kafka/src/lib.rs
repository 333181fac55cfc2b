//! Kafka: client settings, producers shared by tasks, one consumer a sink task, topics, and the
//! embedded cluster of `tidegate dev`. No other crate knows rdkafka.

mod acks;
mod client_config;
mod cluster;
mod consumer;
mod embedded;
mod group_offsets;
mod jaas;
mod native_admin;
mod producer;
mod quiet;
mod rebalance;
mod record_batch;
mod retention;
mod topics;
mod transactions;

pub use acks::{BatchAcks, FailureKind, Outcome, RecordFailure};
pub use client_config::{ClientConfigError, ClientKind, Translated, translate};
pub use cluster::{Kafka, KafkaError, KafkaSettings};
pub use consumer::{ConsumerEvent, ConsumerSettings, SinkConsumer, StartPositions};
pub use embedded::EmbeddedKafka;
pub use group_offsets::{Committed, GroupSettings, Wanted};
pub use producer::{ProduceError, ProducerHandle, Rows};
pub use record_batch::RecordBatch;
pub use topics::TopicSpec;
pub use transactions::{TransactionError, TransactionalProducer};

/// A Kafka partition: topic and number.
pub type TopicPartition = (String, i32);
