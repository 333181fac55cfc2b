//! What a plugin says of itself, and how a `connector.class` finds its plugin.

use serde::{Deserialize, Serialize};

use crate::definition::Definition;

/// Which way a plugin moves records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    /// Into Kafka.
    Source,
    /// Out of Kafka.
    Sink,
}

impl PluginKind {
    /// As in a REST answer.
    pub fn as_str(self) -> &'static str {
        match self {
            PluginKind::Source => "source",
            PluginKind::Sink => "sink",
        }
    }
}

/// A capability a plugin asks for, by the configuration key that says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// `read-files`, `write-files` or `connection`.
    pub kind: String,
    /// The configuration key.
    pub key: String,
}

/// The answer of a plugin's `describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Lower case letters, digits, dashes.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// For people.
    pub documentation: String,
    /// Other values of `connector.class`.
    pub aliases: Vec<String>,
    /// Configuration keys.
    pub definitions: Vec<Definition>,
    /// Capabilities.
    pub wants: Vec<Want>,
    /// Source positions suffice to resume without repeats.
    pub exactly_once: bool,
    /// Sets transaction boundaries itself.
    pub own_transactions: bool,
    /// How often to plan again.
    pub replan_interval_ms: Option<u32>,
}

/// A stored plugin: what it said and which bytes said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Hex sha-256 of the component.
    pub digest: String,
    /// Which way it moves records.
    pub kind: PluginKind,
    /// Size of the component.
    pub size_bytes: u64,
    /// What it says of itself.
    #[serde(flatten)]
    pub description: Description,
}

impl PluginInfo {
    /// Whether `class` means this plugin: its name, or one of its aliases.
    pub fn answers_to(&self, class: &str) -> bool {
        self.description.name == class || self.description.aliases.iter().any(|a| a == class)
    }

    /// The class that REST shows: the longest alias looks like a Java class name, which is what
    /// existing tools know; else the name.
    pub fn class(&self) -> &str {
        self.description
            .aliases
            .iter()
            .filter(|alias| alias.contains('.'))
            .max_by_key(|alias| alias.len())
            .unwrap_or(&self.description.name)
    }

    fn version(&self) -> Option<semver::Version> {
        semver::Version::parse(&self.description.version).ok()
    }
}

/// The plugin that `class` means: of those that answer to it, the one of `version`, or the newest.
pub fn resolve<'a>(
    plugins: impl IntoIterator<Item = &'a PluginInfo>,
    class: &str,
    version: Option<&str>,
) -> Option<&'a PluginInfo> {
    plugins
        .into_iter()
        .filter(|plugin| plugin.answers_to(class))
        .filter(|plugin| version.is_none_or(|v| plugin.description.version == v))
        .max_by_key(|plugin| plugin.version())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(version: &str) -> PluginInfo {
        PluginInfo {
            digest: version.into(),
            kind: PluginKind::Source,
            size_bytes: 1,
            description: Description {
                name: "file-source".into(),
                version: version.into(),
                documentation: String::new(),
                aliases: vec!["FileStreamSource".into(), "org.example.FileSource".into()],
                definitions: vec![],
                wants: vec![],
                exactly_once: true,
                own_transactions: false,
                replan_interval_ms: None,
            },
        }
    }

    #[test]
    fn newest_unless_asked_for() {
        let plugins = [plugin("1.9.0"), plugin("1.10.0"), plugin("1.2.0")];
        let found = |class, version| resolve(&plugins, class, version).map(|p| p.digest.as_str());
        assert_eq!(found("FileStreamSource", None), Some("1.10.0"));
        assert_eq!(found("file-source", Some("1.2.0")), Some("1.2.0"));
        assert_eq!(found("file-sink", None), None);
        assert_eq!(plugins[0].class(), "org.example.FileSource");
    }
}
