//! Appends records to a text file, one a line.
//!
//! It takes over the configuration of Kafka's FileStreamSink. One file has one writer, so there
//! is one task whatever `tasks.max` says.

mod appender;
mod target;
mod task;
#[cfg(test)]
mod tests;

pub use task::{Config, FileSink};

tidegate_sdk::export_sink!(FileSink);
