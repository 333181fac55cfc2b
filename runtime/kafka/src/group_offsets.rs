//! Offsets of a consumer group, seen and set from outside of it, and what identifies the cluster and
//! its topics.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as RdKafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_model::config::ConfigMap;

use crate::TopicPartition;
use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::native_admin;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The group of a sink.
#[derive(Debug, Clone)]
pub struct GroupSettings {
    /// Its name, unless overridden.
    pub group: String,
    /// `consumer.override.*` without the prefix.
    pub overrides: ConfigMap,
}

/// What a group committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset.
    pub offset: i64,
    /// What was committed with it; empty if nothing was.
    pub metadata: String,
}

/// What a group shall have for a partition; none: nothing.
pub type Wanted = (TopicPartition, Option<(i64, String)>);

impl Kafka {
    /// The name of a sink's group, which `consumer.override.group.id` can change.
    pub fn group_name(settings: &GroupSettings) -> String {
        let own = settings.overrides.get("group.id");
        own.unwrap_or(&settings.group).clone()
    }

    /// Whether the cluster is embedded, and so ends with this process.
    pub fn is_embedded(&self) -> bool {
        self.0.settings.embedded.is_some()
    }

    /// Ids of the cluster and of the topics that exist; an embedded one has none for topics.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn identities(
        &self,
        topics: Vec<String>,
    ) -> Result<(String, BTreeMap<String, String>), KafkaError> {
        if let Some(embedded) = &self.0.settings.embedded {
            // Its topics cannot be deleted.
            return Ok((embedded.cluster_id().to_owned(), BTreeMap::new()));
        }
        let kafka = self.clone();
        blocking(move || {
            let cluster = kafka.cluster_id(TIMEOUT)?;
            let client = kafka.group_client(ClientKind::Admin, &ConfigMap::new(), None)?;
            let ids = native_admin::topic_ids(&client, &topics, TIMEOUT);
            Ok((cluster, ids.map_err(|reason| kafka.unreachable(reason))?))
        })
        .await
    }

    /// How many partitions each topic has.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn partition_counts(&self) -> Result<BTreeMap<String, i32>, KafkaError> {
        let kafka = self.clone();
        blocking(move || {
            let client = kafka.group_client(ClientKind::Admin, &ConfigMap::new(), None)?;
            let metadata = client
                .fetch_metadata(None, TIMEOUT)
                .map_err(|e| kafka.unreachable(e.to_string()))?;
            let counts = metadata.topics().iter().map(|topic| {
                let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                (topic.name().to_owned(), count)
            });
            Ok(counts.collect())
        })
        .await
    }

    /// What the group committed for the partitions of the topics that `wanted` accepts.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn group_offsets(
        &self,
        settings: GroupSettings,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<Committed>, KafkaError> {
        let kafka = self.clone();
        blocking(move || {
            let client = kafka.of_group(&settings)?;
            let failed = |error: RdKafkaError| kafka.unreachable(error.to_string());
            let metadata = client.fetch_metadata(None, TIMEOUT).map_err(failed)?;
            let mut list = TopicPartitionList::new();
            for topic in metadata.topics().iter().filter(|t| wanted(t.name())) {
                for partition in topic.partitions() {
                    list.add_partition(topic.name(), partition.id());
                }
            }
            if list.count() == 0 {
                return Ok(Vec::new());
            }
            let found = client.committed_offsets(list, TIMEOUT).map_err(failed)?;
            Ok(committed(&found))
        })
        .await
    }

    /// Sets and forgets offsets of a group that has no members.
    ///
    /// # Errors
    /// [`KafkaError::GroupOffsets`] with the broker's words; some may be set then.
    pub async fn set_group_offsets(
        &self,
        settings: GroupSettings,
        wanted: Vec<Wanted>,
    ) -> Result<(), KafkaError> {
        let kafka = self.clone();
        blocking(move || {
            let client = kafka.of_group(&settings)?;
            let failed = |reason: String| KafkaError::GroupOffsets(reason);
            let mut set = TopicPartitionList::new();
            let mut forget = TopicPartitionList::new();
            for ((topic, partition), position) in wanted {
                match position {
                    Some((offset, metadata)) => {
                        let mut element = set.add_partition(&topic, partition);
                        element
                            .set_offset(Offset::Offset(offset))
                            .map_err(|e| failed(e.to_string()))?;
                        element.set_metadata(metadata);
                    }
                    None => {
                        forget.add_partition(&topic, partition);
                    }
                }
            }
            if set.count() > 0 {
                let done = client.commit(&set, CommitMode::Sync);
                done.map_err(|e| failed(e.to_string()))?;
            }
            if forget.count() > 0 {
                let group = Self::group_name(&settings);
                native_admin::delete_group_offsets(&client, &group, &forget, TIMEOUT)
                    .or_else(|reason| {
                        if is_nothing(&reason) {
                            Ok(())
                        } else {
                            Err(reason)
                        }
                    })
                    .map_err(failed)?;
            }
            Ok(())
        })
        .await
    }

    fn of_group(&self, settings: &GroupSettings) -> Result<BaseConsumer, KafkaError> {
        let group = Self::group_name(settings);
        self.group_client(ClientKind::Consumer, &settings.overrides, Some(group))
    }

    pub(crate) fn group_client(
        &self,
        kind: ClientKind,
        overrides: &ConfigMap,
        group: Option<String>,
    ) -> Result<BaseConsumer, KafkaError> {
        let (mut settings, _) = self.client_config(kind, overrides)?;
        if let Some(group) = group {
            settings.insert("group.id".to_owned(), group);
        }
        settings.insert("enable.auto.commit".to_owned(), "false".to_owned());
        client_config(&settings)
            .create()
            .map_err(|e| KafkaError::Client {
                client: "client",
                reason: e.to_string(),
            })
    }

    pub(crate) fn unreachable(&self, reason: String) -> KafkaError {
        self.unreachable_for(TIMEOUT, reason)
    }

    pub(crate) fn unreachable_for(&self, waited: Duration, reason: String) -> KafkaError {
        let servers = self.0.settings.common.get("bootstrap.servers").cloned();
        KafkaError::Unreachable {
            bootstrap_servers: servers.unwrap_or_default(),
            seconds: waited.as_secs(),
            reason,
        }
    }
}

/// What of a list was committed.
pub(crate) fn committed(list: &TopicPartitionList) -> Vec<Committed> {
    let elements = list.elements();
    let known = elements
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(Committed {
                at: (element.topic().to_owned(), element.partition()),
                offset,
                metadata: element.metadata().to_owned(),
            }),
            _ => None,
        });
    known.collect()
}

/// A group that never was has nothing to forget.
fn is_nothing(reason: &str) -> bool {
    reason.contains("group id does not exist")
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(KafkaError::GroupOffsets(error.to_string())),
    }
}
