//! Kafka's Java client settings, as Kafka Connect's users write them, in librdkafka's words.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use tidegate_model::config::ConfigMap;

use crate::jaas::{self, JaasError};

/// Which client the settings are for: some keys exist on one side only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// Produces.
    Producer,
    /// Consumes.
    Consumer,
    /// Creates and describes topics.
    Admin,
}

/// Why settings cannot be used. Values that may be secret are never in the text (D10).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientConfigError {
    /// The JAAS line.
    #[error(transparent)]
    Jaas(#[from] JaasError),
    /// A Java keystore.
    #[error(
        "{key}={value} is not available: use PEM (or PKCS12 for the keystore); \
         keytool -importkeystore and openssl pkcs12 convert a JKS file"
    )]
    Store {
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// librdkafka refuses the whole.
    #[error("{0}")]
    Client(String),
    /// It would run code on the worker's machine, or send its files away.
    #[error("{key} may not be set by a connector, only in the worker's configuration; remove it")]
    WorkerOnly {
        /// The key.
        key: String,
    },
    /// librdkafka refuses the value.
    #[error("invalid value for {key}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// librdkafka's words.
        reason: String,
    },
}

impl ClientConfigError {
    /// The key that is wrong, if it is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Jaas(_) => Some("sasl.jaas.config"),
            Self::Store { key, .. } => Some(key),
            Self::WorkerOnly { key } | Self::Value { key, .. } => Some(key),
            Self::Client(_) => None,
        }
    }
}

/// Settings in librdkafka's words, and those that have no meaning here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translated {
    /// For the client.
    pub settings: BTreeMap<String, String>,
    /// Keys that were left out.
    pub ignored: Vec<String>,
}

/// Keys of the Java clients that configure Java: serializers, metrics, class names.
const JAVA_ONLY: [&str; 9] = [
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "interceptor.classes",
    "metric.reporters",
    "partitioner.class",
    "max.block.ms",
    "default.api.timeout.ms",
];

/// Java's name and librdkafka's, where they differ and the value means the same.
const RENAMED: [(&str, &str); 7] = [
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("ssl.cipher.suites", "ssl.cipher.suites"),
    ("delivery.timeout.ms", "delivery.timeout.ms"),
    ("compression.type", "compression.type"),
];

/// Keys with which librdkafka loads libraries, runs commands or sends files away. It loads the libraries
/// of `plugin.library.paths` as soon as the key is set, so even asking it about the key is too late.
const WORKER_ONLY: [&str; 8] = [
    "plugin.library.paths",
    "ssl.engine.location",
    "ssl.engine.id",
    "ssl.providers",
    "sasl.kerberos.kinit.cmd",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
];

/// Refuses what a connector's overrides may not set.
///
/// # Errors
/// [`ClientConfigError::WorkerOnly`] names the key.
pub(crate) fn check_overrides(overrides: &ConfigMap) -> Result<(), ClientConfigError> {
    match overrides
        .keys()
        .find(|key| WORKER_ONLY.contains(&key.as_str()))
    {
        Some(key) => Err(ClientConfigError::WorkerOnly { key: key.clone() }),
        None => Ok(()),
    }
}

/// Translates Java client settings.
///
/// # Errors
/// [`ClientConfigError`] names the key and what to write instead.
pub fn translate(java: &ConfigMap, kind: ClientKind) -> Result<Translated, ClientConfigError> {
    let mut out = Translated::default();
    let settings = &mut out.settings;
    let mut set = |key: &str, value: &str| {
        settings.insert(key.to_owned(), value.to_owned());
    };
    stores(java, &mut set)?;
    for (key, value) in java {
        let value = value.trim();
        match key.as_str() {
            "security.protocol" => set(key, &value.to_ascii_lowercase()),
            "sasl.jaas.config" => {
                let (username, password) = jaas::credentials(value)?;
                set("sasl.username", &username);
                set("sasl.password", &password);
            }
            "ssl.endpoint.identification.algorithm" => {
                set(key, if value.is_empty() { "none" } else { value });
            }
            "buffer.memory" => {
                let kbytes = value
                    .parse::<u64>()
                    .map_or(32 << 10, |bytes| (bytes >> 10).max(1));
                set("queue.buffering.max.kbytes", &kbytes.to_string());
            }
            "acks" if value == "-1" => set("acks", "all"),
            "auto.offset.reset" if value == "none" => set(key, "error"),
            "partition.assignment.strategy" => set(key, &strategies(value)),
            // Ours: how many rows a put holds. The consumer reads it before translation.
            "max.poll.records" => {}
            _ if key.starts_with("ssl.truststore.") || key.starts_with("ssl.keystore.") => {}
            "ssl.key.password" => set(key, value),
            _ if JAVA_ONLY.contains(&key.as_str()) || key.starts_with("metrics.") => {
                out.ignored.push(key.clone());
            }
            _ => {
                let name = RENAMED
                    .iter()
                    .find(|(java, _)| java == key)
                    .map_or(key.as_str(), |(_, ours)| ours);
                match known(name, value, kind) {
                    Known::Yes => set(name, value),
                    Known::No => out.ignored.push(key.clone()),
                    Known::Invalid(reason) => {
                        return Err(ClientConfigError::Value {
                            key: key.clone(),
                            reason,
                        });
                    }
                }
            }
        }
    }
    Ok(out)
}

