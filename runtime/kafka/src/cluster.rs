//! The way to one Kafka cluster: settings checked once, clients made from them on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tidegate_model::config::ConfigMap;

use crate::batching::Batching;
use crate::client_checks;
use crate::client_config::{ClientConfigError, ClientKind, check_overrides, translate};
use crate::embedded::EmbeddedKafka;
use crate::key_names::KeyNames;
use crate::own_client::OwnClient;
use crate::producer::{ProducerHandle, SharedProducer};
use crate::quiet::QuietLog;
use crate::reachability::Reachability;
use crate::retention::Retention;
use crate::topics::AdminContext;

/// What every client has unless the worker or the connector says otherwise. librdkafka waits for a
/// broker that is silent for a minute, and half a minute for one that does not take a connection: all
/// that it leads would stand still for as long.
const DEFAULTS: [(&str, &str); 3] = [
    ("client.id", "tidegate"),
    ("socket.timeout.ms", "15000"),
    ("socket.connection.setup.timeout.ms", "5000"),
];

/// What went wrong with Kafka.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// Settings.
    #[error("{place} settings: {source}")]
    Settings {
        /// `consumer.override`, `worker` ...
        place: String,
        /// What is wrong.
        source: ClientConfigError,
    },
    /// A client could not be made.
    #[error("create a Kafka {client}: {reason}")]
    Client {
        /// Which.
        client: &'static str,
        /// librdkafka's words.
        reason: String,
    },
    /// A topic could not be created or found.
    #[error("create topic {topic}: {reason}")]
    Topic {
        /// Which.
        topic: String,
        /// Kafka's words.
        reason: String,
    },
    /// A topic of the cluster of workers cannot be used as it is.
    #[error("{0}")]
    InternalTopic(String),
    /// Nobody answers.
    #[error("no answer from Kafka at {bootstrap_servers} within {seconds} s: {reason}")]
    Unreachable {
        /// Who was asked.
        bootstrap_servers: String,
        /// How long.
        seconds: u64,
        /// librdkafka's words.
        reason: String,
    },
    /// Kafka turns the worker away, and waiting does not help.
    #[error("{reason}; {remedy}")]
    Refused {
        /// What it says, with the key.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Somebody's transaction stays open, and what is committed behind it cannot be read.
    #[error(
        "a transaction in topic {topic}, partition {partition}, is open since offset {offset} and did not end \
         within {seconds} s; what is behind it is not readable. If its producer is no more, it hangs until it is \
         aborted: kafka-transactions.sh --bootstrap-server {bootstrap_servers} abort --topic {topic} --partition \
         {partition} --start-offset {offset} (before, describe-producers --topic {topic} --partition {partition} \
         in place of abort and what follows names its producer id)"
    )]
    OpenTransaction {
        /// Where.
        topic: String,
        /// Where.
        partition: i32,
        /// Its first record: the last stable offset.
        offset: i64,
        /// How long it was waited for.
        seconds: u64,
        /// For the command.
        bootstrap_servers: String,
    },
    /// Offsets were not committed: this consumer does not own the partitions any more, or the
    /// broker cannot be reached.
    #[error("commit offsets: {0}")]
    Commit(String),
    /// A record of a state topic is not acked.
    #[error("write to topic {topic}: {reason}")]
    Write {
        /// Which.
        topic: String,
        /// librdkafka's words.
        reason: String,
    },
    /// Offsets of a group could not be set from outside.
    #[error("change the offsets of the group: {0}")]
    GroupOffsets(String),
    /// A transactional id could not be taken from whoever has it.
    #[error("shut out the owner of a transactional id: {0}")]
    Fence(String),
    /// The embedded cluster.
    #[error("run the embedded Kafka: {0}")]
    Embedded(String),
}

