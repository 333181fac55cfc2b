//! The topics that a cluster of workers keeps its state in: created if they are missing, checked if
//! they are there.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::group_offsets::blocking;

/// How long each step may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks at a topic that was just created.
const PAUSE: Duration = Duration::from_millis(50);

const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";

/// A topic of the cluster's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: String,
    /// The key that gave the name: `config.storage.topic`.
    pub property: String,
    /// The key that gave the number of replicas: `config.storage.replication.factor`.
    pub replication_property: String,
    /// What it holds: `connector configurations`.
    pub purpose: String,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// Topic configurations.
    pub configs: ConfigMap,
    /// Whether state would be lost if records were ever deleted for their age or size.
    pub compacted: bool,
}

impl Kafka {
    /// Creates the topic if it is missing, checks it if it is there, and returns when all its
    /// partitions have leaders: how many there are.
    ///
    /// # Errors
    /// [`KafkaError::Topic`] if it cannot be created, [`KafkaError::InternalTopic`] if it cannot be
    /// used as it is, [`KafkaError::Unreachable`].
    pub async fn ensure_internal_topic(&self, topic: &InternalTopic) -> Result<i32, KafkaError> {
        if self.led_partitions(&topic.name).await? == Partitions::None {
            self.create(topic).await?;
        }
        let partitions = self.wait_for_leaders(&topic.name).await?;
        if topic.compacted {
            self.check_compacted(topic).await?;
        }
        Ok(partitions)
    }

    async fn create(&self, topic: &InternalTopic) -> Result<(), KafkaError> {
        let mut new = NewTopic::new(
            &topic.name,
            topic.partitions,
            TopicReplication::Fixed(topic.replication_factor),
        );
        for (key, value) in &topic.configs {
            new = new.set(key, value);
        }
        if topic.compacted {
            new = new.set(CLEANUP_POLICY, COMPACT);
        }
        let results = self
            .admin_client()?
            .create_topics([&new], &options())
            .await
            .map_err(|e| self.unreachable(e.to_string()))?;
        match results.into_iter().next() {
            // Another worker of the cluster was faster.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor))) => {
                let brokers = self.broker_count().await?;
                Err(KafkaError::InternalTopic(format!(
                    "topic '{}' cannot have {} replicas on a cluster of {brokers} broker(s): set '{}' \
                     to {brokers} at most, or add brokers",
                    topic.name, topic.replication_factor, topic.replication_property
                )))
            }
            Some(Err((_, code))) => Err(KafkaError::Topic {
                topic: topic.name.clone(),
                reason: format!(
                    "{code} (the name comes from '{}'; the topic may also be created beforehand)",
                    topic.property
                ),
            }),
            None => Err(self.unreachable("an answer without a topic".to_owned())),
        }
    }

    async fn wait_for_leaders(&self, name: &str) -> Result<i32, KafkaError> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Partitions::Led(count) = self.led_partitions(name).await? {
                return Ok(count);
            }
            if Instant::now() >= deadline {
                let reason = format!("partitions of topic {name} have no leader");
                return Err(self.unreachable(reason));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn led_partitions(&self, name: &str) -> Result<Partitions, KafkaError> {
        let (kafka, name) = (self.clone(), name.to_owned());
        blocking(move || {
            let client = kafka.group_client(ClientKind::Admin, &ConfigMap::new(), None)?;
            let metadata = client
                .fetch_metadata(Some(&name), TIMEOUT)
                .map_err(|e| kafka.unreachable(e.to_string()))?;
            let partitions = metadata.topics().iter().flat_map(|t| t.partitions());
            let leaders: Vec<i32> = partitions.map(|p| p.leader()).collect();
            Ok(match i32::try_from(leaders.len()) {
                Ok(0) => Partitions::None,
                Ok(count) if leaders.iter().all(|leader| *leader >= 0) => Partitions::Led(count),
                _ => Partitions::Unled,
            })
        })
        .await
    }

    async fn broker_count(&self) -> Result<usize, KafkaError> {
        let kafka = self.clone();
        blocking(move || {
            let client = kafka.group_client(ClientKind::Admin, &ConfigMap::new(), None)?;
            let metadata = client.fetch_metadata(None, TIMEOUT);
            let metadata = metadata.map_err(|e| kafka.unreachable(e.to_string()))?;
            Ok(metadata.brokers().len())
        })
        .await
    }

    async fn check_compacted(&self, topic: &InternalTopic) -> Result<(), KafkaError> {
        let name = ResourceSpecifier::Topic(&topic.name);
        let described = self
            .admin_client()?
            .describe_configs([&name], &options())
            .await
            .map_err(|e| self.unreachable(e.to_string()))?;
        match described.into_iter().next() {
            Some(Ok(resource)) => {
                let policy = resource
                    .get(CLEANUP_POLICY)
                    .and_then(|entry| entry.value.clone())
                    .unwrap_or_default();
                is_compact(topic, &policy)
            }
            // Not to be allowed to look is no reason not to start.
            Some(Err(
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed),
            )) => {
                tracing::warn!(
                    "cannot check that topic '{}' has '{CLEANUP_POLICY}={COMPACT}': {code}; allow \
                     DescribeConfigs on it, or check it by hand",
                    topic.name
                );
                Ok(())
            }
            Some(Err(code)) => Err(self.unreachable(code.to_string())),
            None => Err(self.unreachable("an answer without a topic".to_owned())),
        }
    }

    fn admin_client(&self) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
        let (settings, _) = self.client_config(ClientKind::Admin, &ConfigMap::new())?;
        client_config(&settings)
            .create()
            .map_err(|e: RdKafkaError| KafkaError::Client {
                client: "admin client",
                reason: e.to_string(),
            })
    }
}

/// What there is of a topic.
#[derive(Debug, PartialEq, Eq)]
enum Partitions {
    None,
    Unled,
    Led(i32),
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(TIMEOUT))
        .request_timeout(Some(TIMEOUT))
}

/// Kafka Connect's words.
fn is_compact(topic: &InternalTopic, policy: &str) -> Result<(), KafkaError> {
    if policy == COMPACT {
        return Ok(());
    }
    let InternalTopic {
        name,
        property,
        purpose,
        ..
    } = topic;
    Err(KafkaError::InternalTopic(format!(
        "Topic '{name}' supplied via the '{property}' property is required to have \
         '{CLEANUP_POLICY}={COMPACT}' to guarantee consistency and durability of {purpose}, but found \
         the topic currently has '{CLEANUP_POLICY}={policy}'. Continuing would likely result in \
         eventually losing {purpose} and problems restarting this cluster in the future. Change the \
         '{property}' property in the worker configuration to use a topic with \
         '{CLEANUP_POLICY}={COMPACT}'"
    )))
}
