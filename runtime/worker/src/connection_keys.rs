//! The keys that belong to a connection: `connection.url` and what stands beside it under
//! `connection.`. The host reads them; a guest sees no secret of them (D10).

use tidegate_connections::{ConnectionSettings, redacted};
use tidegate_model::config::ConfigMap;
use tidegate_model::plugin::{Description, Want};

/// What the connector's Kafka clients are told.
const CLIENT_KEYS: [&str; 3] = [
    "consumer.override.",
    "producer.override.",
    "admin.override.",
];
/// Common names of the JDBC sinks.
const USER: [&str; 2] = ["user", "username"];
const PASSWORD: &str = "password";
/// As Kafka's clients name certificates that stand in the configuration itself (KIP-651).
const TRUSTED: &str = "ssl.truststore.certificates";

/// The connection that `key` declares with the value `url`.
pub(crate) fn settings(key: &str, url: &str, config: &ConfigMap) -> ConnectionSettings {
    let prefix = prefix(key);
    let get = |name: &str| {
        config
            .get(&format!("{prefix}{name}"))
            .filter(|value| !value.is_empty())
            .cloned()
    };
    ConnectionSettings {
        url: url.to_owned(),
        user: USER.into_iter().find_map(get),
        password: get(PASSWORD),
        trusted_certificates: get(TRUSTED),
    }
}

/// The configuration as the guest may see it: without passwords, and URLs without what may hold one.
pub(crate) fn guest_view(description: &Description, config: &ConfigMap) -> ConfigMap {
    let mut seen = public_view(description, config);
    for want in connections(description) {
        seen.remove(&format!("{}{PASSWORD}", prefix(&want.key)));
    }
    // How the worker speaks to Kafka, often with passwords, is none of a guest's business.
    seen.retain(|key, _| !CLIENT_KEYS.iter().any(|prefix| key.starts_with(prefix)));
    seen
}

/// The configuration as answers may repeat it: URLs without what may hold a password.
pub(crate) fn public_view(description: &Description, config: &ConfigMap) -> ConfigMap {
    let mut seen = config.clone();
    for want in connections(description) {
        if let Some(url) = seen.get_mut(&want.key) {
            *url = redacted(url);
        }
    }
    seen
}

/// A task's configuration with the connector's own values for what a guest has seen without secrets,
/// or not at all: what it planned with is not taken for what was configured.
pub(crate) fn with_own(
    description: &Description,
    connector: &ConfigMap,
    task: &ConfigMap,
) -> ConfigMap {
    let mut own = task.clone();
    for want in connections(description) {
        let prefix = prefix(&want.key);
        let beside = USER.into_iter().chain([PASSWORD, TRUSTED]);
        let keys = beside.map(|name| format!("{prefix}{name}"));
        for key in keys.chain([want.key.clone()]) {
            match connector.get(&key) {
                Some(value) => own.insert(key, value.clone()),
                None => own.remove(&key),
            };
        }
    }
    own
}

fn connections(description: &Description) -> impl Iterator<Item = &Want> {
    let wants = description.wants.iter();
    wants.filter(|want| want.kind == "connection")
}

fn prefix(key: &str) -> String {
    match key.strip_suffix("url") {
        Some(prefix) => prefix.to_owned(),
        None => format!("{key}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_the_password_and_the_guest_has_not() {
        let pairs = [
            ("connection.url", "jdbc:postgresql://h/db?password=secret"),
            ("connection.username", "me"),
            ("connection.password", "secret"),
            ("table.name.format", "t"),
            ("consumer.override.sasl.jaas.config", "secret"),
        ];
        let config: ConfigMap = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let url = &config["connection.url"];
        let host = settings("connection.url", url, &config);
        assert_eq!(host.user.as_deref(), Some("me"));
        assert_eq!(host.password.as_deref(), Some("secret"));
        let description = Description {
            wants: vec![Want {
                kind: "connection".into(),
                key: "connection.url".into(),
            }],
            name: String::new(),
            version: String::new(),
            documentation: String::new(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            exactly_once: false,
            own_transactions: false,
            replan_interval_ms: None,
        };
        let guest = guest_view(&description, &config);
        assert!(!format!("{guest:?}").contains("secret"), "{guest:?}");
        assert_eq!(guest["connection.url"], "jdbc:postgresql://h/db");
        let planned = with_own(&description, &config, &guest);
        assert_eq!(&planned["connection.url"], url);
        assert_eq!(planned["connection.password"], "secret");
        assert!(!planned.contains_key("consumer.override.sasl.jaas.config"));
        assert_eq!(guest["table.name.format"], "t");
    }
}
