//! The configuration, in the words of the common JDBC sink.

use tidegate_sdk::prelude::*;

/// The key whose value declares or names the connection; the sink opens it by this name.
pub const CONNECTION: &str = "connection.url";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigChoice)]
pub enum InsertMode {
    /// Every record is a new row.
    Insert,
}

/// Keys of the common JDBC sink.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The database: jdbc:sqlite:PATH.
    #[config(importance = "high", group = "Connection")]
    pub connection_url: String,
    /// The table to write to. `${topic}` stands for the topic of the record.
    #[config(default = "${topic}", group = "Data mapping")]
    pub table_name_format: String,
    /// The fields to write, all if empty.
    #[config(default = "", group = "Data mapping")]
    pub fields_whitelist: Vec<String>,
    /// How rows are written.
    #[config(default = "insert", importance = "high", group = "Writes")]
    pub insert_mode: InsertMode,
    /// Create a table that does not exist, from the fields of the first records.
    #[config(default = false, group = "DDL support")]
    pub auto_create: bool,
}

impl Config {
    /// The table for the records of a topic.
    pub fn table(&self, topic: &str) -> String {
        self.table_name_format.replace("${topic}", topic)
    }

    /// The dialect's word for how to write.
    pub fn mode(&self) -> &'static str {
        match self.insert_mode {
            InsertMode::Insert => "insert",
        }
    }
}
