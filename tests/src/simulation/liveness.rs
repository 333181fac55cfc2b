//! What has to come true once nothing goes wrong any more.

use std::collections::BTreeMap;

use tidegate_model::names::TaskId;
use tidegate_model::state::{PlacedStatus, State, TargetState};

use super::checks::LIVENESS;
use super::happening::{Outside, ProcessId};
use super::world::World;

/// By then everything has to run: sessions and transactions that have to end, restarts, moves that
/// wait for tasks to stop, each with time to spare.
const LIMIT_MS: u64 = 120_000;
/// By then weights have been looked at without an occasion, six times: tasks that were created again go
/// where they were, however uneven that is, and one look moves few.
const BALANCE_LIMIT_MS: u64 = 2_000_000;
/// And it has to go on so.
const STAYS_MS: u64 = 4_000;

impl World {
    pub(super) fn look_whether_settled(&mut self) {
        let live = self.live();
        let unsettled = match live {
            Ok(live) => self.unsettled(&live).or_else(|| {
                self.runs_all = true;
                self.balance(&live)
            }),
            Err(why) => Some(why),
        };
        let limit_ms = if self.runs_all {
            BALANCE_LIMIT_MS
        } else {
            LIMIT_MS
        };
        match (unsettled, self.settled_ms) {
            (None, None) => {
                self.step(|_| "everything runs".to_owned());
                self.settled_ms = Some(self.now_ms);
                self.later_outside(STAYS_MS, Outside::Settled);
            }
            (None, Some(_)) => self.is_over = true,
            (Some(_), _) if self.now_ms < self.healed_ms + limit_ms => {
                self.settled_ms = None;
                self.later_outside(2_000, Outside::Settled);
            }
            (Some(why), _) => {
                let detail = format!("{limit_ms} ms after the last trouble {why}");
                self.violate(LIVENESS, detail);
            }
        }
    }

    /// The processes, one of each worker that is not removed; or what is amiss with them.
    fn live(&self) -> Result<Vec<ProcessId>, String> {
        let mut live = Vec::new();
        for worker in &self.workers {
            match worker.process {
                Some(process) if worker.is_removed => {
                    return Err(format!("{} is still there", self.processes[process].name));
                }
                Some(process) => live.push(process),
                None if worker.is_removed => {}
                None => return Err(format!("{} does not run", worker.name)),
            }
        }
        Ok(live)
    }

    /// What is not yet as it should be.
    fn unsettled(&self, live: &[ProcessId]) -> Option<String> {
        let checks = [Self::membership, Self::views, Self::tasks, Self::statuses];
        checks.iter().find_map(|check| check(self, live))
    }

    fn membership(&self, live: &[ProcessId]) -> Option<String> {
        let leaders = live
            .iter()
            .filter(|p| self.processes[**p].herder.is_leading());
        let leaders: Vec<&String> = leaders.map(|p| &self.processes[*p].name).collect();
        if leaders.len() != 1 {
            return Some(format!("these lead: {leaders:?}"));
        }
        for process in live {
            let state = &self.processes[*process];
            if !self.is_lease_valid(*process) || state.active.is_empty() {
                return Some(format!("{} has no shards under a lease", state.name));
            }
            if state.active != state.assigned {
                return Some(format!("{} does not use all of its shards", state.name));
            }
        }
        let is_orphan = |shard: &u32| self.group.process_of(*shard).is_none();
        let orphan = (0..self.shards).find(is_orphan);
        orphan.map(|shard| format!("shard {shard} has no owner"))
    }

    fn views(&self, live: &[ProcessId]) -> Option<String> {
        for process in live {
            let state = &self.processes[*process];
            let name = &state.name;
            if state.log_index != self.log.entries.len() {
                return Some(format!("{name} has not read all of the log"));
            }
            let directory = state.herder.directory()?;
            for shard in 0..self.shards {
                let owner = self.group.process_of(shard)?;
                let owner = &self.processes[owner].worker_name;
                if directory.owner(shard) != Some(owner) {
                    let other = directory.owner(shard);
                    return Some(format!(
                        "{name} takes {other:?} for the owner of shard {shard}, which is {owner}"
                    ));
                }
            }
            for id in self.wanted().keys() {
                if !state.herder.is_move_done(id) {
                    return Some(format!("{name} believes that {id} is being moved"));
                }
            }
        }
        None
    }

