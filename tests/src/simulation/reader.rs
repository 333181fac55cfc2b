//! How a process follows the state topics, and how it knows that it has read them to their ends.

use tidegate_model::herder::Event;

use super::happening::{AfterRead, Ends, Happening, Inside, Outside, ProcessId};
use super::log_topic::Fate;
use super::status_topic::StatusRecord;
use super::world::World;

/// Between two tries.
const PAUSE_MS: u64 = 500;

/// Somebody who waits for the ends.
pub(super) struct Reader {
    ends: Ends,
    then: AfterRead,
}

impl World {
    /// A process that starts: the log from its beginning, and of each status the last.
    pub(super) fn follow(&mut self, process: ProcessId) {
        let last: Vec<(String, usize)> = self.status.last.clone().into_iter().collect();
        for (key, number) in last {
            self.show_status(process, key, number);
        }
        self.wake_log(process);
        self.read_to_ends(process, true, AfterRead::Open);
    }

    /// There may be more of the log for the process.
    pub(super) fn wake_log(&mut self, process: ProcessId) {
        let end = self.log.stable_end();
        let state = &self.processes[process];
        if state.log_awake || !state.alive || state.log_index >= end {
            return;
        }
        let delay_ms = self.fetch_delay(process);
        self.processes[process].log_awake = true;
        self.later(process, delay_ms, Inside::LogNews);
    }

    fn fetch_delay(&mut self, process: ProcessId) -> u64 {
        let late_ms = if self.is_chaos && self.chance(15) {
            self.rng.u64(0..2_000)
        } else {
            0
        };
        self.net(process) + late_ms
    }

    pub(super) fn log_news(&mut self, process: ProcessId) {
        loop {
            let index = self.processes[process].log_index;
            if index >= self.log.stable_end() {
                self.processes[process].log_awake = false;
                break;
            }
            self.processes[process].log_index += 1;
            let entry = &self.log.entries[index];
            if entry.fate == Fate::Committed {
                let (place, record) = (entry.place, entry.record.clone());
                if self.processes[process].is_open {
                    self.news_of_log(process, place, record);
                } else {
                    self.processes[process].herder.replay(place, record);
                }
            }
            // Other news may come between two records.
            if self.processes[process].is_open && self.chance(30) {
                let pause_ms = self.rng.u64(0..3);
                self.later(process, pause_ms, Inside::LogNews);
                break;
            }
        }
        self.look_at_readers(process);
    }

    /// A record of the status topic is on its way to the process.
    pub(super) fn show_status(&mut self, process: ProcessId, key: String, number: usize) {
        let delay_ms = self.fetch_delay(process);
        let state = &mut self.processes[process];
        let queue = state.status_queues.entry(key.clone()).or_default();
        let last_ms = queue.back().map_or(0, |(at_ms, _)| *at_ms);
        let at_ms = last_ms.max(self.now_ms + delay_ms);
        queue.push_back((at_ms, number));
        state.status_pending.insert(number);
        let news = Inside::StatusNews(key);
        self.schedule.at(at_ms, Happening::In(process, news));
    }

    pub(super) fn status_news(&mut self, process: ProcessId, key: &str) {
        let state = &mut self.processes[process];
        let Some((_, number)) = state.status_queues.get_mut(key).and_then(|q| q.pop_front()) else {
            return;
        };
        state.status_pending.remove(&number);
        if let StatusRecord::Connector(name, status) = &self.status.records[number] {
            let own = state.herder.own_record();
            let own = own.map(|own| own.incarnation);
            let said_by = status.as_ref().map(|status| &status.incarnation);
            if state.herder.is_leading() && said_by != own.as_ref() {
                state.publisher.say_again(name);
            }
        }
        let event = match self.status.records[number].clone() {
            StatusRecord::Task(id, status) => Event::TaskStatus(id, status),
            StatusRecord::Worker(id, record) => Event::Worker(id, record),
            StatusRecord::Released(id, place) => Event::Released(id, place),
            StatusRecord::Connector(name, status) => Event::ConnectorStatus(name, status),
        };
        if self.processes[process].is_open {
            self.handle(process, event);
        } else {
            let _ = self.processes[process].herder.handle(0, event);
        }
        self.look_at_readers(process);
    }

    /// Does something when all has been read that is in the topics now.
    pub(super) fn read_to_ends(&mut self, process: ProcessId, status: bool, then: AfterRead) {
        if self.is_chaos && self.chance(3) && !matches!(then, AfterRead::Open) {
            return self.later(process, PAUSE_MS, Inside::Failed(then));
        }
        self.send(process, Outside::AskEnds(process, status, then));
    }

    pub(super) fn ends_asked(&mut self, process: ProcessId, status: bool, then: AfterRead) {
        let ends = Ends {
            // What is of an open transaction counts: it may be committed.
            log: self.log.entries.len(),
            status: status.then_some(self.status.records.len()),
        };
        self.answer(process, Inside::Ends(ends, then));
    }

    pub(super) fn ends_known(&mut self, process: ProcessId, ends: Ends, then: AfterRead) {
        self.processes[process].readers.push(Reader { ends, then });
        self.look_at_readers(process);
    }

    fn look_at_readers(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        let log = state.log_index;
        let status = state.status_pending.first().copied();
        let is_there = |reader: &Reader| {
            let read = |end: usize| status.is_none_or(|first| first >= end);
            log >= reader.ends.log && reader.ends.status.is_none_or(read)
        };
        let mut done = Vec::new();
        let readers = std::mem::take(&mut state.readers);
        for reader in readers {
            if is_there(&reader) {
                done.push(reader.then);
            } else {
                state.readers.push(reader);
            }
        }
        for then in done {
            self.read(process, then);
        }
    }

    fn read(&mut self, process: ProcessId, then: AfterRead) {
        match then {
            AfterRead::Open => self.open(process),
            AfterRead::Gain(shards) => self.read_for_shards(process, shards),
            AfterRead::Lead(epoch) => self.take_the_lead(process, epoch),
            AfterRead::LookUp => self.looked_up(process),
            AfterRead::Recheck(task) => self.rechecked(process, &task),
        }
    }

    /// The process has read what there was when it started, and joins the group.
    fn open(&mut self, process: ProcessId) {
        self.processes[process].is_open = true;
        self.check_read(process);
        self.handle(process, Event::Tick);
        self.later(process, 0, Inside::Renew(true));
        self.send(process, Outside::Join(process));
    }

    pub(super) fn read_failed(&mut self, process: ProcessId, then: AfterRead) {
        match then {
            AfterRead::Open => self.read_to_ends(process, true, AfterRead::Open),
            AfterRead::Gain(_) => {
                self.processes[process].activating = false;
                self.advance(process);
            }
            AfterRead::Lead(_) => self.writer_failed(process),
            AfterRead::LookUp => self.append_is_unknown(process),
            AfterRead::Recheck(task) => self.read_to_ends(process, false, AfterRead::Recheck(task)),
        }
    }
}
