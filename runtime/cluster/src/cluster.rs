//! A worker's way into its cluster: joins, reads the state topics, appends to the log while it leads.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tidegate_kafka::{
    Kafka, KafkaError, Lease, LogWriteError, LogWriter, Membership, MembershipSettings, Progress,
    StateProducer, StateWrite, TopicTail,
};
use tidegate_model::config_log::{ConfigRecord, ConfigState};
use tokio::sync::{Mutex, mpsc};

use crate::admission;
use crate::config_record;
use crate::config_sink::{ConfigSink, LastRecords, StatusSink};
use crate::coordinator::{Coordinator, Leading};
use crate::event::ClusterEvent;
use crate::kafka_store::KafkaStore;
use crate::settings::ClusterSettings;
use crate::status_record::StatusRecord;
use crate::store::StateStore;

/// How long an append may take before its outcome counts as unknown.
const APPEND_LIMIT: Duration = Duration::from_secs(30);

/// The broker ends a transaction of a leader that died after this long; the next one ends it sooner.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(10);

/// Why a worker cannot join.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The group is somebody else's.
    #[error(
        "group.id={group} is in use by {members} member(s) of protocol {protocol:?}, such as the workers of a \
         Kafka Connect: choose another group.id, or stop them"
    )]
    ForeignGroup {
        /// The group.
        group: String,
        /// Its protocol.
        protocol: String,
        /// How many live there.
        members: usize,
    },
    /// Another cluster has the group.
    #[error(
        "group.id={group} is in use by the cluster whose config.storage.topic is {config_topic}, and this \
         worker's is {own}: give each cluster a group.id of its own"
    )]
    OtherCluster {
        /// The group.
        group: String,
        /// Theirs.
        config_topic: String,
        /// Ours.
        own: String,
    },
    /// A Kafka Connect wrote the log.
    #[error(
        "{topic} (config.storage.topic) holds connectors of a Kafka Connect: choose another topic, or stop that \
         Kafka Connect for good and set tidegate.adopt=true to take its connectors over; they start STOPPED"
    )]
    ForeignLog {
        /// The topic.
        topic: String,
    },
    /// A later version wrote the log.
    #[error(
        "the cluster speaks protocol version {found}, this worker only up to {known}: start a newer tidegate"
    )]
    NewerProtocol {
        /// In the log.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// A log has more than one partition, and so no order.
    #[error(
        "topic {topic} ({property}) has {found} partitions; it has to have 1, so that its records have one order"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// What names it.
        property: &'static str,
        /// How many it has.
        found: i32,
    },
}

/// Why records are not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another worker leads.
    #[error("this worker does not lead the cluster (any more); ask again in a moment")]
    NotLeading,
    /// Nothing of it was written.
    #[error("write the config topic: {0}; nothing of it was stored, ask again in a moment")]
    Failed(String),
    /// It may have been written.
    #[error(
        "write the config topic: {0}; whether it was stored is not known, look before you ask again"
    )]
    Unknown(String),
}

/// What the cluster's parts share.
pub(crate) struct Shared {
    kafka: Kafka,
    settings: ClusterSettings,
    config_tail: TopicTail,
    status_tail: TopicTail,
    producer: StateProducer,
    last: LastRecords,
    pub(crate) lease: Lease,
    /// Never held while something is awaited: a lapsed lease has to be acted on at once.
    writer: std::sync::Mutex<Option<Arc<LogWriter>>>,
}

/// A worker's membership in its cluster.
pub struct Cluster {
    shared: Arc<Shared>,
    store: Arc<KafkaStore>,
    membership: Mutex<Option<Membership>>,
}

/// The state topics of a cluster, open for reading; the worker is no member yet.
pub struct StateTopics {
    kafka: Kafka,
    settings: ClusterSettings,
    events: mpsc::UnboundedSender<ClusterEvent>,
    config_tail: TopicTail,
    status_tail: TopicTail,
    last: LastRecords,
    shards: u32,
}

