//! The `tidegate` binary as a worker, alone or in a cluster, and what can be done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::broker::Broker;
use crate::paths;
use crate::ports::free_port;
use crate::process::{Process, command};
use crate::rest::Rest;
use crate::scratch::Scratch;

const START_LIMIT: Duration = Duration::from_secs(60);

/// For a worker to end after a signal: its graceful shutdown has a bound of its own below this.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What a worker is started with.
#[derive(Debug)]
pub struct WorkerSetup {
    scratch: Scratch,
    port: u16,
    subcommand: &'static str,
    properties: BTreeMap<String, String>,
}

impl WorkerSetup {
    /// A key of worker.properties.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The directory of the worker; connectors may read and write files in it.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Starts it and waits until it is healthy.
    pub fn start(self) -> Worker {
        let mut worker = self.spawn();
        worker.wait_healthy();
        worker
    }

    /// Starts it, for a test that expects it to end by itself.
    pub fn spawn(self) -> Worker {
        let Self {
            scratch,
            port,
            subcommand,
            properties,
        } = self;
        let text: String = properties
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        fs::write(scratch.join("worker.properties"), text).unwrap();
        let mut worker = Worker {
            scratch,
            port,
            subcommand,
            connector_files: Vec::new(),
            failpoint: None,
            process: None,
        };
        worker.launch();
        worker
    }
}

/// A worker. Ends with the value, or with the process.
#[derive(Debug)]
pub struct Worker {
    scratch: Scratch,
    port: u16,
    subcommand: &'static str,
    connector_files: Vec<PathBuf>,
    failpoint: Option<String>,
    process: Option<Process>,
}

impl Worker {
    /// A worker for this broker that moves text, to be changed before it starts.
    pub fn setup(broker: &Broker) -> WorkerSetup {
        Self::setup_at(&broker.bootstrap())
    }

    /// The same, with its Kafka at this address.
    pub fn setup_at(bootstrap: &str) -> WorkerSetup {
        let scratch = Scratch::new("worker");
        let port = free_port();
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let properties = [
            ("bootstrap.servers", bootstrap.to_owned()),
            ("listeners", format!("http://127.0.0.1:{port}")),
            ("tidegate.state.directory", scratch.text("state")),
            ("tidegate.directories", scratch.path().display().to_string()),
            ("key.converter", string.to_owned()),
            ("value.converter", string.to_owned()),
            ("offset.flush.interval.ms", "1000".to_owned()),
        ];
        let properties = properties
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        WorkerSetup {
            scratch,
            port,
            subcommand: "standalone",
            properties,
        }
    }

    /// A worker of a cluster, without what its cluster's workers have in common.
    pub fn setup_of_cluster(bootstrap: &str) -> WorkerSetup {
        let scratch = Scratch::new("worker");
        let port = free_port();
        let properties = [
            ("bootstrap.servers", bootstrap.to_owned()),
            ("listeners", format!("http://127.0.0.1:{port}")),
            ("tidegate.cache.directory", scratch.text("cache")),
        ];
        let properties = properties
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        WorkerSetup {
            scratch,
            port,
            subcommand: "worker",
            properties,
        }
    }

    /// How it calls itself in statuses.
    pub fn id(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether its process was started and has not been ended by a test.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// A running worker with the file connectors.
    pub fn with_file_connectors(broker: &Broker) -> Self {
        let worker = Self::setup(broker).start();
        worker.rest().upload_guests(&["file-source", "file-sink"]);
        worker
    }

    /// Its REST API.
    pub fn rest(&self) -> Rest {
        Rest::new(self.port)
    }

    /// Its directory; connectors may read and write files in it.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The connectors' configuration files on the command line of the next start.
    pub fn set_connector_files(&mut self, files: Vec<PathBuf>) {
        self.connector_files = files;
    }

    /// Where the next start dies by itself: `NAME` or `NAME:VISITS`.
    pub fn set_failpoint(&mut self, failpoint: Option<&str>) {
        self.failpoint = failpoint.map(str::to_owned);
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running worker")
    }

    /// Starts it again after it ended, and waits until it is healthy.
    pub fn start_again(&mut self) {
        self.launch();
        self.wait_healthy();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running worker").kill();
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running worker");
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT)
    }

    /// Waits for its end, which it finds by itself.
    pub fn wait_ended(&mut self) -> ExitStatus {
        self.process().wait(STOP_LIMIT)
    }

    /// All it has logged, over all its starts.
    pub fn log(&mut self) -> String {
        self.process().log()
    }

    /// Starts it, without waiting for it.
    pub fn launch(&mut self) {
        let mut command = command(paths::tidegate());
        command
            .arg(self.subcommand)
            .arg(self.scratch.join("worker.properties"))
            .args(&self.connector_files)
            // Paths in a connector's configuration may be relative.
            .current_dir(self.scratch.path());
        if let Some(failpoint) = &self.failpoint {
            command.env("TIDEGATE_FAILPOINT", failpoint);
        }
        self.process = Some(Process::spawn(command, &self.scratch.join("worker.log")));
    }

    /// Waits until it is ready for work.
    pub fn wait_healthy(&mut self) {
        let rest = self.rest();
        self.process()
            .wait_ready("the worker starts", START_LIMIT, |_| {
                rest.try_get("/health")
                    .filter(|answer| answer.status == 200)
            });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(process) = &self.process
        {
            eprintln!("{}", process.log_tail());
        }
    }
}
