//! What a plugin is and how its configuration becomes tasks.

use std::time::Duration;

use crate::config::{ConnectorConfig, RawConfig};
use crate::failure::Result;
use crate::position::{Offset, Partition, Positions};

/// A plugin, apart from the work of its tasks. Nothing is kept between these calls.
pub trait Connector: Sized + 'static {
    /// The configuration; derive [`ConnectorConfig`] on a struct of yours.
    type Config: ConnectorConfig;

    /// Name, version and what it may reach.
    fn describe() -> Description;

    /// What is wrong beyond single values. Called when every key by itself is fine.
    fn validate(config: &Self::Config) -> Vec<Issue> {
        let _ = config;
        Vec::new()
    }

    /// At most `request.max_tasks` task configurations; one that equals the connector's by
    /// default.
    fn plan(request: &PlanRequest<'_, Self::Config>) -> Result<Vec<RawConfig>> {
        Ok(vec![request.task()])
    }

    /// The user rewrites offsets (none: reset). An error refuses it. `false`, the default:
    /// the runtime's offsets are rewritten, and the user is told that the connector may keep
    /// others; `true`: it does not, or they were rewritten too.
    fn alter_offsets(
        config: &Self::Config,
        offsets: &[(Partition, Option<Offset>)],
    ) -> Result<bool> {
        let _ = (config, offsets);
        Ok(false)
    }
}

/// The input of [`Connector::plan`].
#[derive(Debug)]
pub struct PlanRequest<'a, C> {
    /// The connector's configuration.
    pub config: &'a C,
    /// The same as the user wrote it.
    pub raw: &'a RawConfig,
    /// How many tasks there may be; at least one.
    pub max_tasks: usize,
    /// What the connector has committed.
    pub positions: &'a Positions,
}

impl<C> PlanRequest<'_, C> {
    /// A task configuration to start from: the connector's own.
    pub fn task(&self) -> RawConfig {
        self.raw.clone()
    }
}

/// Something wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The configuration key.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Values that would do.
    pub recommended: Vec<String>,
}

impl Issue {
    /// An issue without recommended values.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            recommended: Vec::new(),
        }
    }
}

/// What a plugin says about itself.
#[derive(Clone, Debug)]
pub struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) documentation: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) wants: Vec<(&'static str, String)>,
    pub(crate) exactly_once: bool,
    pub(crate) own_transactions: bool,
    pub(crate) replan_interval: Option<Duration>,
}

impl Description {
    /// `name`: lower case letters, digits and dashes, at most 64. `version`: usually
    /// `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            documentation: String::new(),
            aliases: Vec::new(),
            wants: Vec::new(),
            exactly_once: false,
            own_transactions: false,
            replan_interval: None,
        }
    }

    /// One or two sentences for people who choose a plugin.
    #[must_use]
    pub fn documentation(mut self, text: &str) -> Self {
        text.clone_into(&mut self.documentation);
        self
    }

    /// Another value of `connector.class` that means this plugin.
    #[must_use]
    pub fn alias(mut self, class: &str) -> Self {
        self.aliases.push(class.to_owned());
        self
    }

    /// Asks to read the files that configuration key `key` names.
    #[must_use]
    pub fn reads_files(self, key: &str) -> Self {
        self.wants("read-files", key)
    }

    /// Asks to write the files that configuration key `key` names.
    #[must_use]
    pub fn writes_files(self, key: &str) -> Self {
        self.wants("write-files", key)
    }

    /// Asks for the connection that configuration key `key` names or declares.
    #[must_use]
    pub fn uses_connection(self, key: &str) -> Self {
        self.wants("connection", key)
    }

    /// Source positions suffice to resume without repeats.
    #[must_use]
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }

    /// The connector sets transaction boundaries itself.
    #[must_use]
    pub fn own_transactions(mut self) -> Self {
        self.own_transactions = true;
        self
    }

    /// Has `plan` called again this often, not only when the configuration changes.
    #[must_use]
    pub fn replan_every(mut self, interval: Duration) -> Self {
        self.replan_interval = Some(interval);
        self
    }

    fn wants(mut self, kind: &'static str, key: &str) -> Self {
        self.wants.push((kind, key.to_owned()));
        self
    }
}
