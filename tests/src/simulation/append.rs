//! Appending to the log from a process: one append at a time, by the rules of `tidegate-worker`'s
//! `log_append` and `tidegate-cluster`'s `append` and `look_up`.

use tidegate_model::config_log::ConfigRecord;

use super::happening::{AfterRead, AppendOutcome, Inside, Outside, ProcessId};
use super::log_topic::Fate;
use super::world::World;

/// After a failed append of the herder's own.
const PAUSE_MS: u64 = 1_000;
/// How long a record that was written may take to be read back.
const READ_BACK_MS: u64 = 60_000;
/// How long a transaction may be open, and its end unanswered.
const TRANSACTION_MS: u64 = 10_000;

/// An append that is under way.
pub(super) struct Appending {
    pub(super) records: Vec<ConfigRecord>,
    request: Option<usize>,
    place: Option<u64>,
    since_ms: u64,
    /// Up to where the log was read before.
    after: u64,
    epoch: Option<u32>,
}

impl World {
    /// What users and the herder want, if nothing is being appended.
    pub(super) fn append_what_is_due(&mut self, process: ProcessId) {
        while self.processes[process].appending.is_none() {
            let Some(request) = self.processes[process].waiting.pop_front() else {
                break;
            };
            let records = self.decide(process, request);
            if records.is_empty() {
                continue;
            }
            if self.processes[process].herder.is_leading() {
                // What the herder wants goes along, and first: a user's word is the last.
                let herder_ms = self.herder_ms(process);
                let mut all = self.processes[process].herder.next_append(herder_ms);
                all.extend(records);
                self.append(process, all, Some(request));
            }
        }
        let now_ms = self.now_ms;
        let may_try = self.processes[process]
            .append_again_ms
            .is_none_or(|at_ms| at_ms <= now_ms);
        if self.processes[process].appending.is_some() || !may_try {
            return self.give_up_reading_back(process);
        }
        let herder_ms = self.herder_ms(process);
        let state = &mut self.processes[process];
        state.append_again_ms = None;
        let records = state.herder.next_append(herder_ms);
        if !records.is_empty() {
            self.append(process, records, None);
        }
    }

    fn append(&mut self, process: ProcessId, records: Vec<ConfigRecord>, request: Option<usize>) {
        let state = &mut self.processes[process];
        state.appending = Some(Appending {
            records,
            request,
            place: None,
            since_ms: self.now_ms,
            after: state.herder.log().last_place(),
            epoch: None,
        });
        self.soon(process, Inside::AppendCheck);
    }

    pub(super) fn append_check(&mut self, process: ProcessId) {
        let valid = self.is_lease_valid(process);
        let state = &mut self.processes[process];
        let Some(epoch) = state.writer.filter(|_| valid) else {
            return self.finish_append(process, false);
        };
        if let Some(appending) = &mut state.appending {
            appending.epoch = Some(epoch);
        }
        self.soon(process, Inside::AppendSend(epoch));
    }

    pub(super) fn append_send(&mut self, process: ProcessId, epoch: u32) {
        let Some(appending) = &self.processes[process].appending else {
            return;
        };
        let records = appending.records.clone();
        self.send(
            process,
            Outside::LogWrite {
                process,
                epoch,
                records,
            },
        );
    }

    pub(super) fn log_write(&mut self, process: ProcessId, epoch: u32, records: &[ConfigRecord]) {
        if epoch != self.log.epoch {
            return self.answer(process, Inside::AppendEnded(AppendOutcome::Fenced));
        }
        let (number, last) = self.log.write(self.now_ms, records);
        self.later_outside(TRANSACTION_MS, Outside::TransactionLimit(number));
        self.answer(process, Inside::AppendWritten(epoch, last));
    }

    pub(super) fn log_commit(&mut self, process: ProcessId, epoch: u32, last: u64) {
        if epoch != self.log.epoch || self.log.open.is_none() {
            return self.answer(process, Inside::AppendEnded(AppendOutcome::Fenced));
        }
        let luck = if self.is_chaos {
            self.rng.u32(0..100)
        } else {
            100
        };
        match luck {
            0..3 => {
                self.log.end(Fate::Aborted);
                self.answer(process, Inside::AppendEnded(AppendOutcome::Failed));
            }
            // Unknown: the first are committed, the others not.
            3..9 => {
                if luck < 6 {
                    self.commit_log(process);
                }
                let after_ms = self.rng.u64(0..TRANSACTION_MS);
                self.later(
                    process,
                    after_ms,
                    Inside::AppendEnded(AppendOutcome::Unknown),
                );
            }
            _ => {
                self.commit_log(process);
                self.answer(process, Inside::AppendEnded(AppendOutcome::Done(last)));
            }
        }
        self.wake_all();
    }

