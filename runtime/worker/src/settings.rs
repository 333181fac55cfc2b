//! The worker's configuration: Kafka Connect's `.properties` keys and our own, parsed once.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_kafka::{EmbeddedKafka, KafkaSettings};
use tidegate_model::config::{self, ConfigMap, with_prefix_removed};
use tidegate_sandbox::Limits;

use crate::cluster_settings;
use crate::protection;

/// What is wrong with the worker's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A key is missing.
    #[error("{key} is missing from the worker's configuration: {fix}")]
    Missing {
        /// The key.
        key: &'static str,
        /// What to write.
        fix: &'static str,
    },
    /// A value cannot be read.
    #[error("{key}={value} in the worker's configuration is not {wanted}")]
    Value {
        /// The key.
        key: String,
        /// What it says.
        value: String,
        /// What it should be.
        wanted: String,
    },
    /// The key that secrets are sealed with; its value is not repeated (D10).
    #[error("tidegate.secret.key in the worker's configuration: {reason}")]
    Secret {
        /// What is wrong.
        reason: String,
    },
    /// A key that protects something, and does not here.
    #[error(
        "{key} in the worker's configuration has no effect here, and what it protects would be open: {fix}"
    )]
    Unprotected {
        /// The key.
        key: String,
        /// What to do.
        fix: &'static str,
    },
    /// A key of ours that does not exist: ignoring it would leave a limit unset.
    #[error(
        "unknown key {key} in the worker's configuration; keys that begin with tidegate. are: {known}"
    )]
    Unknown {
        /// The key.
        key: String,
        /// Those there are.
        known: String,
    },
}

/// A worker's configuration, understood.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Addresses to listen on, `host:port`.
    pub listeners: Vec<String>,
    /// How the worker calls itself in statuses.
    pub worker_id: String,
    /// Where state lives.
    pub state_directory: PathBuf,
    /// Where compiled components live.
    pub cache_directory: PathBuf,
    /// Directories that connectors may be granted (parts of).
    pub directories: Vec<PathBuf>,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// Limits of every task.
    pub limits: Limits,
    /// The largest component that is taken.
    pub plugin_max_bytes: u64,
    /// How often offsets are committed.
    pub offset_flush_interval: Duration,
    /// How long tasks have to end.
    pub graceful_timeout: Duration,
    /// Bytes a source may have unacknowledged.
    pub source_in_flight_max_bytes: usize,
    /// Whether sources create topics (KIP-158).
    pub topic_creation: bool,
    /// Whether sources write with transactions where they can (KIP-618); in distributed mode only.
    pub exactly_once: bool,
    /// The whole configuration, for what connectors inherit (converters).
    pub raw: ConfigMap,
    /// Keys that mean nothing here.
    pub ignored: Vec<String>,
}

/// How a worker runs.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Alone, with a Kafka.
    Standalone,
    /// Alone, with a Kafka of its own in memory.
    Dev(EmbeddedKafka),
    /// One of many.
    Distributed,
}

/// Committing more often than this would be all that a task does.
const MIN_FLUSH_MS: u64 = 10;

/// Our own keys, with their defaults. `docs/worker-configuration.md` explains them.
const OWN_KEYS: [(&str, &str); 18] = [
    ("tidegate.state.directory", ""),
    ("tidegate.cache.directory", ""),
    ("tidegate.directories", ""),
    ("tidegate.fetch.memory.max.bytes", "33554432"),
    ("tidegate.plugin.max.bytes", "67108864"),
    ("tidegate.source.in.flight.max.bytes", "8388608"),
    ("tidegate.task.memory.max.bytes", "134217728"),
    ("tidegate.task.call.cpu.max.ms", "10000"),
    ("tidegate.task.call.timeout.ms", "60000"),
    ("tidegate.task.host.call.timeout.ms", "30000"),
    ("tidegate.task.transfer.max.bytes", "67108864"),
    ("tidegate.task.log.max.lines.per.second", "100"),
    ("tidegate.secret.key", ""),
    ("tidegate.shards", "256"),
    ("tidegate.shards.topic", ""),
    ("tidegate.plugins.topic", ""),
    ("tidegate.adopt", "false"),
    ("tidegate.rest.unsecured", "false"),
];

/// Connect's keys that are understood.
const CONNECT_KEYS: [&str; 8] = [
    "bootstrap.servers",
    "listeners",
    "key.converter",
    "value.converter",
    "offset.flush.interval.ms",
    "task.shutdown.graceful.timeout.ms",
    "topic.creation.enable",
    "client.id",
];

/// Connect's keys that are understood in distributed mode only.
const DISTRIBUTED_KEYS: [&str; 9] = [
    "group.id",
    "group.instance.id",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "rebalance.timeout.ms",
    "rest.advertised.host.name",
    "rest.advertised.port",
    "inter.worker.key.ttl.ms",
    "exactly.once.source.support",
];

const DISTRIBUTED_PREFIXES: [&str; 3] = ["config.storage.", "offset.storage.", "status.storage."];