impl StateTopics {
    /// Creates the topics that are missing, checks those that are there and the group, and begins to
    /// read. What is read is told through `events`, in order.
    ///
    /// # Errors
    /// [`ClusterError`] says what stands against it.
    pub async fn open(
        kafka: &Kafka,
        settings: ClusterSettings,
        events: mpsc::UnboundedSender<ClusterEvent>,
    ) -> Result<Self, ClusterError> {
        let shards = admission::topics(kafka, &settings).await?;
        admission::group(kafka, &settings).await?;
        let last = LastRecords::default();
        let config_sink = ConfigSink {
            events: events.clone(),
            last: last.clone(),
            next_offset: 0,
        };
        let config_tail =
            TopicTail::open(kafka, &settings.config_topic.name, Box::new(config_sink))?;
        let status_sink = StatusSink(events.clone());
        let status_tail =
            TopicTail::open(kafka, &settings.status_topic.name, Box::new(status_sink))?;
        Ok(Self {
            kafka: kafka.clone(),
            settings,
            events,
            config_tail,
            status_tail,
            last,
            shards,
        })
    }

    /// How many shards the cluster has.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Returns when everything that is in the topics now has come as events, which somebody has to
    /// take meanwhile.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn read_to_ends(&self) -> Result<(), KafkaError> {
        let both = tokio::join!(
            self.config_tail.read_to_end(),
            self.status_tail.read_to_end()
        );
        both.0.and(both.1)
    }

    /// Joins the group, if nothing in the log that was read stands against it.
    ///
    /// # Errors
    /// [`ClusterError`] says what does.
    pub fn join(self, log: &ConfigState, progress: Arc<Progress>) -> Result<Cluster, ClusterError> {
        let has_connectors = !log.connectors().is_empty();
        admission::log(&self.settings, log.cluster().feature(), has_connectors)?;
        let Self {
            kafka,
            settings,
            events,
            config_tail,
            status_tail,
            last,
            shards,
        } = self;
        let producer = StateProducer::open(&kafka, settings.session_timeout)?;
        let (memberships, membership_events) = mpsc::unbounded_channel();
        let membership = Membership::join(
            &kafka,
            MembershipSettings {
                group: settings.group.clone(),
                topic: settings.shards_topic.name.clone(),
                instance_id: settings.instance_id.clone(),
                client_id: format!("tidegate-{}", settings.worker_id),
                session_timeout: settings.session_timeout,
                heartbeat_interval: settings.heartbeat_interval,
                rebalance_timeout: settings.rebalance_timeout,
                identity: admission::identity(&settings),
            },
            progress,
            memberships,
        )?;
        let lease = membership.lease();
        let store = KafkaStore::open(&kafka, producer.clone(), lease.clone(), &settings)?;
        let shared = Arc::new(Shared {
            kafka,
            settings,
            config_tail,
            status_tail,
            producer,
            last,
            lease,
            writer: Default::default(),
        });
        let (results, result_events) = mpsc::unbounded_channel();
        let coordinator = Coordinator {
            shared: Arc::clone(&shared),
            events,
            results,
            highest: shards.saturating_sub(1),
            assigned: Default::default(),
            active: Default::default(),
            activating: false,
            leading: Leading::No,
        };
        tokio::spawn(coordinator.run(membership_events, result_events));
        Ok(Cluster {
            shared,
            store: Arc::new(store),
            membership: Mutex::new(Some(membership)),
        })
    }
}

impl Cluster {
    /// The worker's place in the cluster, as configured.
    pub fn settings(&self) -> &ClusterSettings {
        &self.shared.settings
    }

    /// Whether the worker's shards are its own at this moment.
    pub fn lease(&self) -> Lease {
        self.shared.lease.clone()
    }

    /// Source offsets and plugins.
    pub fn store(&self) -> Arc<dyn StateStore> {
        self.store.clone()
    }

    /// Appends records to the log, all or none; answers their places. They come back as events, too.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&self, records: &[ConfigRecord]) -> Result<Vec<u64>, AppendError> {
        self.shared.append(records).await
    }

    /// Writes records of the status topic, if the worker's lease is valid.
    ///
    /// # Errors
    /// If it is not, or Kafka does not answer.
    pub async fn write_statuses(&self, records: Vec<StatusRecord>) -> Result<(), KafkaError> {
        let shared = &self.shared;
        if !shared.lease.is_valid() {
            return Err(KafkaError::Commit(
                "the worker's lease has lapsed".to_owned(),
            ));
        }
        let writes = records.into_iter().map(|record| StateWrite {
            topic: shared.settings.status_topic.name.clone(),
            partition: None,
            key: record.key().into_bytes(),
            value: record.value().map(|value| value.to_string().into_bytes()),
        });
        shared.producer.write(writes.collect()).await.map(drop)
    }

    /// Returns when everything that is in the config topic now has come as events.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub async fn read_log_to_end(&self) -> Result<(), KafkaError> {
        self.shared.config_tail.read_to_end().await
    }

    /// Leaves; with `group.instance.id` the shards are kept for a session time-out, unless it is for
    /// good.
    pub async fn leave(&self, for_good: bool) {
        let settings = self.settings();
        if for_good || settings.instance_id.is_none() {
            // Its shards go to others now; what it said of itself would only be in the way.
            let gone = StatusRecord::Worker(settings.worker_id.clone(), None);
            if let Err(error) = self.write_statuses(vec![gone]).await {
                tracing::warn!("take leave of the other workers: {error}");
            }
        }
        if let Some(membership) = self.membership.lock().await.take() {
            membership.leave(for_good).await;
        }
    }
}

