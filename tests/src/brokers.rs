//! A real Kafka of three nodes on loopback: every topic has three replicas, of which two have to have a
//! record before it is acked.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::java;
use crate::kafka::Kafka;
use crate::ports::free_port;
use crate::process::Process;
use crate::scratch::Scratch;

/// Three JVMs on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Three brokers that are controllers, too. End with the value, or with the process.
#[derive(Debug)]
pub struct Brokers {
    scratch: Scratch,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    port: u16,
    controller: u16,
    process: Option<Process>,
}

impl Brokers {
    /// Formats and starts them.
    pub fn start() -> Self {
        let scratch = Scratch::new("brokers");
        let node = |_| Node {
            port: free_port(),
            controller: free_port(),
            process: None,
        };
        let mut brokers = Self {
            scratch,
            nodes: (0..3).map(node).collect(),
        };
        let cluster_id = crate::broker::cluster_id();
        for number in 0..3 {
            fs::write(brokers.file(number), brokers.properties(number)).unwrap();
            let mut command = java::command("128m");
            let tool = ["kafka.tools.StorageTool", "format", "-t", &cluster_id, "-c"];
            command.args(tool).arg(brokers.file(number));
            java::run(command);
        }
        for number in 0..3 {
            brokers.launch(number);
        }
        for number in 0..3 {
            brokers.wait_started(number);
        }
        brokers
    }

    /// For `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        let all = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        all.collect::<Vec<_>>().join(",")
    }

    /// A client to prepare and inspect them with.
    pub fn client(&self) -> Kafka {
        Kafka::new(&self.bootstrap())
    }

    /// SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number]
            .process
            .take()
            .expect("a running broker")
            .kill();
    }

    /// SIGSTOP: its connections stay open, and nothing answers any more.
    pub fn freeze(&self, number: usize) {
        self.signal(number, Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self, number: usize) {
        self.signal(number, Signal::CONT);
    }

    fn signal(&self, number: usize, signal: Signal) {
        self.nodes[number]
            .process
            .as_ref()
            .expect("a running broker")
            .signal(signal);
    }

    /// Starts one again that was killed.
    pub fn start_again(&mut self, number: usize) {
        self.launch(number);
        self.wait_started(number);
    }

    fn file(&self, number: usize) -> PathBuf {
        self.scratch.join(&format!("{number}.properties"))
    }

    fn launch(&mut self, number: usize) {
        let log = self.scratch.join(&format!("{number}.log"));
        // A log of this start only, because its text says when the broker is ready.
        let _ = fs::remove_file(&log);
        let mut command = java::command("256m");
        command.arg("kafka.Kafka").arg(self.file(number));
        self.nodes[number].process = Some(Process::spawn(command, &log));
    }

    fn wait_started(&mut self, number: usize) {
        let process = self.nodes[number]
            .process
            .as_mut()
            .expect("a running broker");
        process.wait_ready("a broker starts", START_LIMIT, |p| {
            p.log().contains("Kafka Server started").then_some(())
        });
    }

    fn properties(&self, number: usize) -> String {
        let Node {
            port, controller, ..
        } = &self.nodes[number];
        let voters = self.nodes.iter().enumerate();
        let voters = voters.map(|(n, node)| format!("{}@127.0.0.1:{}", n + 1, node.controller));
        let voters: Vec<String> = voters.collect();
        format!(
            "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.voters={}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\nlog.dirs={}\n\
             default.replication.factor=3\nmin.insync.replicas=2\n\
             offsets.topic.num.partitions=5\noffsets.topic.replication.factor=3\n\
             transaction.state.log.num.partitions=5\ntransaction.state.log.replication.factor=3\n\
             transaction.state.log.min.isr=2\n\
             share.coordinator.state.topic.replication.factor=3\n\
             share.coordinator.state.topic.min.isr=2\n\
             group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\n\
             broker.session.timeout.ms=6000\nauto.create.topics.enable=false\n",
            number + 1,
            voters.join(","),
            self.scratch.text(&format!("data-{number}"))
        )
    }
}
