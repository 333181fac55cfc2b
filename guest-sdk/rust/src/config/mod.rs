//! Typed configuration: one struct is the definitions, the parser and the documentation.
//!
//! ```
//! use tidegate_sdk::config::{ConnectorConfig, RawConfig};
//!
//! #[derive(ConnectorConfig)]
//! struct Config {
//!     /// Where records go.
//!     topic: String,
//!     /// Records in one batch at most.
//!     #[config(default = 2000, min = 1)]
//!     batch_size: u32,
//! }
//!
//! let config = Config::parse(&RawConfig::from([("topic", "t")])).unwrap();
//! assert_eq!((config.topic.as_str(), config.batch_size), ("t", 2000));
//! let errors = Config::parse(&RawConfig::from([("batch.size", "0")])).err().unwrap();
//! assert_eq!(errors[0].to_string(), "topic is missing, set it: where records go");
//! assert_eq!(errors[1].to_string(), "batch.size is 0, it must be at least 1");
//! ```
//!
//! A field is the key of its name with dots for underscores, unless `key = "..."` names it. Its
//! doc comment is the documentation. Further attributes: `aliases = ["..."]` for other names of the
//! key, `default`, `min`, `max`, `importance = "high" | "medium" | "low"`, `group`, `display_name`,
//! `dependents = ["..."]`, and `internal` for a key that no form shows. An `Option` may be absent.
//! [`HostHeld`] is for what the host reads itself, such as a connection's URL.

mod definition;
mod raw;
mod value;

pub use definition::{ConfigError, Definition, Spec, check, define};
pub use raw::RawConfig;
pub use value::{ConfigValue, HostHeld, Password};

pub use tidegate_sdk_macros::{ConfigChoice, ConnectorConfig};

/// A struct that is a connector's configuration; derive it.
pub trait ConnectorConfig: Sized {
    /// What the keys are, for forms and validators.
    fn definitions() -> Vec<Definition>;

    /// Reads it, or says everything that is wrong with it. Unknown keys are not looked at: the
    /// framework's own are among them.
    fn parse(raw: &RawConfig) -> Result<Self, Vec<ConfigError>>;
}

/// A fieldless enum as a configuration value, one of few; derive it. A variant is written in lower
/// case, words joined by `-`, or as `#[config(name = "...")]` says.
pub trait ConfigChoice: Sized + Copy + 'static {
    /// All values: what the user writes, and what it means.
    const CHOICES: &'static [(&'static str, Self)];
}
