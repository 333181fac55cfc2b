//! The user: asks a worker that believes to lead for a change, by the rules of `tidegate-worker`'s
//! REST operations, and remembers what was answered 2xx.

use tidegate_model::config::ConfigMap;
use tidegate_model::config_log::{ConfigRecord, RestartRequest, deletion_records, task_records};
use tidegate_model::herder::Herder;
use tidegate_model::state::{State, TargetState};

use super::checks::D9;
use super::happening::{Inside, Outside, ProcessId};
use super::log_topic::{Entry, Fate};
use super::world::World;

/// At least once, exactly once, a ledger: the first letter is the kind.
const NAMES: [&str; 4] = ["alo", "eos", "ledger", "extra"];

#[derive(Debug, Clone)]
pub(super) enum Request {
    Create(String, ConfigMap, TargetState),
    Configure(String, ConfigMap),
    Delete(String),
    Target(String, TargetState),
    Restart(RestartRequest),
    Remove(String),
}

#[derive(Default)]
pub(super) struct User {
    requests: Vec<Request>,
}

impl World {
    /// The user does something, and will do more.
    pub(super) fn user_acts(&mut self) {
        if !self.is_chaos {
            return self.repair();
        }
        let request = self.some_request();
        self.ask(request);
        let after_ms = self.rng.u64(200..6_000);
        self.later_outside(after_ms, Outside::User);
    }

    fn some_request(&mut self) -> Request {
        let name = NAMES[self.rng.usize(0..NAMES.len())].to_owned();
        let config = self.some_config(&name);
        if !self.log.whole.connectors().contains_key(&name) && self.chance(80) {
            let target = match self.rng.u32(0..8) {
                0 => TargetState::Paused,
                1 => TargetState::Stopped,
                _ => TargetState::Started,
            };
            return Request::Create(name, config, target);
        }
        match self.rng.u32(0..20) {
            0..6 => Request::Configure(name, config),
            6..8 => Request::Delete(name),
            8 => Request::Create(name, config, TargetState::Started),
            9..11 => Request::Target(name, TargetState::Paused),
            11..15 => Request::Target(name, TargetState::Started),
            15..17 => Request::Target(name, TargetState::Stopped),
            17 if self.workers.len() > 2 => {
                let worker = self.rng.usize(0..self.workers.len());
                Request::Remove(self.workers[worker].name.clone())
            }
            _ => {
                let task = self.rng.u32(0..4);
                let one = self.rng.bool();
                Request::Restart(RestartRequest {
                    name,
                    include_tasks: true,
                    only_failed: !one && self.rng.bool(),
                    task: one.then_some(task),
                })
            }
        }
    }

