//! What one task may connect to.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// A connection as a connector's configuration declares it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// `jdbc:sqlite:PATH` or `jdbc:postgresql://HOST[:PORT]/DATABASE[?PARAMETERS]`.
    pub url: String,
    /// Who to log in as, unless the URL says so.
    pub user: Option<String>,
    /// The password, unless the URL has one.
    pub password: Option<String>,
    /// Certificate authorities to trust instead of the well-known ones, as PEM.
    pub trusted_certificates: Option<String>,
}

/// Without the values: they can hold passwords (D10).
impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionSettings")
    }
}

/// The connections of one task and what they may reach.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// By configuration key (`connection.url`).
    pub connections: BTreeMap<String, ConnectionSettings>,
    /// The key whose connection keeps the offsets; no other can be written to.
    pub ledger: Option<String>,
    /// Granted directories, canonical; database files lie in or below one of them.
    pub directories: Vec<PathBuf>,
    /// What servers list the links as.
    pub application_name: String,
    /// How long a statement waits for another writer's lock. Below the time-out of host calls, or
    /// every wait ends as a call cut off.
    pub lock_timeout: Duration,
    /// How long a statement may take. Below the time-out of host calls too.
    pub statement_timeout: Duration,
}

impl SessionSettings {
    /// How long a statement waits for another writer unless told otherwise.
    pub const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
    /// How long a statement may take unless told otherwise.
    pub const DEFAULT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(25);

    /// Settings with the default time-outs.
    pub fn new(
        connections: BTreeMap<String, ConnectionSettings>,
        ledger: Option<String>,
        directories: Vec<PathBuf>,
    ) -> Self {
        Self {
            connections,
            ledger,
            directories,
            application_name: "tidegate".to_owned(),
            lock_timeout: Self::DEFAULT_LOCK_TIMEOUT,
            statement_timeout: Self::DEFAULT_STATEMENT_TIMEOUT,
        }
    }
}
