//! Names of connectors, tasks and plugins, and what is legal in them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A task of a connector: the unit of assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The connector's name.
    pub connector: String,
    /// The task's number, from 0.
    pub task: u32,
}

impl TaskId {
    /// Task `task` of `connector`.
    pub fn new(connector: impl Into<String>, task: u32) -> Self {
        Self {
            connector: connector.into(),
            task,
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("connector name may not be empty")]
    Empty,
    /// It could be created but never addressed again: most HTTP servers refuse `%2F` in a path.
    #[error("connector name {0:?} may not contain '/', '\\' or control characters")]
    Illegal(String),
    /// Clients take such a segment out of a path before they send it.
    #[error(
        "connector name {0:?} cannot be part of a URL, so nobody could ask for the connector: choose another name"
    )]
    Dots(String),
    /// Longer than a Kafka group id or a log line can bear.
    #[error("connector name may have at most 249 bytes, this one has {0}")]
    TooLong(usize),
    /// Plugin names become file names, image names and metric labels.
    #[error(
        "plugin name {0:?} is not legal: use 1 to 64 lower case letters, digits and dashes, \
         starting with a letter"
    )]
    Plugin(String),
    /// Not a semantic version.
    #[error("plugin version {0:?} is not a version like 1.2.3 (semver.org)")]
    Version(String),
}

/// The trimmed name of a connector, if it is legal. Kafka Connect accepts slashes too, and can
/// then never serve the connector it created.
///
/// # Errors
/// [`NameError`] says what is wrong.
pub fn connector_name(name: &str) -> Result<&str, NameError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 249 {
        return Err(NameError::TooLong(name.len()));
    }
    if name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        return Err(NameError::Illegal(name.to_owned()));
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots(name.to_owned()));
    }
    Ok(name)
}

/// Checks the name and version that a plugin gave itself.
///
/// # Errors
/// [`NameError`] says which of the two is wrong.
pub fn plugin_name(name: &str, version: &str) -> Result<(), NameError> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > 64
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(legal)
    {
        return Err(NameError::Plugin(name.chars().take(80).collect()));
    }
    if version.len() > 64 || semver::Version::parse(version).is_err() {
        return Err(NameError::Version(version.chars().take(80).collect()));
    }
    Ok(())
}

/// The longest name of a topic in Kafka.
pub const MAX_TOPIC_NAME_BYTES: usize = 249;

/// Whether Kafka takes this as the name of a topic (`org.apache.kafka.common.internals.Topic`).
pub fn is_topic_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_TOPIC_NAME_BYTES).contains(&name.len())
        && name != "."
        && name != ".."
        && name.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_names() {
        assert_eq!(connector_name("  orders in "), Ok("orders in"));
        assert_eq!(connector_name(" "), Err(NameError::Empty));
        assert!(matches!(connector_name("a/b"), Err(NameError::Illegal(_))));
        assert!(matches!(connector_name("a\nb"), Err(NameError::Illegal(_))));
        for dots in [".", ".."] {
            assert!(matches!(connector_name(dots), Err(NameError::Dots(_))));
        }
        assert_eq!(connector_name("..."), Ok("..."));
        assert!(matches!(
            connector_name(&"a".repeat(250)),
            Err(NameError::TooLong(250))
        ));
    }

    #[test]
    fn plugin_names() {
        assert!(plugin_name("file-source", "0.1.0-draft").is_ok());
        for bad in ["", "File", "1a", "../x", "a_b", &"a".repeat(65)] {
            assert!(
                matches!(plugin_name(bad, "1.0.0"), Err(NameError::Plugin(_))),
                "{bad}"
            );
        }
        assert!(matches!(
            plugin_name("a", "1.0"),
            Err(NameError::Version(_))
        ));
    }

    #[test]
    fn topic_names() {
        assert!(is_topic_name("a.b_c-D1"));
        for bad in ["", ".", "..", "a b", "a/b", "ü", &"a".repeat(250)] {
            assert!(!is_topic_name(bad), "{bad}");
        }
    }
}