impl Shared {
    pub(crate) fn writer(&self) -> Option<Arc<LogWriter>> {
        let writer = self.writer.lock();
        writer.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_writer(&self, writer: Option<LogWriter>) {
        let mut current = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        *current = writer.map(Arc::new);
    }

    pub(crate) async fn read_to_ends(&self) -> Result<(), KafkaError> {
        let both = tokio::join!(
            self.config_tail.read_to_end(),
            self.status_tail.read_to_end()
        );
        both.0.and(both.1)
    }

    /// Shuts the former leader out, then reads what it wrote.
    pub(crate) async fn take_over(&self) -> Result<LogWriter, AppendError> {
        let id = format!("connect-cluster-{}", self.settings.group);
        let opened = LogWriter::open(&self.kafka, &id, TRANSACTION_LIMIT, APPEND_LIMIT).await;
        let writer = opened.map_err(|e| AppendError::Failed(e.to_string()))?;
        let read = self.config_tail.read_to_end().await;
        read.map_err(|e| AppendError::Failed(e.to_string()))?;
        Ok(writer)
    }

    async fn append(&self, records: &[ConfigRecord]) -> Result<Vec<u64>, AppendError> {
        let Some(current) = self.writer().filter(|_| self.lease.is_valid()) else {
            return Err(AppendError::NotLeading);
        };
        let topic = &self.settings.config_topic.name;
        let writes: Vec<StateWrite> = records
            .iter()
            .map(|record| StateWrite {
                topic: topic.clone(),
                partition: Some(0),
                key: record.key().into_bytes(),
                value: config_record::encode(record).map(|value| value.to_string().into_bytes()),
            })
            .collect();
        let end = self.last.end();
        match current.append(writes.clone()).await {
            Ok(offsets) => Ok(offsets
                .iter()
                .map(|(_, offset)| place_of(*offset))
                .collect()),
            Err(LogWriteError::Failed(reason)) => {
                self.set_writer(None);
                Err(AppendError::Failed(reason))
            }
            Err(LogWriteError::Fenced(reason)) => {
                self.set_writer(None);
                tracing::warn!("another worker writes the config topic: {reason}");
                Err(AppendError::NotLeading)
            }
            Err(LogWriteError::Unknown(reason)) => {
                self.set_writer(None);
                self.look_up(&writes, end, reason).await
            }
        }
    }

    /// A commit whose answer was lost: initialising transactions settles it, and then the log tells.
    async fn look_up(
        &self,
        writes: &[StateWrite],
        end: i64,
        reason: String,
    ) -> Result<Vec<u64>, AppendError> {
        self.take_over().await.map_err(|second| match second {
            AppendError::Failed(second) => AppendError::Unknown(format!("{reason}; then {second}")),
            other => AppendError::Unknown(format!("{reason}; then {other}")),
        })?;
        // Of records with the same key only the last can be seen. All of them have to be there: another
        // leader may have written some of the same.
        let mut last = BTreeMap::new();
        for write in writes {
            last.insert(&write.key, write.value.as_deref());
        }
        let mut found = last
            .iter()
            .map(|(key, value)| self.last.find(key, *value, end));
        let Some(places) = found.try_fold(0, |most, found| Some(most.max(found?))) else {
            return Err(AppendError::Failed(reason));
        };
        Ok(writes.iter().map(|_| place_of(places)).collect())
    }
}

/// Places begin with 1: 0 means that there is none.
pub(crate) fn place_of(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0) + 1
}
