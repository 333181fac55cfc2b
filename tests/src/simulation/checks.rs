//! The invariants, by name, and the checks that are made at each effect.

use std::collections::BTreeSet;
use std::fmt;

use tidegate_model::config_log::{ConfigState, ConnectorEntry};
use tidegate_model::herder::TaskSpec;
use tidegate_model::names::TaskId;

use super::happening::ProcessId;
use super::task::Instance;
use super::world::World;

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// How.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.invariant, self.detail)
    }
}

/// A committed at-least-once offset passes no record that is not acked.
pub(super) const D1: &str = "D1";
/// An effect of a stale owner is never accepted.
pub(super) const D4: &str = "D4";
/// Task configurations that run are one complete committed set.
pub(super) const D5: &str = "D5";
/// A revoke is answered only when what ran has ended.
pub(super) const D6: &str = "D6";
/// What was done exactly once has no gap and no repeat.
pub(super) const D8: &str = "D8";
/// What was answered 2xx is in every later read of the log.
pub(super) const D9: &str = "D9";
/// No two workers own a shard, or run a task, under valid leases.
pub(super) const ONE_OWNER: &str = "one effective owner";
/// A moved task starts only after its release, which is true.
pub(super) const MOVES: &str = "moves";
/// Once nothing goes wrong any more, everything runs.
pub(super) const LIVENESS: &str = "liveness";

impl World {
    /// Only the first counts: what follows from it proves nothing.
    pub(super) fn violate(&mut self, invariant: &'static str, detail: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, detail });
        }
    }

    /// At the start of a task.
    pub(super) fn check_start(&mut self, process: ProcessId, spec: &TaskSpec) {
        self.check_set(process, spec);
        let name = &self.processes[process].name;
        let Some(placement) = self.processes[process]
            .herder
            .log()
            .cluster()
            .placement(&spec.id)
        else {
            return;
        };
        if placement.from.is_some() && !self.released.contains(&(spec.id.clone(), placement.place))
        {
            let detail = format!(
                "{name} starts {}, which nobody has let go since place {} moved it",
                spec.id, placement.place
            );
            return self.violate(MOVES, detail);
        }
        if !self.is_leased(process) {
            // Its tasks do nothing without a lease, whoever else may run them.
            return;
        }
        let twin = (0..self.processes.len()).find(|other| {
            *other != process && self.is_leased(*other) && self.runs(*other, &spec.id)
        });
        if let Some(other) = twin {
            let other = &self.processes[other].name;
            let detail = format!(
                "{name} starts {} under a valid lease, and {other} runs it under another",
                spec.id
            );
            self.violate(ONE_OWNER, detail);
        }
    }

    fn check_set(&mut self, process: ProcessId, spec: &TaskSpec) {
        let complete = self.log.sets.get(&spec.generation).is_some_and(|set| {
            set.connector == spec.id.connector
                && set.tasks.len() == spec.tasks as usize
                && set.tasks.get(spec.id.task as usize) == Some(&spec.task_config)
                && set.revision == spec.revision
                && set.exactly_once == spec.exactly_once
        });
        if !complete {
            let name = &self.processes[process].name;
            let detail = format!(
                "{name} starts {} of generation {} and revision {} with a configuration that no commit has",
                spec.id, spec.generation, spec.revision
            );
            self.violate(D5, detail);
        }
    }

    /// When a worker begins to own shards.
    pub(super) fn check_gain(&mut self, process: ProcessId) {
        let other = (0..self.processes.len()).find(|other| {
            let (this, that) = (&self.processes[process], &self.processes[*other]);
            *other != process && self.is_leased(*other) && !this.active.is_disjoint(&that.active)
        });
        if let Some(other) = other {
            let (this, that) = (&self.processes[process], &self.processes[other]);
            let both: Vec<&u32> = this.active.intersection(&that.active).collect();
            let detail = format!("{} and {} own shards {both:?}", this.name, that.name);
            self.violate(ONE_OWNER, detail);
        }
    }

    /// When a release is in the topic.
    pub(super) fn check_release(&mut self, id: &TaskId, place: u64) {
        let still = self.processes.iter().enumerate().find(|(process, p)| {
            let is_old = |task: &Instance| task.spec.id == *id && task.place < place;
            self.is_leased(*process) && p.tasks.values().any(is_old)
        });
        if let Some((_, process)) = still {
            let detail = format!(
                "{id} is said to be let go by the move at place {place}, and {} still runs it",
                process.name
            );
            self.violate(MOVES, detail);
        }
    }

    /// When a process has read the log from its beginning: compaction has taken nothing that counts.
    pub(super) fn check_read(&mut self, process: ProcessId) {
        let read = self.processes[process].herder.log();
        // Not the place of the last record read, which compaction may have left of a transaction.
        let until = self.log.entries[..self.processes[process].log_index].last();
        let until = until.map_or(0, |entry| entry.place);
        let Some((_, whole)) = self.log.states.range(..=until).next_back() else {
            return;
        };
        if essence(read) != essence(whole) {
            let detail = format!(
                "{} has read the log up to place {} and gets {:?}, where the whole log gives {:?}",
                self.processes[process].name,
                until,
                essence(read),
                essence(whole)
            );
            self.violate(D9, detail);
        }
    }

    /// When a revoke is answered.
    pub(super) fn check_quiet(&mut self, process: ProcessId, shards: &BTreeSet<u32>) {
        let mut tasks = self.processes[process].tasks.values();
        let on = |task: &&Instance| task.spec.shard.is_some_and(|shard| shards.contains(&shard));
        if let Some(task) = tasks.find(on) {
            let name = &self.processes[process].name;
            let detail = format!(
                "{name} answers that {shards:?} may go, and {} still runs there",
                task.spec.id
            );
            self.violate(D6, detail);
        }
    }

    fn is_leased(&self, process: ProcessId) -> bool {
        let process = &self.processes[process];
        process.alive && self.now_ms < process.lease_until_ms
    }

    fn runs(&self, process: ProcessId, id: &TaskId) -> bool {
        let tasks = &self.processes[process].tasks;
        tasks.keys().any(|(task, _)| task == id)
    }
}

/// What of a state decides what runs.
fn essence(state: &ConfigState) -> (Vec<String>, String) {
    let connector = |(name, entry): (&String, &ConnectorEntry)| {
        let planned = entry.planned_revision == entry.revision;
        format!(
            "{name}: {:?} {:?} at {} tasks {:?} planned {planned} may run {} ids {}",
            entry.target,
            entry.config,
            entry.revision,
            entry.tasks,
            entry.may_run(),
            entry.fenced_tasks,
        )
    };
    let connectors = state.connectors().iter().map(connector).collect();
    let placements = format!("{:?}", state.cluster().placements());
    (connectors, placements)
}
