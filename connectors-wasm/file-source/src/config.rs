//! The configuration.

use tidegate_sdk::prelude::*;

/// Keys of Kafka's FileStreamSource, and the key that `plan` hands files to tasks with.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The file to read. A comma separated list, or a name with `*`, `?` or `[...]`, reads several.
    #[config(importance = "high")]
    pub file: Vec<String>,
    /// The topic to write lines to.
    #[config(importance = "high")]
    pub topic: String,
    /// Lines in one batch at most.
    #[config(default = 2000, min = 1, importance = "low")]
    pub batch_size: usize,
    /// A line longer than this is a record that cannot be handled, instead of filling the memory.
    #[config(default = 16_777_216, min = 1024, importance = "low")]
    pub line_max_bytes: usize,
    /// Which files the rotation of `file` leaves, as a name with `*`, `?` or `[...]`, to finish those
    /// that were not read to their end. Without it: files in the same directory with the usual names,
    /// such as app.log.1 and app-2026-01-31.log for app.log.
    #[config(importance = "low")]
    pub rotated_files: Option<String>,
    /// The files of one task, as a JSON array.
    #[config(internal)]
    pub task_files: Option<String>,
}

impl Config {
    /// The files of this task.
    pub fn files(&self) -> Result<Vec<String>> {
        match &self.task_files {
            Some(files) => serde_json::from_str(files).or_fail("read task.files"),
            None => Ok(self.file.clone()),
        }
    }
}
