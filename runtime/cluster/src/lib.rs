//! Where a worker keeps what has to survive it: the config log, source offsets and plugins, behind
//! one trait. Standalone keeps them in sled; memory is for tests; Kafka topics come with the
//! distributed worker.
#![forbid(unsafe_code)]

mod memory;
mod sled_store;
mod store;

pub use memory::MemoryStore;
pub use sled_store::SledStore;
pub use store::{Positions, StateStore, StoreError, StoreFuture};