enum Known {
    Yes,
    No,
    Invalid(String),
}

/// Asks librdkafka itself, so that the list of its keys is not kept twice.
fn known(key: &str, value: &str, kind: ClientKind) -> Known {
    let producer_only = [
        "acks",
        "linger.ms",
        "batch.size",
        "retries",
        "enable.idempotence",
    ];
    if kind != ClientKind::Producer && producer_only.contains(&key) {
        return Known::No;
    }
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Known::Yes,
        Err(error) => {
            let text = error.to_string();
            if text.contains("No such configuration property") {
                Known::No
            } else {
                Known::Invalid(format!("{value:?} is not among what librdkafka takes"))
            }
        }
    }
}

fn stores(java: &ConfigMap, set: &mut impl FnMut(&str, &str)) -> Result<(), ClientConfigError> {
    let get = |key: &str| java.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
    if let Some(location) = get("ssl.truststore.location") {
        match get("ssl.truststore.type") {
            Some(kind) if kind.eq_ignore_ascii_case("PEM") => set("ssl.ca.location", location),
            other => {
                let value = other.unwrap_or("JKS (the default)").to_owned();
                return Err(ClientConfigError::Store {
                    key: "ssl.truststore.type",
                    value,
                });
            }
        }
    }
    if let Some(pem) = get("ssl.truststore.certificates") {
        set("ssl.ca.pem", pem);
    }
    if let Some(location) = get("ssl.keystore.location") {
        match get("ssl.keystore.type") {
            Some(kind) if kind.eq_ignore_ascii_case("PEM") => {
                set("ssl.certificate.location", location);
                set("ssl.key.location", location);
            }
            Some(kind) if kind.eq_ignore_ascii_case("PKCS12") => {
                set("ssl.keystore.location", location);
                if let Some(password) = get("ssl.keystore.password") {
                    set("ssl.keystore.password", password);
                }
            }
            other => {
                let value = other.unwrap_or("JKS (the default)").to_owned();
                return Err(ClientConfigError::Store {
                    key: "ssl.keystore.type",
                    value,
                });
            }
        }
    }
    if let Some(chain) = get("ssl.keystore.certificate.chain") {
        set("ssl.certificate.pem", chain);
    }
    if let Some(key) = get("ssl.keystore.key") {
        set("ssl.key.pem", key);
    }
    Ok(())
}

fn strategies(classes: &str) -> String {
    let name = |class: &str| match class.trim().rsplit('.').next() {
        Some("RangeAssignor") => "range".to_owned(),
        Some("RoundRobinAssignor") => "roundrobin".to_owned(),
        Some("CooperativeStickyAssignor" | "StickyAssignor") => "cooperative-sticky".to_owned(),
        _ => class.trim().to_owned(),
    };
    classes.split(',').map(name).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        translate(&java(pairs), ClientKind::Producer)
            .unwrap()
            .settings
            .into_iter()
            .collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn security() {
        assert_eq!(
            settings(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "SCRAM-SHA-256"),
                (
                    "sasl.jaas.config",
                    "org.x.ScramLoginModule required username=\"a\" password=\"p\";"
                ),
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.location", "/ca.pem"),
                ("ssl.endpoint.identification.algorithm", ""),
            ]),
            [
                pair("sasl.mechanism", "SCRAM-SHA-256"),
                pair("sasl.password", "p"),
                pair("sasl.username", "a"),
                pair("security.protocol", "sasl_ssl"),
                pair("ssl.ca.location", "/ca.pem"),
                pair("ssl.endpoint.identification.algorithm", "none"),
            ]
        );
    }

    #[test]
    fn java_stores_are_refused_with_the_way_out() {
        let error = translate(
            &java(&[("ssl.truststore.location", "/t.jks")]),
            ClientKind::Admin,
        )
        .unwrap_err();
        assert!(error.to_string().contains("use PEM"), "{error}");
    }

    #[test]
    fn a_connector_cannot_load_code() {
        let refused = check_overrides(&java(&[("plugin.library.paths", "/tmp/x")])).unwrap_err();
        assert!(refused.to_string().contains("plugin.library.paths"));
        assert_eq!(check_overrides(&java(&[("linger.ms", "5")])), Ok(()));
    }

    #[test]
    fn renamed_ignored_and_invalid() {
        assert_eq!(
            settings(&[
                ("buffer.memory", "1048576"),
                ("linger.ms", "7"),
                ("acks", "-1")
            ]),
            [
                pair("acks", "all"),
                pair("linger.ms", "7"),
                pair("queue.buffering.max.kbytes", "1024")
            ]
        );
        let ignored = translate(
            &java(&[("key.serializer", "x"), ("made.up", "y")]),
            ClientKind::Consumer,
        );
        assert_eq!(ignored.unwrap().ignored, ["key.serializer", "made.up"]);
        let invalid = translate(&java(&[("fetch.min.bytes", "many")]), ClientKind::Consumer);
        assert!(
            matches!(invalid, Err(ClientConfigError::Value { key, .. }) if key == "fetch.min.bytes")
        );
    }
}