    /// All tasks that should be there, with what they should be doing.
    fn wanted(&self) -> BTreeMap<TaskId, State> {
        let connectors = self.log.whole.connectors().iter();
        let tasks = connectors.flat_map(|(name, entry)| {
            let state = match entry.target {
                TargetState::Started => State::Running,
                _ => State::Paused,
            };
            let ids = (0..)
                .zip(&entry.tasks)
                .map(|(task, _)| TaskId::new(name.as_str(), task));
            ids.map(move |id| (id, state)).collect::<Vec<_>>()
        });
        tasks.collect()
    }

    fn tasks(&self, live: &[ProcessId]) -> Option<String> {
        for (name, entry) in self.log.whole.connectors() {
            let planned = entry.planned_revision == entry.revision;
            // A paused connector is planned when it goes on.
            if entry.target == TargetState::Started && !(planned && entry.may_run()) {
                return Some(format!("{name} is not planned, or not fenced"));
            }
        }
        let wanted = self.wanted();
        for process in live {
            let state = &self.processes[*process];
            let extra = state.tasks.keys().find(|(id, _)| !wanted.contains_key(id));
            if let Some((id, _)) = extra {
                return Some(format!("{} runs {id}, which nobody wants", state.name));
            }
        }
        for (id, state) in wanted {
            let entry = self.log.whole.connector(&id.connector)?;
            let runs = live.iter().flat_map(|p| {
                let tasks = self.processes[*p].tasks.iter();
                tasks
                    .filter(|((task, _), _)| *task == id)
                    .map(|(_, task)| (*p, task))
            });
            let runs: Vec<_> = runs.collect();
            let may_rest = entry.target == TargetState::Paused
                && (entry.planned_revision != entry.revision || !entry.may_run());
            match runs.as_slice() {
                [] if may_rest => {}
                [(process, task)] => {
                    let shard = self.log.whole.cluster().placement(&id).map(|p| p.shard);
                    let owner = shard.and_then(|shard| self.group.process_of(shard));
                    let name = &self.processes[*process].name;
                    if owner != Some(*process) {
                        return Some(format!("{name} runs {id}, whose shard is not its own"));
                    }
                    if task.reported != Some(state) || task.stopping {
                        return Some(format!("{id} on {name} is not {state:?}"));
                    }
                }
                other => return Some(format!("{id} runs {} times", other.len())),
            }
        }
        None
    }

    /// What is said of tasks. What is said of connectors is left out: a former leader's late word stands
    /// until the leader has something else to say.
    fn statuses(&self, live: &[ProcessId]) -> Option<String> {
        for (name, entry) in self.log.whole.connectors() {
            let planned = entry.planned_revision == entry.revision && entry.may_run();
            if entry.target == TargetState::Paused && !planned {
                // Nothing runs until it goes on, and nobody says of a task that it does not.
                continue;
            }
            let of = |p: &ProcessId| self.processes[*p].herder.task_statuses(name);
            let first = of(live.first()?);
            if let Some(other) = live.iter().find(|p| of(p) != first) {
                let (a, b) = (
                    &self.processes[*live.first()?].name,
                    &self.processes[*other].name,
                );
                let second = of(other);
                return Some(format!(
                    "tasks of {name} are {first:?} for {a}, {second:?} for {b}"
                ));
            }
            let running = |placed: &PlacedStatus| placed.status.state == State::Running;
            if entry.target == TargetState::Started && !first.iter().all(running) {
                return Some(format!("the statuses of {name} are {first:?}"));
            }
        }
        None
    }

    /// As even as a look at the weights makes it: to less than half of the mean.
    fn balance(&self, live: &[ProcessId]) -> Option<String> {
        let mut loads: BTreeMap<ProcessId, usize> = live.iter().map(|p| (*p, 0)).collect();
        for id in self.wanted().keys() {
            let placement = self.log.whole.cluster().placement(id)?;
            let owner = self.group.process_of(placement.shard)?;
            *loads.entry(owner).or_default() += 1;
        }
        let (least, most) = (loads.values().min()?, loads.values().max()?);
        let gap = most - least;
        let total: usize = loads.values().sum();
        let uneven = gap > 1 && gap * 2 * loads.len() >= total;
        uneven.then(|| {
            format!(
                "the workers run {:?} tasks",
                loads.values().collect::<Vec<_>>()
            )
        })
    }
}
