//! Several workers that are one cluster, and what can be done to them.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::kafka::Kafka;
use crate::rest::Rest;
use crate::scratch::Scratch;
use crate::wait::{wait_for, wait_or_give_up};
use crate::worker::{Worker, WorkerSetup};

/// For a cluster to come to rest after something happened to it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The session time-out of the workers: what is lost is missed after this.
pub const SESSION: Duration = Duration::from_millis(4_000);

/// One key for all.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Workers with one `group.id`. End with the value, or with the process.
pub struct Cluster {
    /// Where connectors may read and write files, on every worker.
    pub files: Scratch,
    name: String,
    bootstrap: String,
    properties: BTreeMap<String, String>,
    static_members: bool,
    workers: Vec<Worker>,
}

impl Cluster {
    /// A cluster without workers yet.
    pub fn of(broker: &Broker, name: &str) -> Self {
        Self::at(&broker.bootstrap(), name, 1)
    }

    /// The same, with topics of so many replicas.
    pub fn at(bootstrap: &str, name: &str, replicas: usize) -> Self {
        let files = Scratch::new("cluster");
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let properties = [
            ("group.id", name.to_owned()),
            ("config.storage.topic", format!("{name}-configs")),
            ("offset.storage.topic", format!("{name}-offsets")),
            ("status.storage.topic", format!("{name}-status")),
            ("config.storage.replication.factor", replicas.to_string()),
            ("offset.storage.replication.factor", replicas.to_string()),
            ("status.storage.replication.factor", replicas.to_string()),
            // Each costs the broker files; these tests run many clusters on one.
            ("offset.storage.partitions", "5".to_owned()),
            ("status.storage.partitions", "2".to_owned()),
            ("tidegate.shards", "24".to_owned()),
            ("tidegate.secret.key", SECRET.to_owned()),
            ("session.timeout.ms", SESSION.as_millis().to_string()),
            ("heartbeat.interval.ms", "500".to_owned()),
            ("tidegate.directories", files.path().display().to_string()),
            ("key.converter", string.to_owned()),
            ("value.converter", string.to_owned()),
            ("offset.flush.interval.ms", "500".to_owned()),
        ];
        Self {
            files,
            name: name.to_owned(),
            bootstrap: bootstrap.to_owned(),
            properties: properties
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            static_members: false,
            workers: Vec::new(),
        }
    }

    /// A key of every worker's configuration.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Gives every worker a `group.instance.id`.
    pub fn with_static_members(mut self) -> Self {
        self.static_members = true;
        self
    }

    /// Starts workers, and waits until all are healthy.
    pub fn start(mut self, workers: usize) -> Self {
        let first = self.workers.len();
        for _ in 0..workers {
            let setup = self.setup();
            self.workers.push(setup.spawn());
        }
        for worker in self.workers.iter_mut().skip(first) {
            worker.wait_healthy();
        }
        self.wait_members(first + workers);
        self
    }

    /// Starts workers that have the connectors of the tests.
    pub fn start_with_connectors(self, workers: usize) -> Self {
        let cluster = self.start(workers);
        cluster.rest(0).upload_guests(&[
            "file-source",
            "file-sink",
            "hostile/numbered-source",
            "hostile/hostile-source",
            "hostile/hostile-sink",
        ]);
        cluster
    }

    /// What the next worker is started with.
    pub fn setup(&self) -> WorkerSetup {
        let mut setup = Worker::setup_of_cluster(&self.bootstrap);
        for (key, value) in &self.properties {
            setup = setup.set(key, value);
        }
        if self.static_members {
            let number = self.workers.len();
            setup = setup.set("group.instance.id", &format!("{}-{number}", self.name));
        }
        setup
    }

    /// One more worker; answers its number when it is healthy.
    pub fn add(&mut self) -> usize {
        let mut worker = self.setup().spawn();
        worker.wait_healthy();
        self.workers.push(worker);
        self.workers.len() - 1
    }

    /// A worker.
    pub fn worker(&mut self, number: usize) -> &mut Worker {
        &mut self.workers[number]
    }

    /// A worker's REST API.
    pub fn rest(&self, number: usize) -> Rest {
        self.workers[number].rest()
    }

    /// A worker's id.
    pub fn id(&self, number: usize) -> String {
        self.workers[number].id()
    }

    /// SIGSTOP.
    pub fn pause(&mut self, number: usize) {
        self.workers[number].process().signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self, number: usize) {
        self.workers[number].process().signal(Signal::CONT);
    }