/// Client settings in Java's words, as the worker's configuration has them.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// For all clients: `bootstrap.servers`, `security.protocol`, `ssl.*`, `sasl.*`.
    pub common: ConfigMap,
    /// `producer.*` without the prefix.
    pub producer: ConfigMap,
    /// `consumer.*` without the prefix.
    pub consumer: ConfigMap,
    /// `admin.*` without the prefix.
    pub admin: ConfigMap,
    /// What all consumers of the worker together may hold fetched.
    pub fetch_budget_bytes: u64,
    /// Set in `tidegate dev`.
    pub embedded: Option<EmbeddedKafka>,
}

/// One Kafka cluster. Cheap to clone.
#[derive(Clone)]
pub struct Kafka(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: KafkaSettings,
    pub(crate) retention: Option<Arc<Retention>>,
    /// How many consumers share the fetch budget.
    pub(crate) consumers: AtomicU64,
    producers: Mutex<HashMap<BTreeMap<String, String>, Weak<SharedProducer>>>,
    pub(crate) admin: Mutex<Option<Arc<AdminClient<AdminContext>>>>,
    pub(crate) own_client: Mutex<Option<Arc<OwnClient>>>,
}

impl Kafka {
    /// Checks the settings; connects to nobody. Answers the keys that have no meaning here too.
    ///
    /// # Errors
    /// [`KafkaError::Settings`].
    pub fn new(settings: KafkaSettings) -> Result<(Self, Vec<String>), KafkaError> {
        let retention = settings.embedded.is_some().then(Arc::default);
        let kafka = Self(Arc::new(Inner {
            settings,
            retention,
            consumers: AtomicU64::new(0),
            producers: Mutex::default(),
            admin: Mutex::default(),
            own_client: Mutex::default(),
        }));
        let mut ignored = Vec::new();
        for kind in [
            ClientKind::Admin,
            ClientKind::Producer,
            ClientKind::Consumer,
        ] {
            ignored.extend(kafka.client_config(kind, &ConfigMap::new())?.1);
        }
        ignored.sort();
        ignored.dedup();
        Ok((kafka, ignored))
    }

    /// Checks the overrides of a connector.
    ///
    /// # Errors
    /// [`KafkaError::Settings`] names the key.
    pub fn check_overrides(
        &self,
        kind: ClientKind,
        overrides: &ConfigMap,
    ) -> Result<(), KafkaError> {
        self.client_config(kind, overrides).map(|_| ())
    }

    /// librdkafka's settings of a client: the worker's, then the connector's.
    pub(crate) fn client_config(
        &self,
        kind: ClientKind,
        overrides: &ConfigMap,
    ) -> Result<(BTreeMap<String, String>, Vec<String>), KafkaError> {
        let settings = &self.0.settings;
        let place = match kind {
            ClientKind::Producer => "producer.override",
            ClientKind::Consumer => "consumer.override",
            ClientKind::Admin => "admin",
        };
        let mut java = settings.common.clone();
        java.extend(self.own(kind).clone());
        java.extend(overrides.clone());
        let place = if overrides.is_empty() {
            "worker"
        } else {
            place
        };
        let translated = check_overrides(overrides)
            .and_then(|()| translate(&java, kind))
            .and_then(|translated| client_checks::check(&java).map(|()| translated))
            .map_err(|source| KafkaError::Settings {
                place: place.to_owned(),
                source,
            })?;
        let mut all = translated.settings;
        if let Some(embedded) = &settings.embedded {
            all.insert(
                "bootstrap.servers".to_owned(),
                embedded.bootstrap_servers().to_owned(),
            );
        }
        client_config(&all)
            .create_native_config()
            .map_err(|e| KafkaError::Settings {
                place: place.to_owned(),
                source: ClientConfigError::Client(e.to_string()),
            })?;
        for (key, value) in DEFAULTS {
            let default = || value.to_owned();
            all.entry(key.to_owned()).or_insert_with(default);
        }
        Ok((all, translated.ignored))
    }

