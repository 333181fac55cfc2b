//! Creating topics that a source writes (KIP-158).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::quiet::QuietLog;

const TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for a topic's configuration.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

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
        let admin = self.admin()?;
        let refused = |code: RDKafkaErrorCode| {
            if is_outage(code) {
                self.unreachable_for(TIMEOUT, format!("create topic {}: {code}", spec.name))
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

    /// The largest batch that a topic takes, `max.message.bytes`; none if Kafka does not tell.
    pub async fn topic_max_bytes(&self, topic: &str) -> Option<usize> {
        let admin = self.admin().ok()?;
        let options = AdminOptions::new().request_timeout(Some(DESCRIBE_TIMEOUT));
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = admin.describe_configs(&asked, &options).await.ok()?;
        let resource = described.into_iter().next()?.ok()?;
        let entry = resource.get("max.message.bytes")?;
        entry.value.as_ref()?.parse().ok()
    }

    /// The worker's own client for such requests, made when it is first needed and kept: a new
    /// one would first have to find a broker that answers.
    fn admin(&self) -> Result<Arc<AdminClient<AdminContext>>, KafkaError> {
        let mut kept = self.0.admin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(admin) = &*kept {
            return Ok(Arc::clone(admin));
        }
        let (settings, _) = self.client_config(ClientKind::Admin, &ConfigMap::new())?;
        let made = client_config(&settings).create_with_context(AdminContext::default());
        let admin = Arc::new(made.map_err(|e| KafkaError::Client {
            client: "admin client",
            reason: e.to_string(),
        })?);
        *kept = Some(Arc::clone(&admin));
        Ok(admin)
    }
}

/// Logs quietly.
#[derive(Default)]
pub(crate) struct AdminContext(QuietLog);

impl ClientContext for AdminContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.line(level, facility, message);
    }

    fn error(&self, error: RdKafkaError, reason: &str) {
        self.0.error(&error, reason);
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
