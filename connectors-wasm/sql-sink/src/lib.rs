//! Writes records into tables of a database that the host holds.
//!
//! Rows never pass through this guest: it says which part of a record goes to which column, and the
//! host writes them in one transaction with the consumed offsets.

mod classes;
mod config;
mod dialect;
mod issues;
mod kinds;
mod mapping;
mod node;
mod retries;
mod selection;
mod shapes;
mod structure;
mod tables;
mod task;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use task::SqlSink;

tidegate_sdk::export_sink!(SqlSink);
