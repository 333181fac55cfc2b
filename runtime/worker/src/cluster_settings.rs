//! The worker's place in its cluster: Kafka Connect's keys of distributed mode, and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_cluster::{ClusterSettings, SecretKey, StateTopic};
use tidegate_model::config::{self, ConfigMap, with_prefix_removed};
use tidegate_model::names::is_topic_name;

use crate::settings::{Keys, SettingsError, WorkerSettings};

/// Between the renewal of a lease and its end there has to be time for another try.
const LEAST_SESSION_PER_HEARTBEAT: u64 = 3;

/// What the rest of a lease after its last renewal has to leave for stopping tasks.
const LEAST_SESSION_MS: u64 = 1_000;

/// Understands the keys of distributed mode.
///
/// # Errors
/// [`SettingsError`] names the first key that is wrong.
pub fn cluster_settings(settings: &WorkerSettings) -> Result<ClusterSettings, SettingsError> {
    let raw = &settings.raw;
    let keys = Keys(raw);
    let group = keys.required(
        "group.id",
        "group.id=tidegate (workers with the same are one cluster)",
    )?;
    let times = Times::of(&keys)?;
    let secret = keys.required(
        "tidegate.secret.key",
        "make one with head -c 32 /dev/urandom | base64, and give all workers of the cluster the same",
    )?;
    let secret_key = SecretKey::parse(&secret).map_err(|error| SettingsError::Secret {
        reason: error.to_string(),
    })?;
    let named = |property: &'static str, fix: &'static str| keys.required(property, fix);
    let config_name = named(
        "config.storage.topic",
        "config.storage.topic=tidegate-configs",
    )?;
    let offsets_name = named(
        "offset.storage.topic",
        "offset.storage.topic=tidegate-offsets",
    )?;
    let status_name = named(
        "status.storage.topic",
        "status.storage.topic=tidegate-status",
    )?;
    let own = |key: &str, suffix: &str| {
        let given = raw.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        given.map_or_else(|| format!("{group}-tidegate-{suffix}"), str::to_owned)
    };
    let (plugins_name, shards_name) = (
        own("tidegate.plugins.topic", "plugins"),
        own("tidegate.shards.topic", "shards"),
    );
    let config_topic = topic(&keys, CONFIG, config_name)?;
    let one = |property, name| StateTopic {
        property,
        replication_property: config_topic.replication_property,
        name,
        partitions: 1,
        replication_factor: config_topic.replication_factor,
        configs: config_topic.configs.clone(),
    };
    let shards: i32 = keys.number("tidegate.shards")?;
    let all = ClusterSettings {
        worker_id: advertised(settings, &keys)?,
        url: String::new(),
        incarnation: incarnation(),
        instance_id: raw.get("group.instance.id").cloned(),
        offsets_topic: topic(&keys, OFFSETS, offsets_name)?,
        status_topic: topic(&keys, STATUS, status_name)?,
        plugins_topic: one("tidegate.plugins.topic", plugins_name),
        shards_topic: StateTopic {
            partitions: shards,
            configs: ConfigMap::new(),
            ..one("tidegate.shards.topic", shards_name)
        },
        config_topic,
        session_timeout: times.session,
        heartbeat_interval: times.heartbeat,
        rebalance_timeout: times.rebalance,
        key_ttl: Duration::from_millis(keys.number_or("inter.worker.key.ttl.ms", "3600000")?),
        secret_key,
        adopt: flag(&keys, "tidegate.adopt")?,
        component_directory: settings.cache_directory.clone(),
        group,
    };
    check_names(&all)?;
    Ok(ClusterSettings {
        url: format!("http://{}", all.worker_id),
        ..all
    })
}

/// Whether sources may write with transactions (KIP-618).
///
/// # Errors
/// [`SettingsError`] names the key.
pub(crate) fn exactly_once(keys: &Keys<'_>) -> Result<bool, SettingsError> {
    let key = "exactly.once.source.support";
    match keys.0.get(key).map(|v| v.trim().to_ascii_lowercase()) {
        None => Ok(false),
        // There is nothing to prepare: a worker always reads the config topic by transactions.
        Some(value) if value == "disabled" || value == "preparing" => Ok(false),
        Some(value) if value == "enabled" => Ok(true),
        Some(value) => Err(SettingsError::Value {
            key: key.to_owned(),
            value,
            wanted: "disabled, preparing or enabled".to_owned(),
        }),
    }
}

