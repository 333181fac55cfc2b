//! The offsets of a connector, seen and changed from outside (KIP-875). A sink's are those of its
//! consumer group, and, if its database keeps them, the rows there: both are changed, the rows first,
//! for they win.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_kafka::{Committed, GroupSettings, Kafka, Wanted};
use tidegate_model::connector_config::{ConnectorConfig, Topics};
use tidegate_model::exactly_once::OFFSETS_TOPIC;
use tidegate_model::plugin::PluginKind;
use tidegate_model::state::{State, TargetState};
use tidegate_sandbox::{LedgerError, LedgerOwner, LedgerPartition, SqlSession, TopicPartition};

use crate::error::WorkerError;
use crate::grants::Grants;
use crate::sink_ledger::metadata;
use crate::task::sink_group;
use crate::worker::Worker;

/// The offsets of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectorOffsets {
    /// Partition and offset as JSON texts.
    Source(Vec<(String, String)>),
    /// The next offset of each partition.
    Sink(Vec<(TopicPartition, i64)>),
}

/// What a sink's offsets are made of.
struct SinkOffsets {
    group: GroupSettings,
    topics: Topics,
    sql: std::sync::Arc<dyn SqlSession>,
    kafka: Kafka,
}

impl Worker {
    /// Where a connector is.
    ///
    /// # Errors
    /// If there is no such connector, or Kafka or its database does not answer.
    pub async fn offsets(&self, name: &str) -> Result<ConnectorOffsets, WorkerError> {
        if self.kind(name).await? == PluginKind::Source {
            let config = self.info(name).await?.config;
            let own_topic = config.get(OFFSETS_TOPIC).map(String::as_str);
            let store = &self.environment().store;
            let positions = store.recent_offsets(name, own_topic).await?;
            let texts = positions
                .into_iter()
                .map(|(partition, offset)| (partition.to_string(), offset.to_string()));
            return Ok(ConnectorOffsets::Source(texts.collect()));
        }
        let known = self.sink_offsets(name).await?.known().await?;
        Ok(ConnectorOffsets::Sink(known.into_iter().collect()))
    }

    /// # Errors
    /// If it is a source, whose offsets cannot be changed yet, or if there is no such connector.
    pub async fn must_be_sink(&self, name: &str) -> Result<(), WorkerError> {
        match self.kind(name).await? {
            PluginKind::Sink => Ok(()),
            PluginKind::Source => Err(WorkerError::BadRequest(
                "offsets of a source cannot be changed yet".to_owned(),
            )),
        }
    }

    /// Sets next offsets of a sink that is stopped; none: as if there had never been one.
    ///
    /// # Errors
    /// If it is not stopped, or is a source, or Kafka or its database refuses.
    pub async fn alter_sink_offsets(
        &self,
        name: &str,
        wanted: Vec<(TopicPartition, Option<i64>)>,
    ) -> Result<(), WorkerError> {
        self.must_be_stopped(name).await?;
        let sink = self.sink_offsets(name).await?;
        sink.must_exist(&wanted).await?;
        sink.rewrite(wanted).await?;
        tracing::info!(connector = name, "offsets altered");
        Ok(())
    }

    /// Forgets all offsets of a sink that is stopped, those of topics that are gone too.
    ///
    /// # Errors
    /// As [`Worker::alter_sink_offsets`].
    pub async fn reset_sink_offsets(&self, name: &str) -> Result<(), WorkerError> {
        self.must_be_sink(name).await?;
        self.must_be_stopped(name).await?;
        let sink = self.sink_offsets(name).await?;
        let known = sink.known().await?;
        sink.rewrite(known.into_keys().map(|at| (at, None)).collect())
            .await?;
        tracing::info!(connector = name, "offsets reset");
        Ok(())
    }

    async fn must_be_stopped(&self, name: &str) -> Result<(), WorkerError> {
        let key = name.to_owned();
        let stopped = self
            .herder()
            .inspect(move |herder| {
                let target = herder.log().connector(&key)?.target;
                let ended = herder.task_statuses(&key).is_empty();
                let state = herder.connector_status(&key)?.status.state;
                Some(target == TargetState::Stopped && ended && state == State::Stopped)
            })
            .await?;
        match stopped {
            None => Err(WorkerError::NoConnector(name.to_owned())),
            Some(true) => Ok(()),
            Some(false) => Err(WorkerError::BadRequest(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This \
                 can be done for the specified connector by issuing a 'PUT' request to the \
                 '/connectors/{name}/stop' endpoint"
            ))),
        }
    }

    async fn kind(&self, name: &str) -> Result<PluginKind, WorkerError> {
        let config = self.info(name).await?.config;
        let plugin = self.plugin_of(&config);
        plugin
            .map(|plugin| plugin.kind)
            .ok_or_else(|| WorkerError::BadRequest(format!("the plugin of {name} is not uploaded")))
    }

    async fn sink_offsets(&self, name: &str) -> Result<SinkOffsets, WorkerError> {
        let environment = self.environment();
        let config = self.info(name).await?.config;
        let plugin = self.plugin_of(&config).ok_or_else(|| {
            WorkerError::BadRequest(format!("the plugin of {name} is not uploaded"))
        })?;
        let parsed = ConnectorConfig::parse(&config, plugin.kind, &environment.settings.raw)
            .map_err(WorkerError::Invalid)?;
        let directories = &environment.settings.directories;
        let grants =
            Grants::of(&plugin.description, &config, directories).map_err(WorkerError::Invalid)?;
        Ok(SinkOffsets {
            group: sink_group(name, &parsed),
            topics: parsed.topics.unwrap_or(Topics::List(Vec::new())),
            sql: grants.sql(&environment.pools, plugin.kind),
            kafka: environment.kafka.clone(),
        })
    }
}