    /// A key of such a client as the user names it.
    pub fn key_name(&self, kind: ClientKind, overrides: &ConfigMap, key: &str) -> String {
        self.key_names(kind, overrides).name(key)
    }

    /// How the user names the keys of such a client.
    pub(crate) fn key_names(&self, kind: ClientKind, overrides: &ConfigMap) -> KeyNames {
        KeyNames::new(kind, overrides, self.own(kind), &self.0.settings.common)
    }

    fn own(&self, kind: ClientKind) -> &ConfigMap {
        let settings = &self.0.settings;
        match kind {
            ClientKind::Producer => &settings.producer,
            ClientKind::Consumer => &settings.consumer,
            ClientKind::Admin => &settings.admin,
        }
    }

    /// A producer with these overrides, shared with every task that has the same.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong.
    pub fn producer(&self, overrides: &ConfigMap) -> Result<ProducerHandle, KafkaError> {
        self.producer_with(overrides, Batching::Wide)
    }

    /// The same, with other batches.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong.
    pub fn producer_with(
        &self,
        overrides: &ConfigMap,
        batching: Batching,
    ) -> Result<ProducerHandle, KafkaError> {
        let (mut settings, _) = self.client_config(ClientKind::Producer, overrides)?;
        batching.apply(&mut settings);
        let mut producers = self
            .0
            .producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let usable = producers.get(&settings).and_then(Weak::upgrade);
        // A producer with a fatal error stays so: its tasks come here again for a new one.
        if let Some(producer) = usable.filter(|producer| !producer.is_fatal()) {
            return Ok(ProducerHandle(producer));
        }
        producers.retain(|_, producer| producer.strong_count() > 0);
        let names = self.key_names(ClientKind::Producer, overrides);
        let producer = Arc::new(SharedProducer::new(
            &settings,
            batching,
            self.0.retention.clone(),
            QuietLog::new("producer that tasks share", Reachability::new(names)),
        )?);
        producers.insert(settings, Arc::downgrade(&producer));
        Ok(ProducerHandle(producer))
    }

    /// The topic whose unread records come near what the embedded cluster keeps, if one does: a
    /// source has to wait. Never with a real Kafka.
    pub fn must_hold(&self, topics: &[String]) -> Option<String> {
        self.0.retention.as_ref()?.full(topics)
    }

    /// The id of the cluster. Blocks up to `timeout`.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`].
    pub fn cluster_id(&self, timeout: Duration) -> Result<String, KafkaError> {
        let (settings, _) = self.client_config(ClientKind::Admin, &ConfigMap::new())?;
        let bootstrap_servers = settings
            .get("bootstrap.servers")
            .cloned()
            .unwrap_or_default();
        let client: BaseConsumer =
            client_config(&settings)
                .create()
                .map_err(|e| KafkaError::Client {
                    client: "client",
                    reason: e.to_string(),
                })?;
        let unreachable = |reason: String| KafkaError::Unreachable {
            bootstrap_servers: bootstrap_servers.clone(),
            seconds: timeout.as_secs(),
            reason,
        };
        // Metadata first: it comes with an error where the cluster id is only absent.
        client
            .fetch_metadata(None, timeout)
            .map_err(|e| unreachable(e.to_string()))?;
        client
            .client()
            .fetch_cluster_id(timeout)
            .ok_or_else(|| unreachable("it tells no cluster id".to_owned()))
    }

    /// What one consumer may hold fetched: an equal share, but never less than one large record.
    pub(crate) fn fetch_share_bytes(&self) -> u64 {
        const LEAST_BYTES: u64 = 1 << 20;
        let consumers = self.0.consumers.load(Ordering::Relaxed).max(1);
        (self.0.settings.fetch_budget_bytes / consumers).max(LEAST_BYTES)
    }
}

pub(crate) fn client_config(settings: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in settings {
        config.set(key, value);
    }
    config
}