struct Times {
    session: Duration,
    heartbeat: Duration,
    rebalance: Duration,
}

impl Times {
    fn of(keys: &Keys<'_>) -> Result<Self, SettingsError> {
        let session_ms: u64 = keys.number_or("session.timeout.ms", "10000")?;
        let heartbeat_ms: u64 = keys.number_or("heartbeat.interval.ms", "3000")?;
        let rebalance_ms: u64 = keys.number_or("rebalance.timeout.ms", "60000")?;
        let wrong = |key: &str, value: u64, wanted: String| SettingsError::Value {
            key: key.to_owned(),
            value: value.to_string(),
            wanted,
        };
        if session_ms < LEAST_SESSION_MS {
            let wanted = format!("at least {LEAST_SESSION_MS}");
            return Err(wrong("session.timeout.ms", session_ms, wanted));
        }
        if heartbeat_ms == 0 || heartbeat_ms * LEAST_SESSION_PER_HEARTBEAT > session_ms {
            let wanted = format!(
                "between 1 and a third of session.timeout.ms, which is {session_ms}: leases are renewed that often"
            );
            return Err(wrong("heartbeat.interval.ms", heartbeat_ms, wanted));
        }
        if rebalance_ms < session_ms {
            let wanted = format!("at least session.timeout.ms, which is {session_ms}");
            return Err(wrong("rebalance.timeout.ms", rebalance_ms, wanted));
        }
        Ok(Self {
            session: Duration::from_millis(session_ms),
            heartbeat: Duration::from_millis(heartbeat_ms),
            rebalance: Duration::from_millis(rebalance_ms),
        })
    }
}

/// The keys of a topic: its name, its replicas, and what its keys begin with; and how many partitions
/// it has unless the keys say otherwise, which those of the log cannot.
struct TopicKeys {
    name: &'static str,
    replicas: &'static str,
    prefix: &'static str,
    partitions: &'static str,
}

const CONFIG: TopicKeys = TopicKeys {
    name: "config.storage.topic",
    replicas: "config.storage.replication.factor",
    prefix: "config.storage.",
    partitions: "1",
};

const OFFSETS: TopicKeys = TopicKeys {
    name: "offset.storage.topic",
    replicas: "offset.storage.replication.factor",
    prefix: "offset.storage.",
    partitions: "25",
};

const STATUS: TopicKeys = TopicKeys {
    name: "status.storage.topic",
    replicas: "status.storage.replication.factor",
    prefix: "status.storage.",
    partitions: "5",
};

/// A topic, with the settings that Connect lets users give it: `config.storage.min.insync.replicas`.
fn topic(keys: &Keys<'_>, of: TopicKeys, name: String) -> Result<StateTopic, SettingsError> {
    let mut configs = with_prefix_removed(keys.0, of.prefix);
    for own in ["topic", "partitions", "replication.factor"] {
        configs.remove(own);
    }
    let partitions = match of.partitions {
        "1" => 1,
        default => keys.number_or(&format!("{}partitions", of.prefix), default)?,
    };
    Ok(StateTopic {
        property: of.name,
        replication_property: of.replicas,
        name,
        partitions,
        replication_factor: keys.number_or(of.replicas, "3")?,
        configs,
    })
}

fn check_names(settings: &ClusterSettings) -> Result<(), SettingsError> {
    let topics = [
        &settings.config_topic,
        &settings.offsets_topic,
        &settings.status_topic,
        &settings.plugins_topic,
        &settings.shards_topic,
    ];
    for (index, topic) in topics.iter().enumerate() {
        let wrong = |wanted: &str| SettingsError::Value {
            key: topic.property.to_owned(),
            value: topic.name.clone(),
            wanted: wanted.to_owned(),
        };
        if !is_topic_name(&topic.name) {
            return Err(wrong("the name of a topic"));
        }
        if topics
            .iter()
            .take(index)
            .any(|other| other.name == topic.name)
        {
            return Err(wrong("a topic of its own: another key names the same"));
        }
    }
    Ok(())
}

