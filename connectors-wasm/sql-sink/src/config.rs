//! The configuration, in the words of the common JDBC sinks.

use tidegate_sdk::Password;
use tidegate_sdk::config::HostHeld;
use tidegate_sdk::prelude::*;

/// The key whose value declares or names the connection; the sink opens it by this name.
pub const CONNECTION: &str = "connection.url";

/// The class of Debezium's sink.
pub const DEBEZIUM: &str = "io.debezium.connector.jdbc.JdbcSinkConnector";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigChoice)]
pub enum InsertMode {
    /// Every record is a new row.
    Insert,
    /// A record replaces the row of its key, or is a new one.
    Upsert,
    /// A record changes the row of its key.
    Update,
    /// A record deletes the row of its key.
    Delete,
}

/// What identifies a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigChoice)]
pub enum PkMode {
    /// Nothing.
    None,
    /// Where the record lies in Kafka.
    Kafka,
    /// The record's key, or fields of it.
    #[config(name = "record_key")]
    RecordKey,
    /// Fields of the record's value.
    #[config(name = "record_value")]
    RecordValue,
}

/// Debezium's word for what tables may change by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ConfigChoice)]
pub enum SchemaEvolution {
    /// They do not.
    None,
    /// They are created and get columns.
    Basic,
}

/// Keys of the common JDBC sinks: Confluent's and Aiven's, and where they mean the same,
/// Debezium's.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The database: jdbc:postgresql://HOST[:PORT]/DATABASE or jdbc:sqlite:PATH. It keeps the
    /// consumed offsets too.
    #[config(importance = "high", group = "Connection", display_name = "JDBC URL")]
    pub connection_url: HostHeld,
    /// Who to log in as.
    #[config(
        aliases = ["connection.username"],
        importance = "high",
        group = "Connection",
        display_name = "User",
        dependents = ["connection.password"]
    )]
    pub connection_user: Option<HostHeld>,
    /// The password to log in with.
    #[config(importance = "high", group = "Connection", display_name = "Password")]
    pub connection_password: Option<Password>,
    /// Certificate authorities that may vouch for the server instead of the well-known ones, as
    /// PEM text.
    #[config(
        importance = "medium",
        group = "Connection",
        display_name = "Trusted certificates"
    )]
    pub connection_ssl_truststore_certificates: Option<HostHeld>,

    /// How rows are written: insert makes every record a new row; upsert replaces the row of the
    /// same identity or makes a new one; update changes it; delete deletes it. All but insert need
    /// pk.mode.
    #[config(
        default = "insert",
        importance = "high",
        group = "Writes",
        dependents = ["pk.mode"]
    )]
    pub insert_mode: InsertMode,
    /// Whether records whose value is null delete the row of their key. Needs pk.mode=record_key.
    #[config(default = false, group = "Writes", dependents = ["pk.mode"])]
    pub delete_enabled: bool,
    /// Records in one statement at most.
    #[config(default = 3000, min = 1, group = "Writes")]
    pub batch_size: usize,

    /// The table to write to, perhaps with its schema before a dot. `${topic}` stands for the topic
    /// of the record.
    #[config(
        default = "${topic}",
        aliases = ["collection.name.format"],
        group = "Data mapping",
        display_name = "Table name"
    )]
    pub table_name_format: String,
    /// What identifies a row: none; kafka: topic, partition and offset; record_key: the key, or
    /// fields of it; record_value: fields of the value. It is the primary key of tables that are
    /// created.
    #[config(
        default = "none",
        aliases = ["primary.key.mode"],
        importance = "high",
        group = "Data mapping",
        display_name = "Primary key mode",
        dependents = ["pk.fields"]
    )]
    pub pk_mode: PkMode,
    /// The columns that identify a row. With record_key and record_value: fields, all if empty; the
    /// name of one column for a key without fields. With kafka: three names instead of
    /// __connect_topic, __connect_partition and __connect_offset.
    #[config(
        default = "",
        aliases = ["primary.key.fields"],
        group = "Data mapping",
        display_name = "Primary key fields"
    )]
    pub pk_fields: Vec<String>,
    /// The fields of the value to write besides those that identify a row, all if empty. A path such
    /// as address.city takes a field of a field; its column is address_city.
    #[config(
        default = "",
        aliases = ["field.include.list"],
        group = "Data mapping",
        display_name = "Fields"
    )]
    pub fields_whitelist: Vec<String>,

    /// Whether a table that does not exist is created, from the fields of the first records.
    #[config(default = false, group = "DDL support")]
    pub auto_create: bool,
    /// Whether columns that a table lacks are added. They take NULL, as older rows have no value.
    #[config(default = false, group = "DDL support")]
    pub auto_evolve: bool,
    /// Debezium's word for both: none is auto.create=false and auto.evolve=false, basic is both true.
    #[config(importance = "low", group = "DDL support")]
    pub schema_evolution: Option<SchemaEvolution>,

    /// How often in a row a write is tried again that may yet succeed, before the task fails.
    #[config(
        default = 10,
        aliases = ["flush.max.retries"],
        group = "Retries",
        display_name = "Retries"
    )]
    pub max_retries: u32,
    /// Milliseconds between two tries.
    #[config(
        key = "retry.backoff.ms",
        default = 3000,
        min = 0,
        aliases = ["flush.retry.delay.ms"],
        group = "Retries",
        display_name = "Pause between retries (ms)"
    )]
    pub retry_backoff: Duration,

    /// What was written for auto.create, if anything was: the default contradicts nothing.
    #[config(internal, key = "auto.create")]
    pub auto_create_given: Option<bool>,
    /// What was written for auto.evolve.
    #[config(internal, key = "auto.evolve")]
    pub auto_evolve_given: Option<bool>,

    /// As which sink this one was asked for.
    #[config(internal, key = "connector.class")]
    pub class: Option<String>,

    /// Would change where rows go, and is not obeyed here.
    #[config(internal, key = "topics.to.tables.mapping")]
    pub topics_to_tables: Option<String>,
    /// Would change names, and is not obeyed here.
    #[config(internal, key = "quote.sql.identifiers")]
    pub quoting: Option<String>,
    /// Would change times, and is not obeyed here.
    #[config(internal, key = "db.timezone")]
    pub time_zone: Option<String>,
}

