//! Creating topics that a source writes (KIP-158).

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// Topic configurations.
    pub configs: ConfigMap,
}

impl Kafka {
    /// Creates a topic unless it exists, in which case it is left as it is.
    ///
    /// # Errors
    /// [`KafkaError::Topic`] with Kafka's words.
    pub async fn ensure_topic(&self, spec: &TopicSpec) -> Result<(), KafkaError> {
        if let Some(embedded) = &self.0.settings.embedded {
            return embedded.create_topic(&spec.name, spec.partitions.max(1));
        }
        let topic_error = |reason: String| KafkaError::Topic {
            topic: spec.name.clone(),
            reason,
        };
        let (settings, _) = self.client_config(ClientKind::Admin, &ConfigMap::new())?;
        let admin: AdminClient<DefaultClientContext> =
            client_config(&settings)
                .create()
                .map_err(|e| KafkaError::Client {
                    client: "admin client",
                    reason: e.to_string(),
                })?;
        let refused = |code: RDKafkaErrorCode| {
            if is_outage(code) {
                KafkaError::Unreachable {
                    bootstrap_servers: settings
                        .get("bootstrap.servers")
                        .cloned()
                        .unwrap_or_default(),
                    seconds: TIMEOUT.as_secs(),
                    reason: format!("create topic {}: {code}", spec.name),
                }
            } else {
                topic_error(code.to_string())
            }
        };
        let mut topic = NewTopic::new(
            &spec.name,
            spec.partitions,
            TopicReplication::Fixed(spec.replication_factor),
        );
        for (key, value) in &spec.configs {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new()
            .operation_timeout(Some(TIMEOUT))
            .request_timeout(Some(TIMEOUT));
        let results = admin
            .create_topics([&topic], &options)
            .await
            .map_err(|e| match e {
                RdKafkaError::AdminOp(code) => refused(code),
                other => topic_error(other.to_string()),
            })?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(refused(code)),
            }
        }
        Ok(())
    }
}

/// Whether the topic is not at fault: the same request can succeed when brokers are back.
fn is_outage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::NotController
    )
}