/// Host and port under which the others reach this worker.
fn advertised(settings: &WorkerSettings, keys: &Keys<'_>) -> Result<String, SettingsError> {
    let listener = settings.listeners.first().cloned().unwrap_or_default();
    let (host, port) = listener.rsplit_once(':').unwrap_or((&listener, "8083"));
    let host = match keys.0.get("rest.advertised.host.name") {
        Some(host) if !host.trim().is_empty() => host.trim().to_owned(),
        _ if host == "0.0.0.0" => own_host(),
        _ => host.to_owned(),
    };
    let port: u16 = keys.number_or("rest.advertised.port", port)?;
    if port == 0 {
        return Err(SettingsError::Value {
            key: "listeners".to_owned(),
            value: listener,
            wanted:
                "a fixed port, or rest.advertised.port: the other workers have to find this one"
                    .to_owned(),
        });
    }
    Ok(format!("{host}:{port}"))
}

fn own_host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

/// Tells this start from every other.
fn incarnation() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

fn flag(keys: &Keys<'_>, key: &str) -> Result<bool, SettingsError> {
    let Some(value) = keys.0.get(key) else {
        return Ok(false);
    };
    config::boolean(value).ok_or_else(|| SettingsError::Value {
        key: key.to_owned(),
        value: value.clone(),
        wanted: "true or false".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Mode;

    fn parse(pairs: &[(&str, &str)]) -> Result<ClusterSettings, SettingsError> {
        let mut raw = ConfigMap::new();
        for (key, value) in [
            ("bootstrap.servers", "localhost:9092"),
            ("tidegate.cache.directory", "/c"),
            ("listeners", "http://127.0.0.1:8084"),
            ("group.id", "g"),
            ("config.storage.topic", "configs"),
            ("offset.storage.topic", "offsets"),
            ("status.storage.topic", "statuses"),
            (
                "tidegate.secret.key",
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            ),
        ]
        .iter()
        .chain(pairs)
        {
            raw.insert((*key).to_owned(), (*value).to_owned());
        }
        cluster_settings(&WorkerSettings::parse(&raw, Mode::Distributed)?)
    }

    #[test]
    fn connects_keys_and_their_defaults() {
        let settings = parse(&[
            ("config.storage.replication.factor", "1"),
            ("config.storage.min.insync.replicas", "2"),
            ("status.storage.partitions", "2"),
            ("rest.advertised.host.name", "worker-1"),
        ])
        .unwrap();
        assert_eq!(settings.url, "http://worker-1:8084");
        assert_eq!(settings.session_timeout, Duration::from_secs(10));
        assert_eq!(settings.config_topic.replication_factor, 1);
        assert_eq!(
            settings.config_topic.configs,
            [("min.insync.replicas".to_owned(), "2".to_owned())].into()
        );
        assert_eq!(settings.offsets_topic.partitions, 25);
        assert_eq!(settings.offsets_topic.replication_factor, 3);
        assert_eq!(settings.status_topic.partitions, 2);
        assert_eq!(settings.plugins_topic.name, "g-tidegate-plugins");
        assert_eq!(settings.plugins_topic.replication_factor, 1);
        assert_eq!(settings.shards_topic.partitions, 256);
    }

    #[test]
    fn errors_name_the_key() {
        for (key, value) in [
            ("group.id", ""),
            ("tidegate.secret.key", "c2hvcnQ="),
            ("heartbeat.interval.ms", "4000"),
            ("session.timeout.ms", "500"),
            ("rebalance.timeout.ms", "5000"),
            ("config.storage.topic", "offsets"),
            ("status.storage.topic", "a b"),
            ("listeners", "http://127.0.0.1:0"),
            ("offset.storage.partitions", "many"),
            ("tidegate.adopt", "maybe"),
        ] {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            let named = if key == "config.storage.topic" {
                "offset.storage.topic"
            } else {
                key
            };
            assert!(error.contains(named), "{key}: {error}");
        }
    }
}