const CLIENT_PREFIXES: [&str; 3] = ["security.", "ssl.", "sasl."];
const PREFIXES: [&str; 5] = [
    "producer.",
    "consumer.",
    "admin.",
    "key.converter.",
    "value.converter.",
];

impl WorkerSettings {
    /// Understands a worker's configuration; has no effects. What a cluster needs beyond it is in
    /// [`crate::cluster_settings`].
    ///
    /// # Errors
    /// [`SettingsError`] names the first key that is wrong.
    pub fn parse(raw: &ConfigMap, mode: Mode) -> Result<Self, SettingsError> {
        if let Some(key) = raw.keys().find(|key| {
            key.starts_with("tidegate.") && !OWN_KEYS.iter().any(|(known, _)| known == *key)
        }) {
            let known = OWN_KEYS.map(|(key, _)| key).join(", ");
            return Err(SettingsError::Unknown {
                key: key.clone(),
                known,
            });
        }
        protection::check(raw)?;
        let keys = Keys(raw);
        let distributed = matches!(mode, Mode::Distributed);
        let embedded = match mode {
            Mode::Dev(embedded) => Some(embedded),
            Mode::Standalone | Mode::Distributed => None,
        };
        if embedded.is_none() {
            keys.required("bootstrap.servers", "bootstrap.servers=localhost:9092")?;
        }
        let (state_directory, cache_directory) = directories(&keys, distributed)?;
        let listeners = listeners(raw.get("listeners").map_or("http://:8083", String::as_str))?;
        let limits = Limits {
            memory_bytes: keys
                .at_least("tidegate.task.memory.max.bytes", Limits::MIN_MEMORY_BYTES)?,
            call_cpu_ms: keys.number("tidegate.task.call.cpu.max.ms")?,
            call_wall_ms: keys.number("tidegate.task.call.timeout.ms")?,
            host_call_ms: keys.number("tidegate.task.host.call.timeout.ms")?,
            transfer_bytes: keys.at_least("tidegate.task.transfer.max.bytes", 1 << 20)?,
            log_lines_per_second: keys.number("tidegate.task.log.max.lines.per.second")?,
        };
        let client = |key: &String| {
            key == "bootstrap.servers"
                || key == "client.id"
                || CLIENT_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        };
        // A dead worker's partitions shall move with its tasks; and what a worker that lost its tasks
        // still has in its queues shall not outlive them for long.
        let session_ms = distributed.then(|| {
            let given = raw.get("session.timeout.ms").map(String::as_str);
            given.unwrap_or("10000").to_owned()
        });
        // As in cluster_settings: a rebalance waits for the slowest heartbeat.
        let heartbeat_ms = session_ms
            .as_ref()
            .and_then(|session| session.parse::<u64>().ok())
            .map_or(3_000, |session| (session / 20).max(1))
            .to_string();
        let with_defaults = |prefix: &str, defaults: &[(&str, &str)]| {
            let mut own = with_prefix_removed(raw, prefix);
            for (key, value) in defaults.iter().filter(|_| distributed) {
                let missing = || (*value).to_owned();
                own.entry((*key).to_owned()).or_insert_with(missing);
            }
            own
        };
        let session = session_ms.as_deref().unwrap_or_default();
        let member = [
            ("session.timeout.ms", session),
            ("heartbeat.interval.ms", heartbeat_ms.as_str()),
        ];
        let kafka = KafkaSettings {
            common: raw
                .iter()
                .filter(|(k, _)| client(k))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            producer: with_defaults("producer.", &[("delivery.timeout.ms", session)]),
            consumer: with_defaults("consumer.", &member),
            admin: with_prefix_removed(raw, "admin."),
            fetch_budget_bytes: keys.number("tidegate.fetch.memory.max.bytes")?,
            embedded,
        };
        let known = |key: &String| {
            let of_cluster = DISTRIBUTED_KEYS.contains(&key.as_str())
                || DISTRIBUTED_PREFIXES.iter().any(|p| key.starts_with(p));
            CONNECT_KEYS.contains(&key.as_str())
                || (distributed && of_cluster)
                || key.starts_with("tidegate.")
                || CLIENT_PREFIXES
                    .iter()
                    .chain(&PREFIXES)
                    .any(|prefix| key.starts_with(prefix))
        };
        let granted = raw
            .get("tidegate.directories")
            .map(|v| config::list(v))
            .unwrap_or_default();
        Ok(Self {
            worker_id: listeners.first().cloned().unwrap_or_default(),
            listeners,
            state_directory,
            cache_directory,
            directories: granted.into_iter().map(PathBuf::from).collect(),
            kafka,
            limits,
            plugin_max_bytes: keys.number("tidegate.plugin.max.bytes")?,
            offset_flush_interval: Duration::from_millis(
                keys.number_or::<u64>("offset.flush.interval.ms", "60000")?
                    .max(MIN_FLUSH_MS),
            ),
            graceful_timeout: Duration::from_millis(
                keys.number_or("task.shutdown.graceful.timeout.ms", "5000")?,
            ),
            source_in_flight_max_bytes: keys
                .at_least("tidegate.source.in.flight.max.bytes", 1 << 16)?,
            topic_creation: raw
                .get("topic.creation.enable")
                .and_then(|v| config::boolean(v))
                != Some(false),
            exactly_once: distributed && cluster_settings::exactly_once(&keys)?,
            raw: raw.clone(),
            ignored: raw.keys().filter(|key| !known(key)).cloned().collect(),
        })
    }
}

