//! The herder's loop in a process: events in, actions done, and what follows from any of it.

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::{Action, Event};

use super::happening::{Inside, Outside, ProcessId, TaskStep};
use super::world::World;

/// The loop turns at least so often.
const BEAT_MS: u64 = 1_000;

impl World {
    pub(super) fn herder_ms(&self, process: ProcessId) -> u64 {
        self.now_ms - self.processes[process].started_ms
    }

    pub(super) fn handle(&mut self, process: ProcessId, event: Event) {
        let now_ms = self.herder_ms(process);
        let actions = self.processes[process].herder.handle(now_ms, event);
        for action in actions {
            self.perform(process, action);
        }
        self.settle(process);
    }

    pub(super) fn news_of_log(&mut self, process: ProcessId, place: u64, record: ConfigRecord) {
        self.forget_deleted(process, &record);
        self.handle(process, Event::Log(place, record));
        self.read_back(process);
        self.settle(process);
    }

    fn perform(&mut self, process: ProcessId, action: Action) {
        match action {
            Action::Plan {
                connector,
                revision,
                config,
            } => self.plan(process, connector, revision, &config),
            Action::Start {
                epoch,
                paused,
                spec,
            } => self.start_task(process, epoch, paused, *spec),
            Action::Stop(id, epoch) => self.stop_task(process, &(id, epoch)),
            Action::SetPaused(id, epoch, paused) => {
                if let Some(task) = self.processes[process].tasks.get_mut(&(id, epoch)) {
                    task.paused = paused;
                }
            }
            Action::Release(id, place) => {
                self.step(|w| format!("{} lets {id} go by {place}", w.processes[process].name));
                self.processes[process].publisher.release(id, place);
            }
            Action::ForgetWorker(id) => {
                self.step(|w| format!("{} forgets worker {id}", w.processes[process].name));
                self.processes[process].publisher.forget_worker(id);
            }
            Action::Fence {
                connector,
                generation,
                ids,
            } => {
                let fence = Outside::Fence {
                    process,
                    connector,
                    generation,
                    ids,
                };
                self.send(process, fence);
            }
        }
    }

    /// What follows from any event.
    pub(super) fn settle(&mut self, process: ProcessId) {
        if !self.processes[process].is_open || !self.processes[process].alive {
            return;
        }
        self.append_what_is_due(process);
        self.publish(process);
        self.answer_going(process);
        let state = &self.processes[process];
        let leaves = state.herder.may_leave() && !state.is_ending;
        if leaves {
            self.step(|w| format!("{} may leave", w.processes[process].name));
            let worker = self.processes[process].worker;
            self.workers[worker].is_removed = true;
            self.later(process, 0, Inside::Terminate);
        }
        self.end_if_idle(process);
        self.arm_tick(process);
    }

    fn arm_tick(&mut self, process: ProcessId) {
        let now_ms = self.now_ms;
        let state = &mut self.processes[process];
        let tick_ms = state.herder.next_tick_ms().map(|ms| ms + state.started_ms);
        let due = tick_ms.into_iter().chain(state.append_again_ms).min();
        let due_ms = due.map_or(now_ms + BEAT_MS, |ms| {
            ms.clamp(now_ms + 5, now_ms + BEAT_MS)
        });
        if state.tick_ms.is_none_or(|armed_ms| armed_ms > due_ms) {
            state.tick_ms = Some(due_ms);
            self.later(process, due_ms - now_ms, Inside::Tick(due_ms));
        }
    }

    pub(super) fn tick(&mut self, process: ProcessId, at_ms: u64) {
        let state = &mut self.processes[process];
        if state.tick_ms == Some(at_ms) {
            state.tick_ms = None;
            self.handle(process, Event::Tick);
        }
    }

    /// The process is told to end: it stops everything, gives its shards back and goes.
    pub(super) fn terminate(&mut self, process: ProcessId) {
        if self.processes[process].is_ending {
            return;
        }
        self.step(|w| format!("{} is told to end", w.processes[process].name));
        self.processes[process].is_ending = true;
        self.handle(process, Event::Shutdown);
    }

    fn end_if_idle(&mut self, process: ProcessId) {
        let state = &self.processes[process];
        if !state.is_ending || !state.herder.is_idle() {
            return;
        }
        let worker = &self.workers[state.worker];
        let stays = worker.is_static && !worker.is_removed;
        if let Some(member) = state.member.filter(|_| !stays) {
            self.send(process, Outside::Leave(member));
        }
        self.step(|w| format!("{} has ended", w.processes[process].name));
        self.bury(process);
    }

    /// The process is no more; the worker's next one comes after a while.
    pub(super) fn bury(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        state.alive = false;
        state.is_paused = false;
        state.tasks.clear();
        state.deferred.clear();
        let worker = state.worker;
        self.workers[worker].process = None;
        let back_ms = self.rng.u64(100..15_000);
        self.later_outside(back_ms, Outside::Boot(worker));
    }

    pub(super) fn stop_task(
        &mut self,
        process: ProcessId,
        key: &(tidegate_model::names::TaskId, u64),
    ) {
        let grace_ms = self.grace();
        let Some(task) = self.processes[process].tasks.get_mut(key) else {
            return;
        };
        task.stopping = true;
        self.later(
            process,
            grace_ms,
            Inside::Task(key.clone(), TaskStep::Stopped),
        );
    }
}
