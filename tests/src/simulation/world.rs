//! The simulated world: everything there is, and the loop that lets things happen in it.

use std::collections::{BTreeSet, VecDeque};

use fastrand::Rng;
use tidegate_model::names::TaskId;

use super::Tally;
use super::checks::Violation;
use super::group::Group;
use super::happening::{Happening, Inside, Outside, ProcessId};
use super::log_topic::LogTopic;
use super::process::Process;
use super::schedule::Schedule;
use super::status_topic::StatusTopic;
use super::target::Targets;
use super::user::User;

/// A worker: its name and, one after the other, its processes.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) process: Option<ProcessId>,
    /// Whether its membership outlasts its processes.
    pub(super) is_static: bool,
    /// Told to go for good; it is not started again.
    pub(super) is_removed: bool,
    /// Until then nothing it sends gets through.
    pub(super) cut_until_ms: u64,
}

/// The last steps, if anybody wants to see them.
#[derive(Default)]
pub(super) struct Steps {
    limit: Option<usize>,
    last: VecDeque<String>,
}

impl Steps {
    pub(super) fn take_last(&mut self) -> Vec<String> {
        std::mem::take(&mut self.last).into()
    }
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) rng: Rng,
    pub(super) schedule: Schedule,
    pub(super) shards: u32,
    pub(super) log: LogTopic,
    pub(super) status: StatusTopic,
    pub(super) group: Group,
    pub(super) targets: Targets,
    pub(super) workers: Vec<Worker>,
    pub(super) processes: Vec<Process>,
    pub(super) user: User,
    /// Moves whose release has been in the status topic.
    pub(super) released: BTreeSet<(TaskId, u64)>,
    /// Whether things go wrong.
    pub(super) is_chaos: bool,
    pub(super) healed_ms: u64,
    pub(super) settled_ms: Option<u64>,
    /// Everything runs, if not evenly spread.
    pub(super) runs_all: bool,
    pub(super) is_over: bool,
    pub(super) violation: Option<Violation>,
    pub(super) steps: Steps,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new(seed: u64, steps: Option<usize>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let shards = rng.u32(8..17);
        let mut world = Self {
            now_ms: 0,
            rng,
            schedule: Schedule::default(),
            shards,
            log: LogTopic::default(),
            status: StatusTopic::default(),
            group: Group::new(shards),
            targets: Targets::default(),
            workers: Vec::new(),
            processes: Vec::new(),
            user: User::default(),
            released: BTreeSet::new(),
            is_chaos: true,
            healed_ms: 0,
            settled_ms: None,
            runs_all: false,
            is_over: false,
            violation: None,
            steps: Steps {
                limit: steps,
                last: VecDeque::new(),
            },
            tally: Tally::default(),
        };
        world.begin();
        world
    }

    pub(super) fn run(&mut self) {
        while self.violation.is_none() && !self.is_over {
            let Some((at_ms, what)) = self.schedule.next() else {
                return;
            };
            self.now_ms = at_ms;
            match what {
                Happening::In(process, inside) => self.inside(process, inside),
                Happening::Out(outside) => self.outside(outside),
            }
        }
    }

    fn inside(&mut self, process: ProcessId, inside: Inside) {
        let state = &mut self.processes[process];
        if state.is_paused {
            state.deferred.push(inside);
        } else if state.alive {
            self.happen(process, inside);
        }
    }

    fn outside(&mut self, outside: Outside) {
        match outside {
            Outside::Boot(worker) => self.boot(worker),
            Outside::Resume(process) => self.resume(process),
            Outside::Join(process) => self.join(process),
            Outside::Heartbeat {
                process,
                member,
                sent_ms,
                ends,
                has_shards,
            } => self.heartbeat(process, member, sent_ms, ends, has_shards),
            Outside::Revoked(member, shards) => self.revoked(member, &shards),
            Outside::Leave(member) => self.expel(member, "it leaves"),
            Outside::Session(member) => self.session(member),
            Outside::Rebalance(member) => self.rebalance_limit(member),
            Outside::AskEnds(process, status, then) => self.ends_asked(process, status, then),
            Outside::InitWriter(process, then) => self.writer_asked(process, then),
            Outside::LogWrite {
                process,
                epoch,
                records,
            } => self.log_write(process, epoch, &records),
            Outside::LogCommit {
                process,
                epoch,
                last,
            } => self.log_commit(process, epoch, last),
            Outside::TransactionLimit(number) => self.transaction_limit(number),
            Outside::StatusWrite(process, records, answered) => {
                self.status_write(process, records, answered);
            }
            Outside::Fence {
                process,
                connector,
                generation,
                ids,
            } => self.fence_ids(process, connector, generation, ids),
            Outside::InitTask(process, task) => self.init_task(process, task),
            Outside::Open(process, task, piece) => self.open_piece(process, task, piece),
            Outside::Apply {
                process,
                task,
                effect,
                right,
            } => self.apply(process, task, effect, right),
            Outside::Fault => self.fault(),
            Outside::User => self.user_acts(),
            Outside::Compact => self.compact(),
            Outside::Heal => self.heal(),
            Outside::Settled => self.look_whether_settled(),
        }
    }

    /// Writes down what happens, if anybody wants to see it.
    pub(super) fn step(&mut self, text: impl FnOnce(&Self) -> String) {
        let Some(limit) = self.steps.limit else {
            return;
        };
        let line = format!("{:>7} ms  {}", self.now_ms, text(self));
        if self.steps.last.len() == limit {
            self.steps.last.pop_front();
        }
        self.steps.last.push_back(line);
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// How long something takes on its way from or to a process.
    pub(super) fn net(&mut self, process: ProcessId) -> u64 {
        let worker = &self.workers[self.processes[process].worker];
        let cut_ms = worker.cut_until_ms.saturating_sub(self.now_ms);
        let way_ms = match self.rng.u32(0..100) {
            _ if !self.is_chaos => self.rng.u64(1..10),
            0 => self.rng.u64(500..6_000),
            1..8 => self.rng.u64(50..800),
            _ => self.rng.u64(1..20),
        };
        cut_ms + way_ms
    }

    /// In the process, after a while in which it may be stopped.
    pub(super) fn soon(&mut self, process: ProcessId, inside: Inside) {
        let pause_ms = self.rng.u64(0..4);
        self.later(process, pause_ms, inside);
    }

    pub(super) fn later(&mut self, process: ProcessId, after_ms: u64, inside: Inside) {
        let at_ms = self.now_ms + after_ms;
        self.schedule.at(at_ms, Happening::In(process, inside));
    }

    pub(super) fn later_outside(&mut self, after_ms: u64, outside: Outside) {
        let at_ms = self.now_ms + after_ms;
        self.schedule.at(at_ms, Happening::Out(outside));
    }

    /// From the process into the world.
    pub(super) fn send(&mut self, process: ProcessId, outside: Outside) {
        let way_ms = self.net(process);
        self.later_outside(way_ms, outside);
    }

    /// From the world to the process.
    pub(super) fn answer(&mut self, process: ProcessId, inside: Inside) {
        let way_ms = self.net(process);
        self.later(process, way_ms, inside);
    }
}
