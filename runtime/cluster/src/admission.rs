//! What a worker checks before it joins: that the topics are fit, and that neither a Kafka Connect nor
//! another cluster is there already.

use tidegate_kafka::{InternalTopic, Kafka};
use tidegate_model::config_log::PROTOCOL_VERSION;

use crate::cluster::ClusterError;
use crate::settings::{ClusterSettings, StateTopic};

/// Creates the topics that are missing and checks those that are there; answers the number of shards.
pub(crate) async fn topics(kafka: &Kafka, settings: &ClusterSettings) -> Result<u32, ClusterError> {
    let compacted = [
        (&settings.config_topic, "connector configurations"),
        (&settings.offsets_topic, "source connector offsets"),
        (&settings.status_topic, "connector and task statuses"),
        (&settings.plugins_topic, "plugins"),
    ];
    for (topic, purpose) in compacted {
        let partitions = kafka
            .ensure_internal_topic(&internal(topic, purpose, true))
            .await?;
        let is_log = topic.property == settings.config_topic.property
            || topic.property == settings.plugins_topic.property;
        if is_log && partitions != 1 {
            return Err(ClusterError::Partitions {
                topic: topic.name.clone(),
                property: topic.property,
                found: partitions,
            });
        }
    }
    let shards = internal(&settings.shards_topic, "shards", false);
    let shards = kafka.ensure_internal_topic(&shards).await?;
    Ok(u32::try_from(shards).unwrap_or(0))
}

fn internal(topic: &StateTopic, purpose: &'static str, compacted: bool) -> InternalTopic {
    InternalTopic {
        name: topic.name.clone(),
        property: topic.property.to_owned(),
        replication_property: topic.replication_property.to_owned(),
        purpose: purpose.to_owned(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.configs.clone(),
        compacted,
    }
}

/// Refuses a group in which somebody else lives.
pub(crate) async fn group(kafka: &Kafka, settings: &ClusterSettings) -> Result<(), ClusterError> {
    let Some(found) = kafka.group_description(&settings.group).await? else {
        return Ok(());
    };
    if found.members.is_empty() {
        return Ok(());
    }
    if found.protocol_type != "consumer" {
        return Err(ClusterError::ForeignGroup {
            group: settings.group.clone(),
            protocol: found.protocol_type,
            members: found.members.len(),
        });
    }
    let held = kafka
        .committed_metadata(&settings.group, &settings.shards_topic.name)
        .await?;
    let own = identity_prefix(settings);
    let foreign = held
        .into_iter()
        .map(|(_, identity)| identity)
        .find(|identity| identity.starts_with("tidegate ") && !identity.starts_with(&own));
    match foreign {
        Some(identity) => Err(ClusterError::OtherCluster {
            group: settings.group.clone(),
            config_topic: identity.split(' ').nth(1).unwrap_or_default().to_owned(),
            own: settings.config_topic.name.clone(),
        }),
        None => Ok(()),
    }
}

/// What a lease says of its holder: workers with another config topic are another cluster.
pub(crate) fn identity(settings: &ClusterSettings) -> String {
    format!("{}{}", identity_prefix(settings), settings.worker_id)
}

fn identity_prefix(settings: &ClusterSettings) -> String {
    format!("tidegate {} ", settings.config_topic.name)
}

/// Refuses a log that a Kafka Connect wrote, or a later version of ours.
pub(crate) fn log(
    settings: &ClusterSettings,
    feature: Option<u32>,
    has_connectors: bool,
) -> Result<(), ClusterError> {
    match feature {
        Some(version) if version > PROTOCOL_VERSION => Err(ClusterError::NewerProtocol {
            found: version,
            known: PROTOCOL_VERSION,
        }),
        None if has_connectors && !settings.adopt => Err(ClusterError::ForeignLog {
            topic: settings.config_topic.name.clone(),
        }),
        _ => Ok(()),
    }
}
