//! Reads text files line by line and follows them while they grow.
//!
//! It takes over the configuration and the offsets of Kafka's FileStreamSource, and reads
//! several files or a glob beside.

mod config;
mod glob;
mod identity;
mod lines;
mod plan;
mod tail;
mod task;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use task::FileSource;

tidegate_sdk::export_source!(FileSource);
