//! How far the planning of one connector is.

use super::action::PlanOutcome;
use crate::config::ConfigMap;
use crate::config_log::ConnectorEntry;
use crate::state::TargetState;

/// A guest that asks to be planned more often than this is not: each difference restarts tasks.
const MIN_REPLAN_MS: u64 = 60_000;

/// What a worker knows of one connector beyond the log.
#[derive(Debug, Default)]
pub(super) struct ConnectorRun {
    /// Revision whose plan is being asked for.
    asking: Option<u64>,
    /// Revision that was last answered.
    answered: Option<u64>,
    /// The last answer, until the log has it.
    plan: Option<PlanOutcome>,
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
        self.plan = None;
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

    /// Takes the answer, if it is the one waited for.
    pub(super) fn answered(
        &mut self,
        now_ms: u64,
        revision: u64,
        outcome: Result<PlanOutcome, String>,
    ) {
        if self.asking != Some(revision) {
            return;
        }
        self.asking = None;
        self.answered = Some(revision);
        match outcome {
            Ok(plan) => {
                self.failure = None;
                let interval_ms = plan.again_after_ms;
                self.again_at_ms = interval_ms.map(|ms| now_ms + u64::from(ms).max(MIN_REPLAN_MS));
                self.plan = Some(plan);
            }
            Err(trace) => self.failure = Some(trace),
        }
    }

    /// The plan that the log does not have yet.
    pub(super) fn plan_to_store(&mut self, entry: &ConnectorEntry) -> Option<PlanOutcome> {
        let plan = self.plan.as_ref()?;
        let outdated = self.answered != Some(entry.revision);
        let stored = entry.planned_revision == entry.revision
            && entry.exactly_once == plan.exactly_once
            && same_set(&entry.tasks, &plan.tasks);
        // A stop while the plugin was planning has emptied the task list; leave it so.
        if outdated || stored || entry.target == TargetState::Stopped {
            self.plan = None;
        }
        self.plan.clone()
    }
}

/// Task configurations are a set: an answer in another order restarts nothing.
fn same_set(a: &[ConfigMap], b: &[ConfigMap]) -> bool {
    let sorted = |configs: &[ConfigMap]| {
        let mut configs: Vec<ConfigMap> = configs.to_vec();
        configs.sort();
        configs
    };
    a.len() == b.len() && sorted(a) == sorted(b)
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
