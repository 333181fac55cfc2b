//! The real Kafka Connect as a standalone worker with its file connectors, or with others.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tidegate_tests::ports::free_port;
use tidegate_tests::process::Process;
use tidegate_tests::rest::Rest;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::{java, paths};

const START_LIMIT: Duration = Duration::from_secs(120);

/// A Kafka Connect that can be started again and again.
pub struct Connect {
    scratch: Scratch,
    port: u16,
    heap: String,
    process: Option<Process>,
}

impl Connect {
    /// Not started yet.
    pub fn new(bootstrap: &str) -> Self {
        Self::with_plugins(bootstrap, "plugins", "512m")
    }

    /// With the plugins in this directory of Kafka's, and a heap.
    pub fn with_plugins(bootstrap: &str, plugins: &str, heap: &str) -> Self {
        let (scratch, port) = (Scratch::new("connect"), free_port());
        let string = "org.apache.kafka.connect.storage.StringConverter";
        // service_load is the fast way to find plugins; the default looks into every class.
        let properties = format!(
            "bootstrap.servers={bootstrap}\nlisteners=http://127.0.0.1:{port}\n\
             key.converter={string}\nvalue.converter={string}\n\
             offset.storage.file.filename={}\n\
             plugin.path={}\nplugin.discovery=service_load\n",
            scratch.text("offsets"),
            paths::kafka().join(plugins).display()
        );
        fs::write(scratch.join("worker.properties"), properties).unwrap();
        Self {
            scratch,
            port,
            heap: heap.to_owned(),
            process: None,
        }
    }

    /// Starts it with connectors from files, without waiting for it.
    pub fn launch(&mut self, connector_files: &[PathBuf]) {
        let mut command = java::command(&self.heap);
        command
            // As Kafka's own scripts start it.
            .args(["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"])
            .args([
                "-XX:InitiatingHeapOccupancyPercent=35",
                "-XX:+ExplicitGCInvokesConcurrent",
            ])
            .arg("org.apache.kafka.connect.cli.ConnectStandalone")
            .arg(self.scratch.join("worker.properties"))
            .args(connector_files);
        self.process = Some(Process::spawn(command, &self.scratch.join("worker.log")));
    }

    /// Waits until it serves connectors.
    pub fn wait_ready(&mut self) {
        let rest = self.rest();
        self.process
            .as_mut()
            .expect("started")
            .wait_ready("Connect starts", START_LIMIT, |_| {
                rest.try_get("/connectors")
                    .filter(|answer| answer.status == 200)
            });
    }

    /// Its REST API.
    pub fn rest(&self) -> Rest {
        Rest::new(self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("started").pid()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("started");
        process.signal(Signal::TERM);
        process.wait(START_LIMIT);
    }
}