    fn commit_log(&mut self, process: ProcessId) {
        self.step(|w| {
            let first = w.log.open.map_or(0, |(first, _)| first);
            let records = w.log.entries[first..].iter();
            let brief = records.map(|entry| format!("{}: {}", entry.place, brief(&entry.record)));
            let brief: Vec<String> = brief.collect();
            format!(
                "log: {} writes {}",
                w.processes[process].name,
                brief.join(", ")
            )
        });
        self.log.commit();
    }

    pub(super) fn transaction_limit(&mut self, number: u64) {
        if self.log.open.is_some_and(|(_, open)| open == number) {
            self.log.init();
            self.wake_all();
        }
    }

    /// The log may have more for everybody.
    pub(super) fn wake_all(&mut self) {
        for process in 0..self.processes.len() {
            self.wake_log(process);
        }
    }

    pub(super) fn append_ended(&mut self, process: ProcessId, outcome: AppendOutcome) {
        let state = &mut self.processes[process];
        let Some(appending) = &mut state.appending else {
            return;
        };
        if let AppendOutcome::Done(place) = outcome {
            appending.place = Some(place);
            return self.read_back(process);
        }
        if state.writer == appending.epoch {
            state.writer = None;
        }
        if outcome == AppendOutcome::Unknown {
            self.take_over(process, AfterRead::LookUp);
        } else {
            self.finish_append(process, false);
        }
    }

    /// A commit whose answer was lost: the former transaction is ended, and the log is read.
    pub(super) fn looked_up(&mut self, process: ProcessId) {
        let state = &self.processes[process];
        let Some(appending) = &state.appending else {
            return;
        };
        let read = &self.log.entries[..state.log_index];
        let is_there = |record: &ConfigRecord| {
            let key = record.key();
            let mut committed = read
                .iter()
                .rev()
                .filter(|entry| entry.fate == Fate::Committed);
            let last = committed.find(|entry| entry.record.key() == key);
            last.is_some_and(|last| last.place > appending.after && last.record == *record)
        };
        // Of records with the same key only the last can be seen.
        let is_over = |at: usize, record: &ConfigRecord| {
            let later = &appending.records[at + 1..];
            later.iter().any(|later| later.key() == record.key())
        };
        let records = appending.records.iter().enumerate();
        let stored = records
            .filter(|(at, record)| !is_over(*at, record))
            .all(|(_, record)| is_there(record));
        self.finish_append(process, stored);
    }

    pub(super) fn append_is_unknown(&mut self, process: ProcessId) {
        self.finish_append(process, false);
    }

    /// The append is over when its records have come back.
    pub(super) fn read_back(&mut self, process: ProcessId) {
        let state = &self.processes[process];
        let read = state.herder.log().last_place();
        let place = state
            .appending
            .as_ref()
            .and_then(|appending| appending.place);
        if place.is_some_and(|place| place <= read) {
            self.finish_append(process, true);
        }
    }

    fn give_up_reading_back(&mut self, process: ProcessId) {
        let limit_ms = self.now_ms.saturating_sub(READ_BACK_MS);
        let stuck = |a: &Appending| a.place.is_some() && a.since_ms < limit_ms;
        if self.processes[process]
            .appending
            .as_ref()
            .is_some_and(stuck)
        {
            self.finish_append(process, false);
        }
    }

    fn finish_append(&mut self, process: ProcessId, stored: bool) {
        let Some(appending) = self.processes[process].appending.take() else {
            return;
        };
        match appending.request {
            Some(request) if stored => {
                self.accepted(request, &appending.records, appending.after);
            }
            None if !stored => {
                self.processes[process].append_again_ms = Some(self.now_ms + PAUSE_MS);
            }
            _ => {}
        }
        self.soon(process, Inside::Look);
        self.settle(process);
    }
}

fn brief(record: &ConfigRecord) -> String {
    match record {
        ConfigRecord::Connector { config, .. } => {
            let tasks = config.as_ref().and_then(|config| config.get("tasks"));
            format!("{} {:?} tasks", record.key(), tasks)
        }
        ConfigRecord::Target { state, .. } => format!("{} {state:?}", record.key()),
        ConfigRecord::Commit {
            tasks, revision, ..
        } => {
            format!("{} {tasks} of {revision}", record.key())
        }
        ConfigRecord::Placement { shard, from, .. } => {
            format!("{} {from:?} to {shard}", record.key())
        }
        ConfigRecord::Leader { incarnation, .. } => format!("leader {incarnation}"),
        other => other.key(),
    }
}
