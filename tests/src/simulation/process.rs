//! One process of a worker: the herder, and what its loops remember.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_model::herder::{Event, Herder};

use super::append::Appending;
use super::coordinator::Leading;
use super::happening::{Inside, Outside, ProcessId, TaskKey};
use super::publisher::Publisher;
use super::reader::Reader;
use super::task::Instance;
use super::world::World;

/// What the group tells a member, in order.
#[derive(Debug, Clone)]
pub(super) enum Mail {
    Joined,
    Assign(BTreeSet<u32>),
    Revoke(BTreeSet<u32>),
}

/// Shards on their way out, which the membership's thread waits for.
pub(super) struct Going {
    pub(super) shards: BTreeSet<u32>,
    pub(super) number: u64,
    /// Which membership they are asked back from; none: it is over, and they are gone already.
    pub(super) member: Option<u64>,
}

pub(super) struct Process {
    pub(super) worker: usize,
    pub(super) name: String,
    pub(super) worker_name: String,
    pub(super) alive: bool,
    pub(super) is_paused: bool,
    /// What happened to it while it was stopped.
    pub(super) deferred: Vec<Inside>,
    pub(super) started_ms: u64,
    pub(super) herder: Herder,
    /// It has read the state topics and joined.
    pub(super) is_open: bool,
    pub(super) is_ending: bool,
    // Reading.
    pub(super) log_index: usize,
    pub(super) log_awake: bool,
    pub(super) status_queues: BTreeMap<String, VecDeque<(u64, usize)>>,
    pub(super) status_pending: BTreeSet<usize>,
    pub(super) readers: Vec<Reader>,
    // Membership.
    pub(super) member: Option<u64>,
    pub(super) mail: VecDeque<(u64, u64, Mail)>,
    pub(super) mail_ms: u64,
    /// Its poll waits for tasks to end.
    pub(super) is_blocked: bool,
    pub(super) owned: BTreeSet<u32>,
    pub(super) lease_until_ms: u64,
    pub(super) lease_ends: u64,
    pub(super) goings: u64,
    // The coordinator's loop.
    pub(super) assigned: BTreeSet<u32>,
    pub(super) active: BTreeSet<u32>,
    pub(super) activating: bool,
    pub(super) leading: Leading,
    pub(super) writer: Option<u32>,
    // The herder's loop.
    pub(super) appending: Option<Appending>,
    pub(super) append_again_ms: Option<u64>,
    pub(super) waiting: VecDeque<usize>,
    pub(super) going: Vec<Going>,
    pub(super) tick_ms: Option<u64>,
    pub(super) publisher: Publisher,
    pub(super) tasks: BTreeMap<TaskKey, Instance>,
}

impl World {
    pub(super) fn boot(&mut self, worker: usize) {
        if self.workers[worker].process.is_some() || self.workers[worker].is_removed {
            return;
        }
        let process = self.processes.len();
        let worker_name = self.workers[worker].name.clone();
        let name = format!("{worker_name}.{process}");
        self.step(|_| format!("{name} starts"));
        let url = format!("http://{worker_name}");
        let herder = Herder::of_cluster(&worker_name, url, process.to_string(), self.shards);
        self.workers[worker].process = Some(process);
        self.processes.push(Process {
            worker,
            name,
            worker_name,
            alive: true,
            is_paused: false,
            deferred: Vec::new(),
            started_ms: self.now_ms,
            herder,
            is_open: false,
            is_ending: false,
            log_index: 0,
            log_awake: false,
            status_queues: BTreeMap::new(),
            status_pending: BTreeSet::new(),
            readers: Vec::new(),
            member: None,
            mail: VecDeque::new(),
            mail_ms: 0,
            is_blocked: false,
            owned: BTreeSet::new(),
            lease_until_ms: 0,
            lease_ends: 0,
            goings: 0,
            assigned: BTreeSet::new(),
            active: BTreeSet::new(),
            activating: false,
            leading: Leading::No,
            writer: None,
            appending: None,
            append_again_ms: None,
            waiting: VecDeque::new(),
            going: Vec::new(),
            tick_ms: None,
            publisher: Publisher::default(),
            tasks: BTreeMap::new(),
        });
        self.follow(process);
    }

    pub(super) fn is_lease_valid(&self, process: ProcessId) -> bool {
        self.now_ms < self.processes[process].lease_until_ms
    }

    /// One thing happens in a process that runs.
    pub(super) fn happen(&mut self, process: ProcessId, inside: Inside) {
        match inside {
            Inside::LogNews => self.log_news(process),
            Inside::StatusNews(key) => self.status_news(process, &key),
            Inside::Poll => self.poll(process),
            Inside::Renew(comes_back) => self.renew(process, comes_back),
            Inside::Renewed {
                member,
                sent_ms,
                ends,
                outcome,
            } => self.renewed(process, member, sent_ms, ends, outcome),
            Inside::GoingLimit(number) => self.going_limit(process, number),
            Inside::Look => self.look(process),
            Inside::Ends(ends, then) => self.ends_known(process, ends, then),
            Inside::Failed(then) => self.read_failed(process, then),
            Inside::WriterReady(epoch, then) => self.writer_ready(process, epoch, then),
            Inside::AppendCheck => self.append_check(process),
            Inside::AppendSend(epoch) => self.append_send(process, epoch),
            Inside::AppendWritten(epoch, last) => {
                let commit = Outside::LogCommit {
                    process,
                    epoch,
                    last,
                };
                self.send(process, commit);
            }
            Inside::AppendEnded(outcome) => self.append_ended(process, outcome),
            Inside::Planned(planned) => self.handle(process, Event::Planned(planned)),
            Inside::Fenced {
                connector,
                generation,
                outcome,
            } => {
                let fenced = Event::Fenced {
                    connector,
                    generation,
                    outcome,
                };
                self.handle(process, fenced);
            }
            Inside::Tick(at_ms) => self.tick(process, at_ms),
            Inside::PublishCheck => self.publish_check(process),
            Inside::PublishSend => self.publish_send(process),
            Inside::Published(written) => self.published(process, written),
            Inside::Request(request) => {
                self.processes[process].waiting.push_back(request);
                self.settle(process);
            }
            Inside::Terminate => self.terminate(process),
            Inside::Task(key, step) => self.task_step(process, &key, step),
        }
    }
}
