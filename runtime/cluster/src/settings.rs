//! What a worker needs to know to be one of many.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_model::config::ConfigMap;

use crate::secret::SecretKey;

/// A topic in which workers share state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTopic {
    /// The key of the worker's configuration that names it.
    pub property: &'static str,
    /// The key that says how many replicas it has.
    pub replication_property: &'static str,
    /// Its name.
    pub name: String,
    /// Its partitions, if it has to be created; -1: the broker's default.
    pub partitions: i32,
    /// Its replicas, if it has to be created; -1: the broker's default.
    pub replication_factor: i32,
    /// Its settings, if it has to be created.
    pub configs: ConfigMap,
}

/// A worker's place in its cluster.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Workers of one group are one cluster.
    pub group: String,
    /// This worker's id: host and port of its REST address.
    pub worker_id: String,
    /// Its REST address, as the others reach it.
    pub url: String,
    /// Which start of it this is.
    pub incarnation: String,
    /// Keeps its shards over a restart (`group.instance.id`, KIP-345).
    pub instance_id: Option<String>,
    /// The config log: one partition.
    pub config_topic: StateTopic,
    /// Source offsets.
    pub offsets_topic: StateTopic,
    /// Statuses, workers, releases.
    pub status_topic: StateTopic,
    /// Bytes of plugins.
    pub plugins_topic: StateTopic,
    /// Its partitions are the shards; it holds no records.
    pub shards_topic: StateTopic,
    /// How long a silent worker keeps its shards.
    pub session_timeout: Duration,
    /// How often leases are renewed.
    pub heartbeat_interval: Duration,
    /// How long workers have to join a rebalance.
    pub rebalance_timeout: Duration,
    /// How long a session key is used.
    pub key_ttl: Duration,
    /// What secrets in state topics are sealed with.
    pub secret_key: SecretKey,
    /// Whether a log that a Kafka Connect wrote may be taken over.
    pub adopt: bool,
    /// Where the bytes of plugins are kept between starts.
    pub component_directory: PathBuf,
}
