//! A real Kafka: one KRaft node on loopback, with or without TLS.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;

use crate::certificates::Certificates;
use crate::java;
use crate::kafka::Kafka;
use crate::ports::free_port;
use crate::process::Process;
use crate::proxy::Proxy;
use crate::scratch::Scratch;

/// The one user of the secured listener.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "alice-secret";

/// A JVM on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Listeners with TLS.
#[derive(Debug)]
pub struct Secured {
    /// SASL_SSL: SCRAM-SHA-256 and PLAIN.
    pub sasl_port: u16,
    /// SSL, with a client certificate.
    pub mutual_port: u16,
    /// What both are secured with.
    pub certificates: Certificates,
}

/// A broker. Ends with the value, or with the process.
#[derive(Debug)]
pub struct Broker {
    scratch: Scratch,
    port: u16,
    secured: Option<Secured>,
    /// Where it listens, and the port that it tells clients of that listener.
    proxied: Option<(u16, u16)>,
    process: Option<Process>,
}

impl Broker {
    /// The one that tests share who do nothing to it.
    pub fn shared() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Broker::start)
    }

    /// The one with TLS listeners that tests share.
    pub fn shared_secured() -> &'static Broker {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| Broker::create(true))
    }

    /// Formats and starts one.
    pub fn start() -> Self {
        Self::create(false)
    }

    /// The same with a listener whose clients are told another port: that of a proxy.
    pub fn start_behind_proxy() -> (Self, Proxy) {
        let (listens, proxy) = (free_port(), free_port());
        let broker = Self::create_with(false, Some((listens, proxy)));
        (broker, Proxy::start(proxy, listens))
    }

    fn create(with_tls: bool) -> Self {
        Self::create_with(with_tls, None)
    }

    fn create_with(with_tls: bool, proxied: Option<(u16, u16)>) -> Self {
        let scratch = Scratch::new("broker");
        let secured = with_tls.then(|| Secured {
            sasl_port: free_port(),
            mutual_port: free_port(),
            certificates: Certificates::create(&scratch.join("tls")),
        });
        let mut broker = Self {
            scratch,
            port: free_port(),
            secured,
            proxied,
            process: None,
        };
        fs::write(broker.properties_file(), broker.properties(free_port())).unwrap();
        broker.format();
        broker.start_again();
        broker
    }

    /// For `bootstrap.servers`, without TLS.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The listeners with TLS.
    pub fn secured(&self) -> &Secured {
        self.secured
            .as_ref()
            .expect("a broker of Broker::shared_secured")
    }

    /// A client to prepare and inspect it with.
    pub fn client(&self) -> Kafka {
        Kafka::new(&self.bootstrap())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running broker").pid()
    }

    /// SIGTERM, and waits until it has gone.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("a running broker");
        process.signal(Signal::TERM);
        process.wait(STOP_LIMIT);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running broker").kill();
    }

    /// Starts it on the data and ports it had.
    pub fn start_again(&mut self) {
        let log = self.scratch.join("broker.log");
        // A log of this start only, because its text says when the broker is ready.
        let _ = fs::remove_file(&log);
        let mut command = java::command("256m");
        command.arg("kafka.Kafka").arg(self.properties_file());
        let mut process = Process::spawn(command, &log);
        process.wait_ready("the broker starts", START_LIMIT, |p| {
            p.log().contains("Kafka Server started").then_some(())
        });
        self.process = Some(process);
    }

    fn properties_file(&self) -> PathBuf {
        self.scratch.join("server.properties")
    }

    fn format(&self) {
        let mut command = java::command("128m");
        command
            .args([
                "kafka.tools.StorageTool",
                "format",
                "-t",
                &cluster_id(),
                "-c",
            ])
            .arg(self.properties_file());
        if self.secured.is_some() {
            command
                .arg("--add-scram")
                .arg(format!("SCRAM-SHA-256=[name={USER},password={PASSWORD}]"));
        }
        java::run(command);
    }

    fn properties(&self, controller: u16) -> String {
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{}", self.port);
        let mut security = String::new();
        if let Some(secured) = &self.secured {
            let Secured {
                sasl_port,
                mutual_port,
                certificates,
            } = secured;
            listeners +=
                &format!(",SASL_SSL://127.0.0.1:{sasl_port},SSL://127.0.0.1:{mutual_port}");
            security = format!(
                "sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN\n\
                 listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
                 listener.name.sasl_ssl.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";\n\
                 ssl.keystore.type=PEM\nssl.keystore.location={}\n\
                 ssl.truststore.type=PEM\nssl.truststore.location={}\n\
                 listener.name.sasl_ssl.ssl.client.auth=none\n\
                 listener.name.ssl.ssl.client.auth=required\n",
                certificates.server.display(),
                certificates.authority.display()
            );
        }
        let mut advertised = listeners.clone();
        if let Some((listens, told)) = self.proxied {
            listeners += &format!(",PROXIED://127.0.0.1:{listens}");
            advertised += &format!(",PROXIED://127.0.0.1:{told}");
        }
        format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={advertised}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n\
             log.dirs={}\n\
             num.partitions=1\ndefault.replication.factor=1\n\
             offsets.topic.num.partitions=5\noffsets.topic.replication.factor=1\n\
             transaction.state.log.num.partitions=5\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             auto.create.topics.enable=false\n{security}",
            self.scratch.text("data")
        )
    }
}

/// 16 bytes in URL-safe base64 without padding; every broker is a cluster of its own.
pub(crate) fn cluster_id() -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut id: Vec<u8> = (0..21).map(|_| alphabet[fastrand::usize(..64)]).collect();
    // No command takes a first "-" for a value, and the last digit has four bits only.
    id[0] = b'M';
    id.push(b'Q');
    String::from_utf8(id).unwrap()
}
