//! Reads text files line by line and follows them while they grow.
//!
//! It takes over the configuration and the offsets of Kafka's FileStreamSource, and reads
//! several files or a glob beside.

mod config;
mod contents;
mod glob;
mod identity;
mod late;
mod lines;
mod open;
mod place;
mod plan;
mod rotated;
mod search;
mod tail;
mod task;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use task::FileSource;

tidegate_sdk::export_source!(FileSource);
