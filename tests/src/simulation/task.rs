//! Task loops: a source that produces at least once, one that produces exactly once, and a sink with
//! an offsets row. Each looks at the lease, and may be stopped between that look and what it does.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_model::herder::{Event, TaskSpec};
use tidegate_model::state::State;

use super::happening::{
    Answer, Effect, Inside, Outside, Piece, ProcessId, Start, TaskKey, TaskStep,
};
use super::world::World;

/// How many pieces a connector's work has, whatever the number of its tasks.
const PIECES: u32 = 4;
/// After this long a task that shall stop is abandoned.
const GRACE_MS: u64 = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AtLeastOnce,
    ExactlyOnce,
    Ledger,
}

impl Kind {
    /// By the connector's name.
    pub(super) fn of(connector: &str) -> Self {
        match connector.as_bytes().first() {
            Some(b'e') => Self::ExactlyOnce,
            Some(b'l') => Self::Ledger,
            _ => Self::AtLeastOnce,
        }
    }
}

#[derive(Default)]
struct Progress {
    next: u64,
    acked: BTreeSet<u64>,
    /// Before which everything is acked.
    whole: u64,
    committed: u64,
    fence: u32,
}

/// A start of a task.
pub(super) struct Instance {
    pub(super) spec: TaskSpec,
    /// The place in the log of the placement that it was started under.
    pub(super) place: u64,
    pub(super) paused: bool,
    pub(super) stopping: bool,
    pub(super) reported: Option<State>,
    pieces: BTreeMap<Piece, Progress>,
    /// How many pieces it has to know the beginning of.
    awaited: usize,
    epoch: u32,
}

impl World {
    pub(super) fn start_task(
        &mut self,
        process: ProcessId,
        epoch: u64,
        paused: bool,
        spec: TaskSpec,
    ) {
        self.check_start(process, &spec);
        self.tally.starts += 1;
        self.step(|w| format!("{} starts {}", w.processes[process].name, spec.id));
        let key = (spec.id.clone(), epoch);
        let cluster = self.processes[process].herder.log().cluster();
        let place = cluster
            .placement(&spec.id)
            .map_or(0, |placement| placement.place);
        let instance = Instance {
            spec,
            place,
            paused,
            stopping: false,
            reported: None,
            pieces: BTreeMap::new(),
            awaited: 0,
            epoch: 0,
        };
        let state = &mut self.processes[process];
        state.tasks.insert(key.clone(), instance);
        let after_ms = self.rng.u64(5..800);
        self.later(process, after_ms, Inside::Task(key, TaskStep::Begin));
    }

    /// How long a task takes to stop.
    pub(super) fn grace(&mut self) -> u64 {
        match self.rng.u32(0..20) {
            0 => GRACE_MS,
            1..5 => self.rng.u64(500..GRACE_MS),
            _ => self.rng.u64(1..300),
        }
    }

    pub(super) fn task_step(&mut self, process: ProcessId, key: &TaskKey, step: TaskStep) {
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        match step {
            TaskStep::Stopped => self.task_ended(process, key, None),
            _ if task.stopping => {}
            TaskStep::Begin => self.begin_task(process, key),
            TaskStep::Initialised(epoch) => {
                task.epoch = epoch;
                let then = super::happening::AfterRead::Recheck(key.clone());
                self.read_to_ends(process, false, then);
            }
            TaskStep::ReadOffsets => {
                task.pieces.clear();
                let (number, tasks) = (key.0.task, task.spec.tasks.max(1));
                let own: Vec<Piece> = (0..PIECES).filter(|p| p % tasks == number).collect();
                task.awaited = own.len();
                self.open_pieces(process, key, &own);
            }
            TaskStep::Opened(piece, start) => self.opened(process, key, piece, start),
            TaskStep::Round => self.round(process, key),
            TaskStep::Send(effect) => self.send_effect(process, key, effect),
            TaskStep::Answered(effect, answer) => self.answered(process, key, effect, answer),
        }
    }

    fn task_ended(&mut self, process: ProcessId, key: &TaskKey, trace: Option<&str>) {
        self.processes[process].tasks.remove(key);
        let ended = Event::TaskEnded {
            id: key.0.clone(),
            epoch: key.1,
            trace: trace.map(str::to_owned),
        };
        self.handle(process, ended);
    }

    fn task_later(&mut self, process: ProcessId, key: &TaskKey, after_ms: u64, step: TaskStep) {
        self.later(process, after_ms, Inside::Task(key.clone(), step));
    }

    fn begin_task(&mut self, process: ProcessId, key: &TaskKey) {
        if !self.is_lease_valid(process) {
            return self.task_later(process, key, 300, TaskStep::Begin);
        }
        if Kind::of(&key.0.connector) == Kind::ExactlyOnce {
            self.send(process, Outside::InitTask(process, key.clone()));
        } else {
            self.task_later(process, key, 0, TaskStep::ReadOffsets);
        }
    }

