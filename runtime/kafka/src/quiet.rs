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
pub(crate) struct QuietLog(Mutex<HashMap<String, Instant>>);

impl QuietLog {
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
                    tracing::warn!(target: "librdkafka", "{facility}: {message}");
                }
            }
            Level::Notice | Level::Info => {
                tracing::info!(target: "librdkafka", "{facility}: {message}");
            }
            Level::Debug => tracing::debug!(target: "librdkafka", "{facility}: {message}"),
        }
    }

    /// An error that concerns the whole client.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        if self.is_due(&error.to_string()) {
            tracing::warn!("Kafka: {error}: {reason}");
        }
    }

    fn is_due(&self, kind: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
