//! What has to come true once nothing goes wrong any more.

use std::collections::BTreeMap;

use tidegate_model::names::TaskId;
use tidegate_model::state::{State, TargetState};

use super::checks::LIVENESS;
use super::happening::{Outside, ProcessId};
use super::world::World;

/// By then everything has to run: sessions and transactions that have to end, restarts, moves that
/// wait for tasks to stop, each with time to spare.
const LIMIT_MS: u64 = 120_000;
/// And it has to go on so.
const STAYS_MS: u64 = 4_000;

impl World {
    pub(super) fn look_whether_settled(&mut self) {
        let unsettled = self.unsettled();
        match (unsettled, self.settled_ms) {
            (None, None) => {
                self.step(|_| "everything runs".to_owned());
                self.settled_ms = Some(self.now_ms);
                self.later_outside(STAYS_MS, Outside::Settled);
            }
            (None, Some(_)) => self.is_over = true,
            (Some(_), _) if self.now_ms < self.healed_ms + LIMIT_MS => {
                self.settled_ms = None;
                self.later_outside(2_000, Outside::Settled);
            }
            (Some(why), _) => {
                let detail = format!("{LIMIT_MS} ms after the last trouble {why}");
                self.violate(LIVENESS, detail);
            }
        }
    }

    /// What is not yet as it should be.
    fn unsettled(&self) -> Option<String> {
        let mut live = Vec::new();
        for worker in &self.workers {
            match worker.process {
                Some(process) if worker.is_removed => {
                    return Some(format!("{} is still there", self.processes[process].name));
                }
                Some(process) => live.push(process),
                None if worker.is_removed => {}
                None => return Some(format!("{} does not run", worker.name)),
            }
        }
        let checks = [
            Self::membership,
            Self::views,
            Self::tasks,
            Self::statuses,
            Self::balance,
        ];
        checks.iter().find_map(|check| check(self, &live))
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
            if state.herder.log().last_place() != self.log.whole.last_place() {
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

    fn statuses(&self, live: &[ProcessId]) -> Option<String> {
        let connectors = self.log.whole.connectors();
        for (name, entry) in connectors {
            let of = |p: &ProcessId| {
                let herder = &self.processes[*p].herder;
                (herder.connector_status(name), herder.task_statuses(name))
            };
            let first = of(live.first()?);
            let is_other = |p: &&ProcessId| of(p) != first;
            if let Some(other) = live.iter().find(is_other) {
                let (a, b) = (
                    &self.processes[*live.first()?].name,
                    &self.processes[*other].name,
                );
                let second = of(other);
                return Some(format!("{name} is {first:?} for {a}, {second:?} for {b}"));
            }
            let running = |placed: &tidegate_model::state::PlacedStatus| {
                placed.status.state == State::Running
            };
            if entry.target == TargetState::Started && !first.1.iter().all(running) {
                return Some(format!("the statuses of {name} are {:?}", first.1));
            }
        }
        None
    }

    /// As even as the herder makes it at the occasion of a worker that came.
    fn balance(&self, live: &[ProcessId]) -> Option<String> {
        let mut loads: BTreeMap<ProcessId, usize> = live.iter().map(|p| (*p, 0)).collect();
        for id in self.wanted().keys() {
            let placement = self.log.whole.cluster().placement(id)?;
            let owner = self.group.process_of(placement.shard)?;
            *loads.entry(owner).or_default() += 1;
        }
        let (least, most) = (loads.values().min()?, loads.values().max()?);
        let uneven = most - least > 1;
        uneven.then(|| {
            format!(
                "the workers run {:?} tasks",
                loads.values().collect::<Vec<_>>()
            )
        })
    }
}
