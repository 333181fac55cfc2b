//! What one task may connect to.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The connections of one task and what they may reach.
#[derive(Clone)]
pub struct SessionSettings {
    /// Configuration key (`connection.url`) and the URL it holds: `jdbc:sqlite:PATH`.
    pub connections: BTreeMap<String, String>,
    /// Granted directories, canonical; database files lie in or below one of them.
    pub directories: Vec<PathBuf>,
    /// How long a statement waits for another writer's lock. Below the time-out of host calls, or
    /// every wait ends as a call cut off.
    pub busy_timeout: Duration,
}

impl SessionSettings {
    /// How long a statement waits for another writer unless told otherwise.
    pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// Settings with the default time-out.
    pub fn new(connections: BTreeMap<String, String>, directories: Vec<PathBuf>) -> Self {
        Self {
            connections,
            directories,
            busy_timeout: Self::DEFAULT_BUSY_TIMEOUT,
        }
    }
}

/// Without the URLs: they can hold passwords (D10).
impl std::fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionSettings")
            .field("connections", &self.connections.keys())
            .field("directories", &self.directories)
            .field("busy_timeout", &self.busy_timeout)
            .finish()
    }
}
