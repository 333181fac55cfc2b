//! Who is measured: anything with Kafka Connect's REST API and the file connectors.

use std::path::{Path, PathBuf};

use tidegate_tests::broker::Broker;
use tidegate_tests::rest::Rest;
use tidegate_tests::worker::Worker;

use crate::connect::Connect;

/// A worker under measurement.
pub enum Subject {
    /// Ours. A box, because it is much larger than the other.
    Tidegate(Box<Worker>),
    /// Theirs.
    Connect(Connect),
}

impl Subject {
    /// Our worker, running, with the file connectors, and with `data` to read and write in. It
    /// commits every `flush_interval` milliseconds.
    pub fn tidegate(broker: &Broker, data: &Path, flush_interval: &str) -> Self {
        let worker = Worker::setup(broker)
            .set("tidegate.directories", data.to_str().unwrap())
            .set("offset.flush.interval.ms", flush_interval)
            .start();
        worker.rest().upload_guests(&["file-source", "file-sink"]);
        Self::Tidegate(Box::new(worker))
    }

    /// Kafka Connect, running.
    pub fn connect(broker: &Broker) -> Self {
        let mut connect = Connect::new(&broker.bootstrap());
        connect.launch(&[]);
        connect.wait_ready();
        Self::Connect(connect)
    }

    /// For the tables and for names of topics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tidegate(_) => "tidegate",
            Self::Connect(_) => "connect",
        }
    }

    /// Its REST API.
    pub fn rest(&self) -> Rest {
        match self {
            Self::Tidegate(worker) => worker.rest(),
            Self::Connect(connect) => connect.rest(),
        }
    }

    /// Its process id.
    pub fn pid(&mut self) -> u32 {
        match self {
            Self::Tidegate(worker) => worker.process().pid(),
            Self::Connect(connect) => connect.pid(),
        }
    }

    /// Ends it gracefully.
    pub fn stop(&mut self) {
        match self {
            Self::Tidegate(worker) => drop(worker.stop()),
            Self::Connect(connect) => connect.stop(),
        }
    }

    /// Starts it again with one connector from a file, without waiting for it.
    pub fn launch_with(&mut self, connector_file: PathBuf) {
        match self {
            Self::Tidegate(worker) => {
                worker.set_connector_files(vec![connector_file]);
                worker.launch();
            }
            Self::Connect(connect) => connect.launch(&[connector_file]),
        }
    }
}
