//! Kafka: client settings, producers shared by tasks, one consumer a sink task, topics, and the
//! embedded cluster of `tidegate dev`. No other crate knows rdkafka.

mod acks;
mod batching;
mod client_checks;
mod client_config;
mod cluster;
mod consumer;
mod embedded;
mod group_description;
mod group_offsets;
mod hidden;
mod internal_topic;
mod jaas;
mod key_names;
mod lease;
mod log_writer;
mod membership;
mod membership_context;
mod native_admin;
mod own_client;
mod producer;
mod quiet;
mod reachability;
mod rebalance;
mod record_batch;
mod records_at;
mod recreated;
mod refusal;
mod retention;
mod state_producer;
mod tail_thread;
mod topic_tail;
mod topics;
mod transactions;

pub use acks::{BatchAcks, FailureKind, Outcome, RecordFailure};
pub use batching::{Batching, record_digest};
pub use client_config::{ClientConfigError, ClientKind, Translated, translate};
pub use cluster::{Kafka, KafkaError, KafkaSettings};
pub use consumer::{BEGINNING, ConsumerEvent, ConsumerSettings, SinkConsumer, StartPositions};
pub use embedded::EmbeddedKafka;
pub use group_description::{GroupDescription, GroupMember};
pub use group_offsets::{Committed, GroupSettings, Wanted};
pub use internal_topic::InternalTopic;
pub use lease::{Lease, Progress};
pub use log_writer::{LogWriteError, LogWriter};
pub use membership::{Membership, MembershipSettings};
pub use membership_context::MembershipEvent;
pub use producer::{ProduceError, ProducerHandle, Rows};
pub use reachability::Reachability;
pub use record_batch::RecordBatch;
pub use state_producer::{StateProducer, StateWrite};
pub use topic_tail::{StateRecord, TailSink, TopicTail};
pub use topics::TopicSpec;
pub use transactions::{TransactionError, TransactionalProducer};

/// A Kafka partition: topic and number.
pub type TopicPartition = (String, i32);
