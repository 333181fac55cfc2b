//! The traits that sled, memory and Kafka's topics implement.

use std::pin::Pin;

use tidegate_model::config_log::{ConfigRecord, PluginEntry};
use tidegate_model::offset::{SourceOffset, SourcePartition};

/// Why state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage itself.
    #[error("{action}: {reason}")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// The storage's words.
        reason: String,
    },
    /// What is stored cannot be understood; it was written by something else, or is damaged.
    #[error("read {what} from the state store: {reason}; restore the state directory from a copy")]
    Damaged {
        /// What.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The answer of a store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Source partitions and their offsets.
pub type Positions = Vec<(SourcePartition, SourceOffset)>;

/// The config log of a worker that is alone. Whatever `append` answered with success survives the
/// process (D9).
pub trait ConfigLog: Send + Sync {
    /// Appends records to the config log, all or none; answers the place of each.
    fn append(&self, records: Vec<ConfigRecord>) -> StoreFuture<'_, Vec<u64>>;

    /// The config log in order, compacted: of records with the same key, the last.
    fn read_log(&self) -> StoreFuture<'_, Vec<(u64, ConfigRecord)>>;
}

/// What a worker keeps beside the log. Whatever a call answered with success survives the process.
pub trait StateStore: Send + Sync {
    /// The committed positions of a source connector. In a cluster those that its own topic
    /// (`offsets.storage.topic`) has win over those of the workers' topic.
    fn offsets(&self, connector: &str, own_topic: Option<&str>) -> StoreFuture<'_, Positions>;

    /// The same for a plan, which can do with what was committed a moment ago: it does not wait long
    /// for a transaction that a worker left open. Only the next plan may lead to that one's end.
    fn recent_offsets(
        &self,
        connector: &str,
        own_topic: Option<&str>,
    ) -> StoreFuture<'_, Positions> {
        self.offsets(connector, own_topic)
    }

    /// Commits positions of a source connector, all or none.
    fn commit_offsets(
        &self,
        connector: &str,
        own_topic: Option<&str>,
        positions: Positions,
    ) -> StoreFuture<'_, ()>;

    /// Whether the store still takes what is written to it.
    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Stores the bytes of a plugin; answers where, for its entry in the log.
    fn put_component(&self, digest: &str, component: Vec<u8>) -> StoreFuture<'_, Vec<i64>>;

    /// Forgets the bytes of a plugin.
    fn delete_component(&self, entry: &PluginEntry) -> StoreFuture<'_, ()>;

    /// The bytes of a plugin.
    fn component(&self, entry: &PluginEntry) -> StoreFuture<'_, Option<Vec<u8>>>;
}