    fn some_config(&mut self, name: &str) -> ConfigMap {
        let kind = if name.starts_with('e') {
            "exactly-once"
        } else {
            "other"
        };
        let tasks = self.rng.u32(1..5).to_string();
        let salt = self.rng.u32(0..3).to_string();
        let pairs = [("kind", kind), ("tasks", &tasks), ("salt", &salt)];
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Once nothing goes wrong any more: what has failed is started again.
    fn repair(&mut self) {
        self.later_outside(4_000, Outside::User);
        let Some(leader) = self.leader() else {
            return;
        };
        let herder = &self.processes[leader].herder;
        let names = herder.log().connectors().keys();
        let has_failed = |name: &&String| {
            let own = herder.connector_status(name).into_iter();
            let mut all = own.chain(herder.task_statuses(name));
            all.any(|placed| placed.status.state == State::Failed)
        };
        let failed: Vec<String> = names.filter(has_failed).cloned().collect();
        for name in failed {
            self.ask(Request::Restart(RestartRequest {
                name,
                include_tasks: true,
                only_failed: true,
                task: None,
            }));
        }
    }

    /// A process that believes to lead.
    fn leader(&mut self) -> Option<ProcessId> {
        let leads = |p: &ProcessId| {
            let process = &self.processes[*p];
            process.alive && process.is_open && process.herder.is_leading()
        };
        let leaders: Vec<ProcessId> = (0..self.processes.len()).filter(leads).collect();
        self.rng.choice(leaders)
    }

    fn ask(&mut self, request: Request) {
        if let Some(leader) = self.leader() {
            self.step(|w| format!("user asks {}: {request:?}", w.processes[leader].name));
            self.user.requests.push(request);
            let number = self.user.requests.len() - 1;
            self.answer(leader, Inside::Request(number));
        }
    }

    /// What a leader makes of a request; nothing if it refuses.
    pub(super) fn decide(&mut self, process: ProcessId, request: usize) -> Vec<ConfigRecord> {
        records(
            &self.processes[process].herder,
            &self.user.requests[request],
        )
    }

    /// A request was answered 2xx: what it wrote is in the log, decided on all that was before.
    pub(super) fn accepted(&mut self, request: usize, records: &[ConfigRecord], after: u64) {
        self.tally.answers += 1;
        let request = self.user.requests[request].clone();
        self.step(|_| format!("user is answered: {request:?}"));
        let is_run = |run: &[Entry]| {
            let stored = |entry: &Entry| matches!(entry.fate, Fate::Committed | Fate::Compacted);
            let pairs = run.iter().zip(records);
            run[0].place > after
                && pairs
                    .clone()
                    .all(|(entry, record)| stored(entry) && entry.record == *record)
        };
        let run = self
            .log
            .entries
            .windows(records.len())
            .find(|run| is_run(run));
        let Some(place) = run.map(|run| run[0].place) else {
            let detail = format!("{request:?} was answered 2xx, and is not in the log");
            return self.violate(D9, detail);
        };
        let before = self.log.states.range(..place).next_back();
        let existed = |name: &str| before.is_some_and(|(_, s)| s.connector(name).is_some());
        let is_wrong = match &request {
            Request::Create(name, ..) => existed(name),
            Request::Delete(name) | Request::Target(name, _) => !existed(name),
            _ => false,
        };
        if is_wrong {
            let detail = format!("{request:?} was answered 2xx, decided on an older log");
            self.violate(D9, detail);
        }
    }
}

fn records(herder: &Herder, request: &Request) -> Vec<ConfigRecord> {
    let entry = |name: &str| herder.log().connector(name);
    let target = |name: &str, state| ConfigRecord::Target {
        name: name.to_owned(),
        state,
    };
    let connector = |name: &str, config: &ConfigMap| ConfigRecord::Connector {
        name: name.to_owned(),
        config: Some(config.clone()),
    };
    match request {
        Request::Create(name, config, state) if entry(name).is_none() => {
            vec![target(name, *state), connector(name, config)]
        }
        Request::Configure(name, config) if entry(name).is_some() => vec![connector(name, config)],
        Request::Configure(name, config) => {
            vec![
                target(name, TargetState::default()),
                connector(name, config),
            ]
        }
        Request::Delete(name) if entry(name).is_some() => deletion_records(name),
        Request::Target(name, TargetState::Stopped) => {
            let Some(entry) = entry(name) else {
                return Vec::new();
            };
            let mut records = task_records(name, entry.planned_revision, &[], false);
            records.push(target(name, TargetState::Stopped));
            records
        }
        Request::Target(name, state) if entry(name).is_some() => vec![target(name, *state)],
        Request::Restart(restart) if entry(&restart.name).is_some() => {
            vec![ConfigRecord::Restart(restart.clone())]
        }
        Request::Remove(worker) => removal(herder, worker),
        _ => Vec::new(),
    }
}

fn removal(herder: &Herder, worker: &str) -> Vec<ConfigRecord> {
    let Some(directory) = herder.directory() else {
        return Vec::new();
    };
    let live = directory.live();
    let stays = |id: &str| {
        let record = directory.worker(id);
        let log = herder.log().cluster();
        id != worker && record.is_some_and(|r| !log.is_removed(id, &r.incarnation))
    };
    let known = directory.worker(worker).filter(|_| live.contains(worker));
    match known {
        Some(record) if live.iter().any(|id| stays(id)) => vec![ConfigRecord::Removed {
            worker: worker.to_owned(),
            incarnation: record.incarnation.clone(),
        }],
        _ => Vec::new(),
    }
}
