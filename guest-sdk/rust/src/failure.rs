//! Why a call failed and whether the host shall try again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::bindings::types;
use crate::sql::SqlError;

/// The result of nearly everything here.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// A call that did not do its work. Every `std` error becomes one by `?`: fatal, except for a
/// database that is unavailable, which is worth another try.
///
/// Like `anyhow::Error` it is no `std` error itself, or that conversion could not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    reason: String,
    retry: Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Never,
    HostBackoff,
    After(Duration),
}

impl Failure {
    /// The task ends in FAILED and shows `reason`.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry: Retry::Never,
        }
    }

    /// The host repeats the call with the same input, after a pause it chooses.
    pub fn retriable(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry: Retry::HostBackoff,
        }
    }

    /// The host repeats the call with the same input after `pause`.
    pub fn retry_after(pause: Duration, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            retry: Retry::After(pause),
        }
    }

    /// Puts what was being done before the reason: `open /var/log/app: permission denied`.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.reason = format!("{doing}: {}", self.reason);
        self
    }

    /// Whether the host will repeat the call.
    pub fn is_retriable(&self) -> bool {
        self.retry != Retry::Never
    }

    /// The pause it asks for, if any.
    pub fn pause(&self) -> Option<Duration> {
        match self.retry {
            Retry::After(pause) => Some(pause),
            Retry::Never | Retry::HostBackoff => None,
        }
    }

    /// The reason alone.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &(dyn Error + 'static) = &error;
        if let Some(failure) = any.downcast_ref::<types::Failure>() {
            return Self::from_wire(failure.clone());
        }
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        match any.downcast_ref::<SqlError>() {
            Some(SqlError::Unavailable(_)) => Self::retriable(reason),
            _ => Self::fatal(reason),
        }
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure.retry {
            Retry::Never => Self::Fatal(failure.reason),
            Retry::HostBackoff => Self::Retriable((failure.reason, None)),
            Retry::After(pause) => Self::Retriable((failure.reason, Some(millis(pause)))),
        }
    }
}

impl Failure {
    fn from_wire(failure: types::Failure) -> Self {
        match failure {
            types::Failure::Fatal(reason) => Self::fatal(reason),
            types::Failure::Retriable((reason, None)) => Self::retriable(reason),
            types::Failure::Retriable((reason, Some(pause))) => {
                Self::retry_after(Duration::from_millis(pause.into()), reason)
            }
        }
    }
}

/// Says what was being done when something failed.
pub trait OrFail<T> {
    /// Keeps what the error is (fatal, or retriable as it was) and puts `doing` before it.
    fn or_fail(self, doing: impl fmt::Display) -> Result<T>;
    /// Makes it retriable, with `doing` before it.
    fn or_retry(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Failure>> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(doing))
    }

    fn or_retry(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::retriable(error.into().reason).context(doing))
    }
}

/// Whole milliseconds, as the contract counts pauses; more than 49 days are 49 days.
pub(crate) fn millis(pause: Duration) -> u32 {
    u32::try_from(pause.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn std_errors_are_fatal_and_keep_their_text() {
        fn parse() -> Result<u32> {
            Ok("x".parse::<u32>()?)
        }
        let failure = parse().unwrap_err().context("read the port");
        assert!(!failure.is_retriable());
        assert_eq!(
            failure.to_string(),
            "read the port: invalid digit found in string"
        );
    }

    #[test]
    fn an_unavailable_database_is_worth_another_try() {
        let failure = Failure::from(SqlError::Unavailable("busy".into()));
        assert!(failure.is_retriable());
        let failure = Failure::from(SqlError::Denied("no".into()));
        assert!(!failure.is_retriable());
    }

    #[test]
    fn a_pause_survives_the_contract_and_back() {
        let failure = Failure::retry_after(Duration::from_secs(2), "full");
        assert_eq!(
            Failure::from(types::Failure::from(failure.clone())),
            failure
        );
    }
}