/// Where state and compiled plugins are. A worker of a cluster keeps its state in Kafka: only copies of
/// plugins are on its disk.
fn directories(keys: &Keys<'_>, distributed: bool) -> Result<(PathBuf, PathBuf), SettingsError> {
    let cache = keys.0.get("tidegate.cache.directory").map(|v| v.trim());
    let cache = cache.filter(|v| !v.is_empty()).map(PathBuf::from);
    if let (true, Some(cache)) = (distributed, &cache) {
        return Ok((cache.clone(), cache.clone()));
    }
    let (key, fix) = if distributed {
        (
            "tidegate.cache.directory",
            "tidegate.cache.directory=/var/cache/tidegate (copies of plugins are kept there)",
        )
    } else {
        (
            "tidegate.state.directory",
            "tidegate.state.directory=/var/lib/tidegate (connectors, offsets and plugins are kept there)",
        )
    };
    let state = match keys.required("tidegate.state.directory", fix) {
        Ok(state) => PathBuf::from(state),
        Err(_) => return Err(SettingsError::Missing { key, fix }),
    };
    let cache = cache.unwrap_or_else(|| state.join("compiled"));
    Ok((state, cache))
}

/// The keys of a configuration.
pub(crate) struct Keys<'a>(pub(crate) &'a ConfigMap);

impl Keys<'_> {
    pub(crate) fn required(
        &self,
        key: &'static str,
        fix: &'static str,
    ) -> Result<String, SettingsError> {
        match self.0.get(key).map(|v| v.trim()) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(SettingsError::Missing { key, fix }),
        }
    }

    /// One of our own keys, whose default is in the table.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, SettingsError> {
        let default = OWN_KEYS
            .iter()
            .find(|(known, _)| *known == key)
            .map_or("", |(_, d)| *d);
        self.number_or(key, default)
    }

    pub(crate) fn number_or<T: std::str::FromStr>(
        &self,
        key: &str,
        default: &str,
    ) -> Result<T, SettingsError> {
        let value = self.0.get(key).map_or(default, |v| v.trim());
        value.parse().map_err(|_| SettingsError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            wanted: "a whole number in range".to_owned(),
        })
    }

    fn at_least(&self, key: &str, least: usize) -> Result<usize, SettingsError> {
        let value: usize = self.number(key)?;
        if value < least {
            return Err(SettingsError::Value {
                key: key.to_owned(),
                value: value.to_string(),
                wanted: format!("at least {least}"),
            });
        }
        Ok(value)
    }
}

fn listeners(value: &str) -> Result<Vec<String>, SettingsError> {
    let listener = |url: String| {
        let wrong = || SettingsError::Value {
            key: "listeners".to_owned(),
            value: url.clone(),
            wanted: "a list of http://host:port (put a proxy in front for https)".to_owned(),
        };
        let (scheme, address) = url.split_once("://").ok_or_else(wrong)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(wrong());
        }
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(format!("{host}:{port}"))
    };
    config::list(value).into_iter().map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<WorkerSettings, SettingsError> {
        let mut raw: ConfigMap = [
            ("bootstrap.servers".to_owned(), "localhost:9092".to_owned()),
            ("tidegate.state.directory".to_owned(), "/s".to_owned()),
        ]
        .into();
        raw.extend(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        WorkerSettings::parse(&raw, Mode::Standalone)
    }

    #[test]
    fn connects_keys_and_their_defaults() {
        let settings = parse(&[
            ("listeners", "HTTP://:8084,http://127.0.0.1:9"),
            ("security.protocol", "SSL"),
            ("producer.linger.ms", "7"),
            ("plugin.path", "/opt"),
        ])
        .unwrap();
        assert_eq!(settings.listeners, ["0.0.0.0:8084", "127.0.0.1:9"]);
        assert_eq!(settings.offset_flush_interval, Duration::from_secs(60));
        assert_eq!(settings.kafka.common.len(), 2);
        assert_eq!(
            settings.kafka.producer.get("linger.ms").map(String::as_str),
            Some("7")
        );
        assert_eq!(settings.ignored, ["plugin.path"]);
        assert_eq!(settings.cache_directory, PathBuf::from("/s/compiled"));
    }

    #[test]
    fn errors_name_the_key() {
        for (key, value) in [
            ("listeners", "https://:8443"),
            ("tidegate.task.memory.max.bytes", "1000"),
            ("offset.flush.interval.ms", "often"),
            ("tidegate.task.memroy", "1"),
            ("bootstrap.servers", " "),
        ] {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
