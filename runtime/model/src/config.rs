//! Configurations as Kafka Connect has them: flat maps of strings.

use std::collections::BTreeMap;

/// Keys and values as the user wrote them.
pub type ConfigMap = BTreeMap<String, String>;

/// The entries under `prefix`, without it.
pub fn with_prefix_removed(config: &ConfigMap, prefix: &str) -> ConfigMap {
    config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect()
}

/// The entries of a comma separated list, trimmed, without empty ones.
pub fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|v| !v.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A boolean as Connect's ConfigDef reads it.
pub fn boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
