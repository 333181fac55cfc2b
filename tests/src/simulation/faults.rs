//! What goes wrong, and when it ends.

use super::happening::{Happening, Inside, Outside, ProcessId};
use super::world::{Worker, World};

/// More workers would not make a run better, only longer.
const MOST_WORKERS: usize = 4;

impl World {
    /// Workers begin, and so does everything that will befall them.
    pub(super) fn begin(&mut self) {
        for _ in 0..self.rng.usize(1..4) {
            let after_ms = self.rng.u64(0..3_000);
            self.new_worker(after_ms);
        }
        let fault_ms = self.rng.u64(500..12_000);
        self.later_outside(fault_ms, Outside::Fault);
        self.later_outside(3_000, Outside::User);
        self.later_outside(10_000, Outside::Compact);
        let heal_ms = self.rng.u64(15_000..60_000);
        self.later_outside(heal_ms, Outside::Heal);
    }

    fn new_worker(&mut self, after_ms: u64) {
        let worker = self.workers.len();
        let is_static = self.rng.bool();
        self.workers.push(Worker {
            name: format!("w{worker}"),
            process: None,
            is_static,
            is_removed: false,
            cut_until_ms: 0,
        });
        self.later_outside(after_ms, Outside::Boot(worker));
    }

    pub(super) fn fault(&mut self) {
        if !self.is_chaos {
            return;
        }
        let after_ms = self.rng.u64(300..6_000);
        self.later_outside(after_ms, Outside::Fault);
        let worker = self.rng.usize(0..self.workers.len());
        let Some(process) = self.workers[worker].process else {
            return;
        };
        match self.rng.u32(0..10) {
            0..2 => self.crash(process),
            2..6 => self.pause(process),
            6..8 => {
                let cut_ms = self.rng.u64(500..15_000);
                self.step(|w| format!("{} is cut off for {cut_ms} ms", w.workers[worker].name));
                self.workers[worker].cut_until_ms = self.now_ms + cut_ms;
            }
            8 => self.later(process, 0, Inside::Terminate),
            _ if self.workers.len() < MOST_WORKERS => self.new_worker(0),
            _ => {}
        }
    }

    /// A process is stopped in the midst of whatever it does; often for about as long as a lease.
    fn pause(&mut self, process: ProcessId) {
        if self.processes[process].is_paused {
            return;
        }
        let pause_ms = if self.chance(60) {
            self.rng.u64(6_000..14_000)
        } else {
            self.rng.u64(50..6_000)
        };
        self.tally.pauses += 1;
        self.step(|w| format!("{} is stopped for {pause_ms} ms", w.processes[process].name));
        self.processes[process].is_paused = true;
        self.later_outside(pause_ms, Outside::Resume(process));
    }

    /// Everything that happened to a process while it was stopped happens now, in any order.
    pub(super) fn resume(&mut self, process: ProcessId) {
        if !self.processes[process].is_paused {
            return;
        }
        self.step(|w| format!("{} goes on", w.processes[process].name));
        let state = &mut self.processes[process];
        state.is_paused = false;
        let deferred = std::mem::take(&mut state.deferred);
        for inside in deferred {
            let at_ms = self.now_ms + self.rng.u64(0..20);
            self.schedule.at(at_ms, Happening::In(process, inside));
        }
    }

    pub(super) fn crash(&mut self, process: ProcessId) {
        if !self.processes[process].alive {
            return;
        }
        self.tally.crashes += 1;
        self.step(|w| format!("{} is killed", w.processes[process].name));
        self.bury(process);
    }

    pub(super) fn compact(&mut self) {
        let old_ms = self.now_ms.saturating_sub(1_000);
        let until = self.log.older_than(old_ms);
        if until > 0 {
            let until = self.rng.usize(0..=until);
            self.step(|_| format!("log: compacted up to entry {until}"));
            self.log.compact(self.now_ms, until);
        }
        if self.is_chaos {
            let after_ms = self.rng.u64(3_000..15_000);
            self.later_outside(after_ms, Outside::Compact);
        }
    }

    /// From here on nothing goes wrong. A worker that joins gives an occasion for balance.
    pub(super) fn heal(&mut self) {
        self.step(|_| "from here on nothing goes wrong".to_owned());
        self.is_chaos = false;
        self.healed_ms = self.now_ms;
        for worker in 0..self.workers.len() {
            self.workers[worker].cut_until_ms = 0;
            match self.workers[worker].process {
                Some(process) => self.resume(process),
                None => self.later_outside(0, Outside::Boot(worker)),
            }
        }
        self.new_worker(3_000);
        self.later_outside(15_000, Outside::Settled);
    }
}