    /// The log has been read since the transactional id was had: a generation that is over must not
    /// go on (KIP-618).
    pub(super) fn rechecked(&mut self, process: ProcessId, key: &TaskKey) {
        let state = &self.processes[process];
        let Some(task) = state.tasks.get(key) else {
            return;
        };
        let entry = state.herder.log().connector(&key.0.connector);
        let current = entry.is_some_and(|e| e.generation == task.spec.generation && e.may_run());
        if current {
            let after_ms = self.rng.u64(0..4);
            self.task_later(process, key, after_ms, TaskStep::ReadOffsets);
        }
    }

    fn opened(&mut self, process: ProcessId, key: &TaskKey, piece: Piece, start: Start) {
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        // A source that produces at least once goes round and round whatever is answered.
        let is_round = Kind::of(&key.0.connector) == Kind::AtLeastOnce && task.reported.is_some();
        let progress = Progress {
            next: start.next,
            whole: start.next,
            committed: start.next,
            fence: start.fence,
            acked: BTreeSet::new(),
        };
        task.pieces.insert(piece, progress);
        if task.pieces.len() == task.awaited && !is_round {
            self.task_later(process, key, 1, TaskStep::Round);
        }
    }

    fn round(&mut self, process: ProcessId, key: &TaskKey) {
        let valid = self.is_lease_valid(process);
        let fails = self.is_chaos && self.rng.u32(0..400) == 0;
        if fails {
            self.step(|_| format!("{} fails", key.0));
            return self.task_ended(process, key, Some("the guest trapped"));
        }
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        let state = if task.paused {
            State::Paused
        } else {
            State::Running
        };
        let is_news = task.reported.replace(state) != Some(state);
        let idle = task.paused || !valid;
        let effect = if idle {
            None
        } else {
            self.next_effect(process, key)
        };
        match effect {
            Some(effect) => {
                let pause_ms = self.rng.u64(0..4);
                self.task_later(process, key, pause_ms, TaskStep::Send(effect));
                let is_alone = matches!(effect, Effect::Transact { .. });
                if !is_alone {
                    self.next_round(process, key);
                }
            }
            None => self.next_round(process, key),
        }
        if is_news {
            let (id, epoch) = key.clone();
            self.handle(process, Event::TaskState { id, epoch, state });
        }
    }

    fn next_round(&mut self, process: ProcessId, key: &TaskKey) {
        let after_ms = self.rng.u64(300..2_500);
        self.task_later(process, key, after_ms, TaskStep::Round);
    }

    fn next_effect(&mut self, process: ProcessId, key: &TaskKey) -> Option<Effect> {
        let pieces = &self.processes[process].tasks.get(key)?.pieces;
        let index = self.rng.usize(0..pieces.len().max(1));
        let count = self.rng.u64(1..4);
        let commits = self.rng.u32(0..3) == 0;
        let (piece, progress) = pieces.iter().nth(index)?;
        let (piece, from) = (*piece, progress.next);
        let effect = match Kind::of(&key.0.connector) {
            Kind::AtLeastOnce if commits && progress.whole > progress.committed => {
                Effect::Commit(piece, progress.whole)
            }
            Kind::AtLeastOnce => Effect::Produce(piece, from),
            _ => Effect::Transact {
                piece,
                from,
                to: from + count,
            },
        };
        Some(effect)
    }

    fn send_effect(&mut self, process: ProcessId, key: &TaskKey, effect: Effect) {
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        let (Effect::Produce(piece, _) | Effect::Commit(piece, _) | Effect::Transact { piece, .. }) =
            effect;
        let fence = match task.pieces.get_mut(&piece) {
            // A record is on its way: the next is the one after it.
            Some(progress) if matches!(effect, Effect::Produce(_, n) if n == progress.next) => {
                progress.next += 1;
                progress.fence
            }
            Some(progress) => progress.fence,
            None => return,
        };
        let right = match Kind::of(&key.0.connector) {
            Kind::ExactlyOnce => task.epoch,
            _ => fence,
        };
        let apply = Outside::Apply {
            process,
            task: key.clone(),
            effect,
            right,
        };
        self.send(process, apply);
    }

    fn answered(&mut self, process: ProcessId, key: &TaskKey, effect: Effect, answer: Answer) {
        if answer != Answer::Done {
            return self.task_later(process, key, 300, TaskStep::Begin);
        }
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        match effect {
            Effect::Produce(piece, record) => {
                if let Some(progress) = task.pieces.get_mut(&piece) {
                    progress.acked.insert(record);
                    while progress.acked.remove(&progress.whole) {
                        progress.whole += 1;
                    }
                }
            }
            Effect::Commit(piece, offset) => {
                if let Some(progress) = task.pieces.get_mut(&piece) {
                    progress.committed = progress.committed.max(offset);
                }
            }
            Effect::Transact { piece, to, .. } => {
                if let Some(progress) = task.pieces.get_mut(&piece) {
                    progress.next = to;
                }
                self.next_round(process, key);
            }
        }
    }
}
