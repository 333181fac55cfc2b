//! Three workers of a cluster, Tidegate's or Kafka Connect's, with the same times and topics.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_tests::meter::threads;
use tidegate_tests::ports::free_port;
use tidegate_tests::process::{Process, command};
use tidegate_tests::rest::Rest;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::{wait_for, wait_until};
use tidegate_tests::{java, paths};

/// For a worker, or a cluster, to come to rest.
pub const LIMIT: Duration = Duration::from_secs(240);

/// Kafka Connect's default.
pub const SESSION: Duration = Duration::from_secs(10);

const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

struct Node {
    port: u16,
    process: Option<Process>,
}

/// The workers of one cluster.
pub struct Nodes {
    pub name: &'static str,
    group: String,
    bootstrap: String,
    scratch: Scratch,
    nodes: Vec<Node>,
}

impl Nodes {
    /// Three workers that are up; Tidegate's has the file connectors, as Connect's has.
    pub fn start(name: &'static str, bootstrap: &str, run: usize) -> Self {
        let mut nodes = Self {
            name,
            group: format!("bench-{name}-{run}"),
            bootstrap: bootstrap.to_owned(),
            scratch: Scratch::new("bench-cluster"),
            nodes: Vec::new(),
        };
        for _ in 0..3 {
            nodes.add();
        }
        (0..3).for_each(|number| nodes.wait_ready(number));
        if nodes.is_tidegate() {
            nodes.rest(0).upload_guests(&["file-source", "file-sink"]);
        }
        nodes
    }

    pub fn is_tidegate(&self) -> bool {
        self.name == "tidegate"
    }

    /// One more, without waiting for it.
    pub fn add(&mut self) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node {
            port: free_port(),
            process: None,
        });
        fs::write(self.file(number, "properties"), self.properties(number)).unwrap();
        self.launch(number);
        number
    }

    fn file(&self, number: usize, extension: &str) -> std::path::PathBuf {
        self.scratch.join(&format!("worker-{number}.{extension}"))
    }

    fn properties(&self, number: usize) -> String {
        let (group, bootstrap) = (&self.group, &self.bootstrap);
        let port = self.nodes[number].port;
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let own = if self.is_tidegate() {
            format!(
                "tidegate.secret.key={SECRET}\ntidegate.cache.directory={}\ntidegate.directories=/\n",
                self.scratch.text(&format!("cache-{number}"))
            )
        } else {
            // The kindest setting there is: by default tasks wait five minutes for their worker.
            format!(
                "scheduled.rebalance.max.delay.ms=0\nplugin.path={}\nplugin.discovery=service_load\n",
                paths::kafka().join("plugins").display()
            )
        };
        format!(
            "bootstrap.servers={bootstrap}\ngroup.id={group}\nlisteners=http://127.0.0.1:{port}\n\
             rest.advertised.host.name=127.0.0.1\nrest.advertised.port={port}\n\
             config.storage.topic={group}-configs\nconfig.storage.replication.factor=1\n\
             offset.storage.topic={group}-offsets\noffset.storage.replication.factor=1\n\
             status.storage.topic={group}-status\nstatus.storage.replication.factor=1\n\
             key.converter={string}\nvalue.converter={string}\noffset.flush.interval.ms=1000\n\
             session.timeout.ms={}\nheartbeat.interval.ms=3000\n{own}",
            SESSION.as_millis()
        )
    }

    pub fn launch(&mut self, number: usize) {
        let properties = self.file(number, "properties");
        let command = if self.is_tidegate() {
            let mut command = command(paths::tidegate());
            command.arg("worker").arg(properties);
            command
        } else {
            let mut command = java::command("512m");
            command
                .args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"])
                .arg("org.apache.kafka.connect.cli.ConnectDistributed")
                .arg(properties);
            command
        };
        let process = Process::spawn(command, &self.file(number, "log"));
        self.nodes[number].process = Some(process);
    }

    /// Waits until a worker serves connectors.
    pub fn wait_ready(&self, number: usize) {
        let rest = self.rest(number);
        wait_until("a worker serves", LIMIT, || {
            let path = if self.is_tidegate() {
                "/health"
            } else {
                "/connectors"
            };
            rest.try_get(path)
                .is_some_and(|answer| answer.status == 200)
        });
    }

    pub fn rest(&self, number: usize) -> Rest {
        Rest::new(self.nodes[number].port)
    }

    pub fn id(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.nodes[number].port)
    }

    pub fn running(&self) -> Vec<usize> {
        let numbers = 0..self.nodes.len();
        numbers
            .filter(|n| self.nodes[*n].process.is_some())
            .collect()
    }

    /// SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number]
            .process
            .take()
            .expect("a running worker")
            .kill();
    }

    /// Creates or changes a connector, as often as the answer is "not now".
    pub fn put(&self, name: &str, config: &Value) {
        let path = format!("/connectors/{name}/config");
        let number = self.running()[0];
        wait_for("the connector is taken", LIMIT, || {
            let answer = self.rest(number).put(&path, config);
            [200, 201].contains(&answer.status).then_some(())
        });
    }

    /// Which worker each connector's task runs on; none unless all of them run.
    pub fn placed(&self, connectors: usize) -> Option<Vec<(String, String)>> {
        let number = *self.running().first()?;
        let answer = self.rest(number).try_get("/connectors?expand=status")?;
        let all = answer.body.as_object()?.clone();
        let placed: Option<Vec<(String, String)>> = all
            .iter()
            .map(|(name, parts)| {
                let task = &parts["status"]["tasks"][0];
                let runs = task["state"] == "RUNNING";
                let worker = task["worker_id"].as_str().filter(|_| runs)?;
                Some((name.clone(), worker.to_owned()))
            })
            .collect();
        placed.filter(|placed| placed.len() == connectors)
    }

    /// Waits until all of them run, on workers that are running.
    pub fn wait_placed(&self, connectors: usize) -> Vec<(String, String)> {
        let alive: Vec<String> = self.running().into_iter().map(|n| self.id(n)).collect();
        wait_for("all tasks run", LIMIT, || {
            let placed = self.placed(connectors)?;
            let well = placed.iter().all(|(_, worker)| alive.contains(worker));
            well.then_some(placed)
        })
    }

    /// MiB and threads of all workers together.
    pub fn weight(&self) -> (u64, usize) {
        let pids = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let pids: Vec<u32> = pids.map(Process::pid).collect();
        let mib = pids
            .iter()
            .map(|pid| tidegate_tests::meter::resident_mib(*pid))
            .sum();
        (mib, pids.iter().map(|pid| threads(*pid)).sum())
    }

    /// Ends them all.
    pub fn kill_all(&mut self) {
        for number in self.running() {
            self.kill(number);
        }
    }

    /// A file source.
    pub fn source(&self, topic: &str, file: &str) -> Value {
        let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
        json!({"connector.class": class, "topic": topic, "file": file, "tasks.max": "1"})
    }

    /// A file sink.
    pub fn sink(&self, topic: &str, file: &str) -> Value {
        let class = "org.apache.kafka.connect.file.FileStreamSinkConnector";
        json!({"connector.class": class, "topics": topic, "file": file, "tasks.max": "1"})
    }
}
