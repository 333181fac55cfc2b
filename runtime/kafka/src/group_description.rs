//! Who is in a consumer group, and who holds or held leases in it.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError};
use crate::group_offsets::{GroupSettings, blocking};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a coordinator may take to read its groups after it has come up.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(120);
const COORDINATOR_PAUSE: Duration = Duration::from_millis(250);

/// A group as its coordinator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// `consumer` for consumers, `connect` for Kafka Connect's workers.
    pub protocol_type: String,
    /// `Stable`, `Empty` ...
    pub state: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// What it calls itself.
    pub client_id: String,
    /// Where it connects from, as brokers write it: `/10.0.0.7`.
    pub host: String,
}

/// Asks for a group; a coordinator that has just come up reads the groups first, and says so.
fn group_list(client: &BaseConsumer, group: &str) -> Result<GroupList, RdKafkaError> {
    use RDKafkaErrorCode as Code;
    let deadline = Instant::now() + COORDINATOR_TIMEOUT;
    let mut told = false;
    loop {
        let error = match client.fetch_group_list(Some(group), TIMEOUT) {
            Ok(list) => return Ok(list),
            Err(error) => error,
        };
        let passes = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::CoordinatorLoadInProgress
                    | Code::CoordinatorNotAvailable
                    | Code::NotCoordinator
            )
        );
        if !passes || Instant::now() >= deadline {
            return Err(error);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(group, "wait for the group's coordinator: {error}");
        }
        std::thread::sleep(COORDINATOR_PAUSE);
    }
}

impl Kafka {
    /// The group; none if there is no such group.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn group_description(
        &self,
        group: &str,
    ) -> Result<Option<GroupDescription>, KafkaError> {
        let (kafka, group) = (self.clone(), group.to_owned());
        blocking(move || {
            let client = kafka.group_client(ClientKind::Admin, &ConfigMap::new(), None)?;
            let list = group_list(&client, &group)
                .map_err(|e| kafka.unreachable_for(COORDINATOR_TIMEOUT, e.to_string()))?;
            let found = list.groups().iter().find(|found| found.name() == group);
            // A group that never was is described as dead.
            let found = found.filter(|found| found.state() != "Dead");
            Ok(found.map(|found| GroupDescription {
                protocol_type: found.protocol_type().to_owned(),
                state: found.state().to_owned(),
                members: found
                    .members()
                    .iter()
                    .map(|member| GroupMember {
                        client_id: member.client_id().to_owned(),
                        host: member.client_host().to_owned(),
                    })
                    .collect(),
            }))
        })
        .await
    }

    /// What the members of a group wrote beside their commits to the partitions of `topic`.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub async fn committed_metadata(
        &self,
        group: &str,
        topic: &str,
    ) -> Result<Vec<(i32, String)>, KafkaError> {
        let (of, topic) = (
            GroupSettings {
                group: group.to_owned(),
                overrides: ConfigMap::new(),
            },
            topic.to_owned(),
        );
        let committed = self.group_offsets(of, move |name| name == topic).await?;
        Ok(committed
            .into_iter()
            .map(|committed| (committed.at.1, committed.metadata))
            .collect())
    }
}