    /// A client of its Kafka.
    pub fn kafka(&self) -> Kafka {
        Kafka::new(&self.bootstrap)
    }

    /// What `cluster status` says, as the first worker that answers sees it.
    pub fn status(&self) -> Value {
        wait_for("a worker tells of the cluster", LIMIT, || self.try_status())
    }

    fn try_status(&self) -> Option<Value> {
        let running = self.workers.iter().filter(|worker| worker.is_running());
        let mut answers = running.filter_map(|worker| worker.rest().try_get("/cluster"));
        answers
            .find(|answer| answer.status == 200)
            .map(|answer| answer.body)
    }

    /// Waits until the status satisfies `wanted`; panics with the last one.
    #[track_caller]
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait_or_give_up(LIMIT, || {
            last = self.try_status()?;
            wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| {
            panic!(
                "{}: not within {} s: {what}; {last:#}",
                self.name,
                LIMIT.as_secs()
            )
        })
    }

    /// Waits until so many workers share all shards, under a leader.
    #[track_caller]
    pub fn wait_members(&self, count: usize) -> Value {
        self.wait_status(&format!("{count} members"), |status| {
            let workers = workers(status);
            let shards: u64 = workers.iter().filter_map(|w| w["shards"].as_u64()).sum();
            let has_leader = workers.iter().any(|w| w["leader"] == true);
            workers.len() == count
                && shards.to_string() == self.properties["tidegate.shards"]
                && has_leader
        })
    }

    /// Waits until so many tasks are spread evenly over so many workers, and nothing moves.
    #[track_caller]
    pub fn wait_balanced(&self, members: usize, tasks: usize) -> BTreeMap<String, String> {
        let status = self.wait_status(&format!("{tasks} tasks on {members} members"), |status| {
            let counts: Vec<usize> = workers(status)
                .iter()
                .map(|w| w["tasks"].as_array().map_or(0, Vec::len))
                .collect();
            let (least, most) = (counts.iter().min(), counts.iter().max());
            counts.len() == members
                && counts.iter().sum::<usize>() == tasks
                && least
                    .zip(most)
                    .is_some_and(|(least, most)| most - least <= 1)
                && status["moves"] == json!([])
        });
        placed(&status)
    }

    /// Which worker each task is placed on, by task.
    pub fn placed(&self) -> BTreeMap<String, String> {
        placed(&self.status())
    }

    /// The number of the worker with this id.
    pub fn number_of(&self, id: &str) -> usize {
        let found = self.workers.iter().position(|worker| worker.id() == id);
        found.unwrap_or_else(|| panic!("no worker {id}"))
    }

    /// The number of the worker that leads.
    pub fn leader(&self) -> usize {
        let status = self.wait_status("a leader", |status| status["leader"].is_string());
        self.number_of(status["leader"].as_str().unwrap())
    }

    /// Waits until a worker that is running says that the connector and so many tasks run, on
    /// workers that are running.
    #[track_caller]
    pub fn wait_running(&self, name: &str, tasks: usize) -> Value {
        let alive: Vec<String> = self
            .workers
            .iter()
            .filter(|worker| worker.is_running())
            .map(Worker::id)
            .collect();
        let path = format!("/connectors/{name}/status");
        let mut last = String::new();
        let found = wait_or_give_up(LIMIT, || {
            let running = self.workers.iter().find(|worker| worker.is_running())?;
            let answer = running.rest().try_get(&path)?;
            last = answer.text;
            let found = answer.body["tasks"].as_array()?;
            let is_well = |t: &Value| {
                t["state"] == "RUNNING" && alive.iter().any(|id| t["worker_id"] == **id)
            };
            let well = found.len() == tasks
                && found.iter().all(is_well)
                && answer.body["connector"]["state"] == "RUNNING";
            well.then_some(answer.body)
        });
        found.unwrap_or_else(|| panic!("{name} does not run with {tasks} tasks: {last}"))
    }
}

fn workers(status: &Value) -> Vec<Value> {
    status["workers"].as_array().cloned().unwrap_or_default()
}

fn placed(status: &Value) -> BTreeMap<String, String> {
    let mut placed = BTreeMap::new();
    for worker in workers(status) {
        for task in worker["tasks"].as_array().into_iter().flatten() {
            let id = format!("{}-{}", task["connector"].as_str().unwrap(), task["task"]);
            placed.insert(id, worker["worker_id"].as_str().unwrap().to_owned());
        }
    }
    placed
}
