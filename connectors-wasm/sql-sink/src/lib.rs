//! Inserts records into tables of a database that the host holds.
//!
//! Rows never pass through this guest: it says which field goes to which column, and the host
//! writes them in one transaction with the consumed offsets.

mod config;
mod mapping;
mod task;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use task::SqlSink;

tidegate_sdk::export_sink!(SqlSink);
