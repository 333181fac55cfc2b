//! How far the planning of one connector is.

use crate::config::ConfigMap;

/// A guest that asks to be planned more often than this is not: each difference restarts tasks.
const MIN_REPLAN_MS: u64 = 60_000;

/// What a worker knows of one connector beyond the log.
#[derive(Debug, Default)]
pub(super) struct ConnectorRun {
    /// Revision whose plan is being asked for.
    asking: Option<u64>,
    /// Revision that was last answered.
    answered: Option<u64>,
    failure: Option<String>,
    again_at_ms: Option<u64>,
}

impl ConnectorRun {
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub(super) fn due_ms(&self) -> Option<u64> {
        self.again_at_ms.filter(|_| self.asking.is_none())
    }

    /// Plan again at the next occasion.
    pub(super) fn ask(&mut self) {
        self.asking = None;
        self.answered = None;
    }

    pub(super) fn should_plan(&mut self, now_ms: u64, revision: u64) -> bool {
        if self.asking == Some(revision) {
            return false;
        }
        let due = self.again_at_ms.is_some_and(|at| at <= now_ms);
        if self.answered == Some(revision) && !due {
            return false;
        }
        self.asking = Some(revision);
        self.again_at_ms = None;
        true
    }

    /// Whether the answer is the one waited for.
    pub(super) fn answered(
        &mut self,
        now_ms: u64,
        revision: u64,
        outcome: &Result<(Vec<ConfigMap>, Option<u32>), String>,
    ) -> bool {
        if self.asking != Some(revision) {
            return false;
        }
        self.asking = None;
        self.answered = Some(revision);
        match outcome {
            Ok((_, interval_ms)) => {
                self.failure = None;
                self.again_at_ms = interval_ms.map(|ms| now_ms + u64::from(ms).max(MIN_REPLAN_MS));
            }
            Err(trace) => self.failure = Some(trace.clone()),
        }
        true
    }
}

/// Whether and how failed tasks of a connector are started again without a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestartPolicy {
    /// How often in a row; 0: never, which is Kafka Connect's way and the default.
    pub max_attempts: u32,
    /// First pause; it doubles.
    pub backoff_ms: u64,
    /// Longest pause.
    pub backoff_max_ms: u64,
}

impl RestartPolicy {
    /// The connector keys that set it.
    pub const KEYS: [&'static str; 3] = [
        "tidegate.restart.max.attempts",
        "tidegate.restart.backoff.ms",
        "tidegate.restart.backoff.max.ms",
    ];

    /// As the connector's configuration says; values were checked when it was created.
    pub fn of(config: &ConfigMap) -> Self {
        let [max_attempts, backoff_ms, backoff_max_ms] =
            Self::KEYS.map(|key| config.get(key).and_then(|v| v.trim().parse::<u64>().ok()));
        Self {
            max_attempts: max_attempts
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            backoff_ms: backoff_ms.unwrap_or(1_000),
            backoff_max_ms: backoff_max_ms.unwrap_or(60_000),
        }
    }
}
