//! The life of one task on this worker.

use super::connector_run::RestartPolicy;
use super::{Action, TaskSpec};
use crate::retry::Backoff;
use crate::state::{State, Status, Wait};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Started, nothing heard yet.
    Starting,
    Running,
    Paused,
    /// Asked to end.
    Stopping,
    /// Ended by itself; may be due for an automatic restart.
    Failed {
        trace: String,
        restart_at_ms: Option<u64>,
    },
}

#[derive(Debug)]
pub(super) struct TaskRun {
    epoch: u64,
    spec: TaskSpec,
    phase: Phase,
    paused: bool,
    waiting: Option<Wait>,
    restart_asked: bool,
    restarts: u32,
    started_ms: u64,
}

impl TaskRun {
    pub(super) fn starting(
        now_ms: u64,
        epoch: u64,
        spec: TaskSpec,
        paused: bool,
        restarts: u32,
    ) -> Self {
        let phase = Phase::Starting;
        Self {
            epoch,
            spec,
            phase,
            paused,
            waiting: None,
            restart_asked: false,
            restarts,
            started_ms: now_ms,
        }
    }

    /// Whether its loop has not ended.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Failed { .. })
    }

    /// Whether it is at work, or at rest, on just this plan, and nobody wants it to start afresh.
    pub(super) fn is_steady(&self, revision: u64, generation: u64, paused: bool) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
            && !self.restart_asked
            && self.paused == paused
            && self.spec.revision == revision
            && self.spec.generation == generation
    }

    pub(super) fn spec(&self) -> &TaskSpec {
        &self.spec
    }

    /// Automatic restarts in a row.
    pub(super) fn restarts(&self) -> u32 {
        self.restarts
    }

    pub(super) fn restart_due_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Failed { restart_at_ms, .. } => restart_at_ms,
            _ => None,
        }
    }

    pub(super) fn status(&self) -> Status {
        let status = self.plain_status();
        Status {
            waiting: self.waiting.clone().filter(|_| self.waits_may_be_told()),
            ..status
        }
    }

    /// A task that is to end, or has ended, waits for nothing.
    fn waits_may_be_told(&self) -> bool {
        self.is_live() && self.phase != Phase::Stopping && !self.restart_asked
    }

    fn plain_status(&self) -> Status {
        match &self.phase {
            _ if self.restart_asked => Status::of(State::Restarting),
            Phase::Starting => Status::of(State::Unassigned),
            Phase::Running => Status::of(State::Running),
            Phase::Paused => Status::of(State::Paused),
            Phase::Stopping => Status::of(State::Unassigned),
            Phase::Failed { trace, .. } => Status::failed(trace.clone()),
        }
    }

    pub(super) fn ask_restart(&mut self) {
        self.restart_asked = true;
        self.restarts = 0;
    }

    pub(super) fn reported(&mut self, epoch: u64, state: State) {
        if epoch != self.epoch || !self.is_live() || self.phase == Phase::Stopping {
            return;
        }
        self.phase = if state == State::Paused {
            Phase::Paused
        } else {
            Phase::Running
        };
    }

    /// What it waits for; none: it goes on.
    pub(super) fn waits(&mut self, epoch: u64, waiting: Option<Wait>) {
        if epoch == self.epoch {
            self.waiting = waiting;
        }
    }

    pub(super) fn stop(&mut self) -> Option<Action> {
        if self.phase == Phase::Stopping {
            return None;
        }
        self.phase = Phase::Stopping;
        Some(Action::Stop(self.spec.id.clone(), self.epoch))
    }

    /// Whether nothing is left to know of it.
    pub(super) fn ended(
        &mut self,
        now_ms: u64,
        epoch: u64,
        trace: Option<String>,
        policy: RestartPolicy,
    ) -> bool {
        if epoch != self.epoch {
            return false;
        }
        // An end that was asked for is no failure, whatever its last words were; one that was not
        // asked for is, even without words.
        if self.phase == Phase::Stopping {
            return true;
        }
        let trace = trace.unwrap_or_else(|| "task ended without being asked to".to_owned());
        // A task that ran longer than the longest pause has recovered: it starts counting afresh.
        if now_ms.saturating_sub(self.started_ms) > policy.backoff_max_ms {
            self.restarts = 0;
        }
        let restart_at_ms = (self.restarts < policy.max_attempts).then(|| {
            let mut backoff = Backoff::new(policy.backoff_ms, policy.backoff_max_ms);
            let pause = (0..=self.restarts)
                .map(|_| backoff.next_ms(0.0))
                .last()
                .unwrap_or(0);
            now_ms + pause
        });
        self.phase = Phase::Failed {
            trace,
            restart_at_ms,
        };
        false
    }

    /// What to do to get to `spec`, and whether a start is due now.
    pub(super) fn reconcile(
        &mut self,
        now_ms: u64,
        spec: &TaskSpec,
        paused: bool,
    ) -> (Option<Action>, bool) {
        let outdated = self.spec.task_config != spec.task_config
                || self.spec.revision != spec.revision
                || self.spec.shard != spec.shard
                // Its transactional id has been fenced for the new generation.
                || (spec.exactly_once && self.spec.generation != spec.generation);
        if let Phase::Failed { restart_at_ms, .. } = self.phase {
            if outdated || self.restart_asked {
                self.restarts = 0;
                return (None, true);
            }
            if restart_at_ms.is_some_and(|at| at <= now_ms) {
                self.restarts += 1;
                return (None, true);
            }
            return (None, false);
        }
        if outdated || self.restart_asked {
            return (self.stop(), false);
        }
        if self.paused != paused && self.phase != Phase::Stopping {
            self.paused = paused;
            return (
                Some(Action::SetPaused(self.spec.id.clone(), self.epoch, paused)),
                false,
            );
        }
        (None, false)
    }
}
