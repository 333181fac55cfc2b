//! Source offsets and plugins of a cluster, in Kafka topics.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_kafka::{Kafka, KafkaError, Lease, StateProducer};
use tidegate_model::config_log::PluginEntry;

use crate::admission::internal;
use crate::offset_table::OffsetTable;
use crate::plugin_topic;
use crate::settings::{ClusterSettings, StateTopic};
use crate::store::{Positions, StateStore, StoreError, StoreFuture};

/// The store of a cluster's worker.
pub(crate) struct KafkaStore {
    kafka: Kafka,
    producer: StateProducer,
    lease: Lease,
    offsets: Arc<OffsetTable>,
    /// As the workers' topic is, so are those of connectors (`offsets.storage.topic`).
    offsets_topic: StateTopic,
    /// Opened when one is first used.
    own_offsets: Mutex<HashMap<String, Arc<OffsetTable>>>,
    plugins_topic: String,
    /// Plugins by digest, so that a start need not fetch them again.
    components: PathBuf,
}

impl KafkaStore {
    pub(crate) fn open(
        kafka: &Kafka,
        producer: StateProducer,
        lease: Lease,
        settings: &ClusterSettings,
    ) -> Result<Self, KafkaError> {
        let offsets_topic = settings.offsets_topic.clone();
        Ok(Self {
            kafka: kafka.clone(),
            producer,
            lease,
            offsets: Arc::new(OffsetTable::open(kafka, &offsets_topic.name)?),
            offsets_topic,
            own_offsets: Mutex::default(),
            plugins_topic: settings.plugins_topic.name.clone(),
            components: settings.component_directory.clone(),
        })
    }

    async fn table(&self, own_topic: Option<&str>) -> Result<Arc<OffsetTable>, KafkaError> {
        let Some(topic) = own_topic else {
            return Ok(Arc::clone(&self.offsets));
        };
        if let Some(table) = self.own_tables().get(topic) {
            return Ok(Arc::clone(table));
        }
        let spec = StateTopic {
            property: "offsets.storage.topic",
            name: topic.to_owned(),
            ..self.offsets_topic.clone()
        };
        let spec = internal(&spec, "source connector offsets", true);
        self.kafka.ensure_internal_topic(&spec).await?;
        let opened = Arc::new(OffsetTable::open(&self.kafka, topic)?);
        let mut tables = self.own_tables();
        Ok(Arc::clone(tables.entry(topic.to_owned()).or_insert(opened)))
    }

    fn own_tables(&self) -> MutexGuard<'_, HashMap<String, Arc<OffsetTable>>> {
        self.own_offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_offsets(
        &self,
        connector: &str,
        own_topic: Option<&str>,
        recent: bool,
    ) -> Result<Positions, KafkaError> {
        let read = async |table: &OffsetTable| {
            if recent {
                table.read_recent(connector).await
            } else {
                table.read(connector).await
            }
        };
        let mut found = read(&self.offsets).await?;
        if own_topic.is_some() {
            let table = self.table(own_topic).await?;
            let own = read(&table).await?;
            found.retain(|(partition, _)| !own.iter().any(|(p, _)| p == partition));
            found.extend(own);
        }
        Ok(found)
    }

    async fn fetch_component(&self, entry: &PluginEntry) -> Result<Option<Vec<u8>>, KafkaError> {
        let digest = &entry.info.digest;
        let path = self.components.join(format!("{digest}.wasm"));
        if let Ok(bytes) = tokio::fs::read(&path).await
            && plugin_topic::is_digest(digest, &bytes)
        {
            return Ok(Some(bytes));
        }
        let found =
            plugin_topic::read(&self.kafka, &self.plugins_topic, digest, &entry.offsets).await?;
        if let Some(bytes) = &found {
            // Without the copy the next start fetches it again.
            let partial = path.with_extension("partial");
            if tokio::fs::write(&partial, bytes).await.is_ok() {
                let _ = tokio::fs::rename(&partial, &path).await;
            }
        }
        Ok(found)
    }
}

fn failed(action: &'static str) -> impl Fn(KafkaError) -> StoreError {
    move |error| StoreError::Storage {
        action,
        reason: error.to_string(),
    }
}

impl StateStore for KafkaStore {
    fn offsets(&self, connector: &str, own_topic: Option<&str>) -> StoreFuture<'_, Positions> {
        let (connector, own_topic) = (connector.to_owned(), own_topic.map(str::to_owned));
        Box::pin(async move {
            let read = self.read_offsets(&connector, own_topic.as_deref(), false);
            read.await.map_err(failed("read source offsets"))
        })
    }

    fn recent_offsets(
        &self,
        connector: &str,
        own_topic: Option<&str>,
    ) -> StoreFuture<'_, Positions> {
        let (connector, own_topic) = (connector.to_owned(), own_topic.map(str::to_owned));
        Box::pin(async move {
            let read = self.read_offsets(&connector, own_topic.as_deref(), true);
            read.await.map_err(failed("read source offsets"))
        })
    }

    fn commit_offsets(
        &self,
        connector: &str,
        own_topic: Option<&str>,
        positions: Positions,
    ) -> StoreFuture<'_, ()> {
        const ACTION: &str = "commit source offsets";
        let (connector, own_topic) = (connector.to_owned(), own_topic.map(str::to_owned));
        Box::pin(async move {
            let table = self.table(own_topic.as_deref()).await;
            let table = table.map_err(failed(ACTION))?;
            if !self.lease.is_valid() {
                // Whoever has the shard now may be further already (D4).
                return Err(StoreError::Storage {
                    action: ACTION,
                    reason: "the worker's lease has lapsed".to_owned(),
                });
            }
            let writes = table.writes(&connector, &positions);
            let written = self.producer.write(writes).await;
            written.map(drop).map_err(failed(ACTION))
        })
    }

    fn put_component(&self, digest: &str, component: Vec<u8>) -> StoreFuture<'_, Vec<i64>> {
        let digest = digest.to_owned();
        Box::pin(async move {
            let topic = &self.plugins_topic;
            let written = plugin_topic::write(&self.producer, topic, &digest, &component).await;
            written.map_err(failed("store the plugin"))
        })
    }

    fn delete_component(&self, entry: &PluginEntry) -> StoreFuture<'_, ()> {
        let entry = entry.clone();
        Box::pin(async move {
            let digest = &entry.info.digest;
            let _ = tokio::fs::remove_file(self.components.join(format!("{digest}.wasm"))).await;
            let topic = &self.plugins_topic;
            let pieces = entry.offsets.len();
            let deleted = plugin_topic::delete(&self.producer, topic, digest, pieces).await;
            deleted.map_err(failed("delete the plugin"))
        })
    }

    fn component(&self, entry: &PluginEntry) -> StoreFuture<'_, Option<Vec<u8>>> {
        let entry = entry.clone();
        Box::pin(async move {
            let fetched = self.fetch_component(&entry).await;
            fetched.map_err(failed("read the component"))
        })
    }
}
