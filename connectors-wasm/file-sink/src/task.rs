//! The connector: what it says about itself, and the work of its task.

use tidegate_sdk::prelude::*;

use crate::appender::Appender;

/// How a null value is written, as in Kafka.
const NULL: &[u8] = b"null";

/// Keys of Kafka's FileStreamSink.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The file to append to. It is created if it does not exist.
    #[config(importance = "high")]
    pub file: String,
}

/// The one task.
#[derive(Debug)]
pub struct FileSink {
    appender: Appender,
}

impl Connector for FileSink {
    type Config = Config;

    fn describe() -> Description {
        Description::new("file-sink", env!("CARGO_PKG_VERSION"))
            .documentation("Appends the value of each record to a text file, one a line.")
            .alias("FileStreamSink")
            .alias("FileStreamSinkConnector")
            .alias("org.apache.kafka.connect.file.FileStreamSinkConnector")
            .writes_files("file")
    }
}

impl SinkTask for FileSink {
    fn start(config: Config, _: &TaskContext) -> Result<Self> {
        Ok(Self {
            appender: Appender::open(config.file)?,
        })
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let rows = batch.values_raw()?;
        let mut lines = Vec::with_capacity(rows.value_bytes() + rows.len() * (NULL.len() + 1));
        for value in rows.values() {
            lines.extend_from_slice(value.unwrap_or(NULL));
            lines.push(b'\n');
        }
        self.appender.append(&lines)?;
        Ok(Vec::new())
    }

    fn flush(&mut self, accepted: &[NextOffset]) -> Result<Flushed> {
        self.appender.sync()?;
        Ok(Flushed::all(accepted))
    }
}