impl Config {
    /// The table for the records of a topic. Debezium's sink has no points in it.
    pub fn table(&self, topic: &str) -> String {
        let is_debezium = self.class.as_deref() == Some(DEBEZIUM);
        let topic = match is_debezium && topic.contains('.') {
            true => topic.replace('.', "_"),
            false => topic.to_owned(),
        };
        self.table_name_format.replace("${topic}", &topic)
    }

    /// The contract's word for how to write.
    pub fn mode(&self) -> &'static str {
        match self.insert_mode {
            InsertMode::Insert => "insert",
            InsertMode::Upsert => "upsert",
            InsertMode::Update => "update",
            InsertMode::Delete => "delete",
        }
    }

    /// Whether all that records do is delete.
    pub fn only_deletes(&self) -> bool {
        self.insert_mode == InsertMode::Delete
    }

    /// Whether a record without a value can be handled: it deletes.
    pub fn takes_tombstones(&self) -> bool {
        let by_key = self.pk_mode == PkMode::RecordKey;
        by_key && (self.delete_enabled || self.insert_mode == InsertMode::Delete)
    }

    /// Whether tables are created.
    pub fn creates(&self) -> bool {
        self.auto_create || self.schema_evolution == Some(SchemaEvolution::Basic)
    }

    /// Whether tables get columns.
    pub fn evolves(&self) -> bool {
        self.auto_evolve || self.schema_evolution == Some(SchemaEvolution::Basic)
    }
}
