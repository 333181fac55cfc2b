//! What librdkafka says, without its repetitions: while a broker is away it reports every attempt of
//! every connection, dozens of lines a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// How often the same kind of line is written.
const EVERY: Duration = Duration::from_secs(30);

/// The log of one client.
#[derive(Debug, Default)]
pub(crate) struct QuietLog {
    /// Whose client it is, such as a task; empty for one that many share.
    owner: String,
    last: Mutex<HashMap<String, Instant>>,
}

impl QuietLog {
    /// The log of a client that belongs to a task.
    pub(crate) fn of(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            last: Mutex::default(),
        }
    }

    /// A line of librdkafka; `facility` is its kind.
    pub(crate) fn line(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as Level;
        match level {
            // At every start of a cluster; it goes on by itself, and if not, says so as an error.
            Level::Warning if facility == "GETPID" && message.ends_with("retrying") => {
                tracing::debug!(target: "librdkafka", "{facility}: {message}");
            }
            Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
                if self.is_due(facility) {
                    tracing::warn!(target: "librdkafka", task = self.owner, "{facility}: {message}");
                }
            }
            Level::Notice | Level::Info => {
                tracing::info!(target: "librdkafka", task = self.owner, "{facility}: {message}");
            }
            Level::Debug => {
                tracing::debug!(target: "librdkafka", task = self.owner, "{facility}: {message}");
            }
        }
    }

    /// An error that concerns the whole client.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        if self.is_due(&error.to_string()) {
            tracing::warn!(task = self.owner, "Kafka: {error}: {reason}");
        }
    }

    /// An error of a consumer's poll, which comes again with every attempt of librdkafka.
    pub(crate) fn consume(&self, error: &KafkaError) {
        if self.is_due(&error.to_string()) {
            tracing::warn!(task = self.owner, "consume: {error}");
        }
    }

    fn is_due(&self, kind: &str) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match last.get(kind) {
            Some(then) if now.duration_since(*then) < EVERY => false,
            _ => {
                last.insert(kind.to_owned(), now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_once_in_a_while() {
        let log = QuietLog::default();
        assert!(log.is_due("FAIL"));
        assert!(!log.is_due("FAIL"));
        assert!(log.is_due("OTHER"));
    }
}
