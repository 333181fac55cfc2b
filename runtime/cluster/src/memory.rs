//! State that does not survive: for tests of what is built on a store.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tidegate_model::config_log::{ConfigRecord, PluginEntry};
use tidegate_model::offset::{SourceOffset, SourcePartition};

use crate::store::{ConfigLog, Positions, StateStore, StoreFuture};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    place: u64,
    log: BTreeMap<String, (u64, ConfigRecord)>,
    offsets: BTreeMap<(String, SourcePartition), SourceOffset>,
    components: BTreeMap<String, Vec<u8>>,
}

impl MemoryStore {
    fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Tables) -> T) -> StoreFuture<'_, T> {
        let answer = work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move { Ok(answer) })
    }
}

impl ConfigLog for MemoryStore {
    fn append(&self, records: Vec<ConfigRecord>) -> StoreFuture<'_, Vec<u64>> {
        self.with(|tables| {
            let mut places = Vec::new();
            for record in records {
                tables.place += 1;
                places.push(tables.place);
                tables.log.insert(record.key(), (tables.place, record));
            }
            places
        })
    }

    fn read_log(&self) -> StoreFuture<'_, Vec<(u64, ConfigRecord)>> {
        self.with(|tables| {
            let mut log: Vec<_> = tables.log.values().cloned().collect();
            log.sort_by_key(|(place, _)| *place);
            log
        })
    }
}

impl StateStore for MemoryStore {
    fn offsets(&self, connector: &str, _: Option<&str>) -> StoreFuture<'_, Positions> {
        self.with(|tables| {
            let own = tables
                .offsets
                .iter()
                .filter(|((name, _), _)| name == connector);
            own.map(|((_, partition), offset)| (partition.clone(), offset.clone()))
                .collect()
        })
    }

    fn commit_offsets(
        &self,
        connector: &str,
        _: Option<&str>,
        positions: Positions,
    ) -> StoreFuture<'_, ()> {
        self.with(|tables| {
            for (partition, offset) in positions {
                tables
                    .offsets
                    .insert((connector.to_owned(), partition), offset);
            }
        })
    }

    fn put_component(&self, digest: &str, component: Vec<u8>) -> StoreFuture<'_, Vec<i64>> {
        self.with(|tables| {
            tables.components.insert(digest.to_owned(), component);
            Vec::new()
        })
    }

    fn delete_component(&self, entry: &PluginEntry) -> StoreFuture<'_, ()> {
        self.with(|tables| {
            tables.components.remove(&entry.info.digest);
        })
    }

    fn component(&self, entry: &PluginEntry) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.with(|tables| tables.components.get(&entry.info.digest).cloned())
    }
}
