//! Appends records to a text file, one a line.

use std::fs::{File, OpenOptions};
use std::io::Write;

use tidegate_sdk::prelude::*;

/// Keys of Kafka's FileStreamSink.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The file to append to; it is created if it does not exist.
    #[config(importance = "high")]
    pub file: String,
}

/// One task: the open file.
#[derive(Debug)]
pub struct FileSink {
    path: String,
    file: File,
}

impl Connector for FileSink {
    type Config = Config;

    fn describe() -> Description {
        Description::new("file-sink", env!("CARGO_PKG_VERSION"))
            .documentation("Appends each record's value to a text file, one a line.")
            .alias("FileStreamSink")
            .alias("FileStreamSinkConnector")
            .alias("org.apache.kafka.connect.file.FileStreamSinkConnector")
            .writes_files("file")
    }
}

impl SinkTask for FileSink {
    fn start(config: Config, _: &TaskContext) -> Result<Self> {
        let path = config.file;
        let file = OpenOptions::new().append(true).create(true).open(&path);
        Ok(Self {
            file: file.or_fail(format!("open {path}"))?,
            path,
        })
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let rows = batch.values_raw()?;
        let mut text = Vec::with_capacity(rows.value_bytes() + 5 * rows.len());
        for value in rows.values() {
            text.extend_from_slice(value.unwrap_or(b"null"));
            text.push(b'\n');
        }
        self.file
            .write_all(&text)
            .or_fail(format!("write {}", self.path))?;
        Ok(Vec::new())
    }

    fn flush(&mut self, accepted: &[NextOffset]) -> Result<Flushed> {
        self.file
            .sync_data()
            .or_fail(format!("sync {}", self.path))?;
        Ok(Flushed::all(accepted))
    }
}

tidegate_sdk::export_sink!(FileSink);