impl SinkOffsets {
    /// What the group committed, and where a database keeps offsets, what is there: that wins.
    async fn known(&self) -> Result<BTreeMap<TopicPartition, i64>, WorkerError> {
        let mut known: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        for committed in self.committed().await? {
            let (topic, partition) = committed.at;
            known.insert(TopicPartition { topic, partition }, committed.offset);
        }
        if self.sql.has_ledger() {
            let owner = self.owner(Vec::new()).await?.0;
            let rows = self.sql.ledger_positions(owner).await;
            let rows = rows.map_err(|e| WorkerError::Internal(format!("read offsets: {e}")))?;
            let stored = rows
                .into_iter()
                .filter_map(|row| Some((row.at, row.next_offset?)));
            known.extend(stored);
        }
        Ok(known)
    }

    /// # Errors
    /// Names the first partition that is not there.
    async fn must_exist(
        &self,
        wanted: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), WorkerError> {
        let counts = self.kafka.partition_counts().await;
        let counts = counts.map_err(|e| WorkerError::Internal(e.to_string()))?;
        let is_missing = |at: &TopicPartition| {
            counts
                .get(&at.topic)
                .is_none_or(|count| at.partition >= *count)
        };
        match wanted.iter().find(|(at, _)| is_missing(at)) {
            Some((at, _)) => Err(WorkerError::BadRequest(format!(
                "partition {at} does not exist on this Kafka cluster"
            ))),
            None => Ok(()),
        }
    }

    async fn committed(&self) -> Result<Vec<Committed>, WorkerError> {
        let topics = self.topics.clone();
        let wanted = move |topic: &str| topics.contain(topic);
        let committed = self.kafka.group_offsets(self.group.clone(), wanted).await;
        committed.map_err(|e| WorkerError::Internal(e.to_string()))
    }

    async fn owner(
        &self,
        topics: Vec<String>,
    ) -> Result<(LedgerOwner, BTreeMap<String, String>), WorkerError> {
        let identities = self.kafka.identities(topics).await;
        let (cluster_id, ids) = identities.map_err(|e| WorkerError::Internal(e.to_string()))?;
        let owner = LedgerOwner {
            cluster_id,
            group: Kafka::group_name(&self.group),
            embedded: self.kafka.is_embedded(),
        };
        Ok((owner, ids))
    }

    async fn rewrite(&self, wanted: Vec<(TopicPartition, Option<i64>)>) -> Result<(), WorkerError> {
        let mut fences = vec![None; wanted.len()];
        if self.sql.has_ledger() && !wanted.is_empty() {
            let topics: BTreeSet<_> = wanted.iter().map(|(at, _)| at.topic.clone()).collect();
            let (owner, ids) = self.owner(topics.into_iter().collect()).await?;
            let rows = wanted.iter().map(|(at, next_offset)| {
                let partition = LedgerPartition {
                    at: at.clone(),
                    topic_id: ids.get(&at.topic).cloned().unwrap_or_default(),
                    reset_to: None,
                };
                (partition, *next_offset)
            });
            let starts = self.sql.rewrite_ledger(owner, rows.collect()).await;
            let starts = starts.map_err(ledger_refused)?;
            fences = starts.into_iter().map(|start| Some(start.fence)).collect();
        }
        let of_group = wanted.into_iter().zip(fences).map(|((at, offset), fence)| {
            let position = offset.map(|offset| (offset, fence.map_or_else(String::new, metadata)));
            ((at.topic, at.partition), position)
        });
        let of_group: Vec<Wanted> = of_group.collect();
        let set = self
            .kafka
            .set_group_offsets(self.group.clone(), of_group)
            .await;
        set.map_err(|e| WorkerError::Internal(e.to_string()))
    }
}

fn ledger_refused(error: LedgerError) -> WorkerError {
    match error {
        LedgerError::Foreign(_) => WorkerError::BadRequest(error.to_string()),
        other => WorkerError::Internal(format!("change offsets: {other}")),
    }
}
