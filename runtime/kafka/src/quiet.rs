//! What librdkafka says, without its repetitions: while a broker is away it reports every attempt of
//! every connection, dozens of lines a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::reachability::Reachability;

/// How often the same kind of line is written.
const EVERY: Duration = Duration::from_secs(60);

/// The log of one client.
#[derive(Debug, Default)]
pub(crate) struct QuietLog {
    /// Whose client it is, such as a task; empty for one that many share.
    owner: String,
    /// Learns from the lines whether the client gets through.
    pub(crate) reachability: Arc<Reachability>,
    last: Mutex<HashMap<String, Instant>>,
}

impl QuietLog {
    pub(crate) fn new(owner: &str, reachability: Arc<Reachability>) -> Self {
        Self {
            owner: owner.to_owned(),
            reachability,
            last: Mutex::default(),
        }
    }

    /// A line of librdkafka; `facility` is its kind.
    pub(crate) fn line(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as Level;
        match level {
            // Each attempt of each connection. What is worth a line comes as an error too.
            _ if facility == "FAIL" => {
                // Each of them comes at this level, some at another one besides.
                if matches!(level, Level::Debug) {
                    self.reachability.line(facility, message);
                }
                tracing::debug!(target: "librdkafka", task = self.owner, "{facility}: {message}");
            }
            // At every start of a cluster; it goes on by itself, and if not, says so as an error.
            Level::Warning if facility == "GETPID" && message.ends_with("retrying") => {
                tracing::debug!(target: "librdkafka", "{facility}: {message}");
            }
            // Each member of a group says so when Kafka is away, which is told once already.
            Level::Warning if facility == "SESSTMOUT" && self.is_told_of_trouble() => {
                tracing::debug!(target: "librdkafka", task = self.owner, "{facility}: {message}");
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
                self.reachability.line(facility, message);
                tracing::debug!(target: "librdkafka", task = self.owner, "{facility}: {message}");
            }
        }
    }

    /// An error that concerns the whole client.
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        // Brokers that are away are one trouble, however many of them say so in turn.
        let kind = match error.rdkafka_error_code() {
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::Resolve
                | Code::SSL
                | Code::Authentication,
            ) if self.reachability.is_told() => {
                tracing::debug!(task = self.owner, "Kafka: {error}: {reason}");
                return;
            }
            Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut) => {
                "away".to_owned()
            }
            _ => error.to_string(),
        };
        if self.is_due(&kind) {
            tracing::warn!(task = self.owner, "Kafka: {error}: {reason}");
        }
    }

    fn is_told_of_trouble(&self) -> bool {
        self.reachability.is_told() && self.reachability.has_trouble()
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
