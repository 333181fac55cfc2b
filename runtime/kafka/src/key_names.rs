//! How the user names the keys of one client: in the connector or in the worker, with a prefix or without.

use tidegate_model::config::ConfigMap;

use crate::client_config::ClientKind;

/// How the user names the keys of one client.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyNames {
    override_prefix: &'static str,
    worker_prefix: &'static str,
    overrides: Vec<String>,
    own: Vec<String>,
    common: Vec<String>,
}

impl KeyNames {
    pub(crate) fn new(
        kind: ClientKind,
        overrides: &ConfigMap,
        own: &ConfigMap,
        common: &ConfigMap,
    ) -> Self {
        let (override_prefix, worker_prefix) = match kind {
            ClientKind::Producer => ("producer.override.", "producer."),
            ClientKind::Consumer => ("consumer.override.", "consumer."),
            ClientKind::Admin => ("admin.override.", "admin."),
        };
        let keys = |map: &ConfigMap| map.keys().cloned().collect();
        Self {
            override_prefix,
            worker_prefix,
            overrides: keys(overrides),
            own: keys(own),
            common: keys(common),
        }
    }

    fn is_set(&self, key: &str) -> bool {
        let all = [&self.overrides, &self.own, &self.common];
        all.into_iter().any(|keys| keys.iter().any(|k| k == key))
    }

    /// The key where it is set; where it is not, beside those that say how to connect.
    pub(crate) fn name(&self, key: &str) -> String {
        let has = |keys: &[String]| keys.iter().any(|k| k == key);
        if has(&self.overrides) {
            return format!("{}{key}", self.override_prefix);
        }
        if has(&self.own) {
            return format!("{}{key}", self.worker_prefix);
        }
        let connects = |k: &String| {
            k == "bootstrap.servers" || k == "security.protocol" || k.starts_with("sasl.")
        };
        if !has(&self.common) && self.overrides.iter().any(connects) {
            return format!("{}{key}", self.override_prefix);
        }
        key.to_owned()
    }

    /// Of two ways to give the same thing, the one that is used.
    pub(crate) fn used(&self, inline: &str, file: &str) -> String {
        self.name(if self.is_set(inline) { inline } else { file })
    }
}
