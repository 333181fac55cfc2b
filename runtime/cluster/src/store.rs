//! The trait that sled, memory and later Kafka's topics implement.

use std::pin::Pin;

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::offset::{SourceOffset, SourcePartition};
use tidegate_model::plugin::PluginInfo;

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

/// What a worker keeps. Whatever a call answered with success survives the process (D9).
pub trait StateStore: Send + Sync {
    /// Appends records to the config log, all or none; answers the place of each.
    fn append(&self, records: Vec<ConfigRecord>) -> StoreFuture<'_, Vec<u64>>;

    /// The config log in order, compacted: of records with the same key, the last.
    fn read_log(&self) -> StoreFuture<'_, Vec<(u64, ConfigRecord)>>;

    /// The committed positions of a source connector.
    fn offsets(&self, connector: &str) -> StoreFuture<'_, Positions>;

    /// Commits positions of a source connector, all or none.
    fn commit_offsets(&self, connector: &str, positions: Positions) -> StoreFuture<'_, ()>;

    /// Stores a plugin: what it says of itself, and its bytes.
    fn put_plugin(&self, info: PluginInfo, component: Vec<u8>) -> StoreFuture<'_, ()>;

    /// Forgets a plugin.
    fn delete_plugin(&self, digest: &str) -> StoreFuture<'_, ()>;

    /// All plugins.
    fn plugins(&self) -> StoreFuture<'_, Vec<PluginInfo>>;

    /// The bytes of a plugin.
    fn component(&self, digest: &str) -> StoreFuture<'_, Option<Vec<u8>>>;
}
