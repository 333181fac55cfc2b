//! Where workers keep what has to survive them - the config log, source offsets and plugins - and, in
//! a cluster, how they share it. Standalone keeps it in sled, a cluster in Kafka topics; memory is
//! for tests.
#![forbid(unsafe_code)]

mod admission;
mod cluster;
mod config_record;
mod config_sink;
mod coordinator;
mod event;
mod json_fields;
mod kafka_store;
mod memory;
mod offset_table;
mod plugin_topic;
mod secret;
mod settings;
mod sled_store;
mod status_record;
mod store;

pub use cluster::{AppendError, Cluster, ClusterError, StateTopics};
pub use event::ClusterEvent;
pub use memory::MemoryStore;
pub use secret::{SecretError, SecretKey, Signer};
pub use settings::{ClusterSettings, StateTopic};
pub use sled_store::SledStore;
pub use status_record::StatusRecord;
pub use store::{ConfigLog, Positions, StateStore, StoreError, StoreFuture};
