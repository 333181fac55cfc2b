//! The measuring stick itself: what the other tests rely on without the runtime in between.

use std::fs;
use std::path::Path;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tidegate_tests::broker::{Broker, PASSWORD, USER};
use tidegate_tests::kafka::Record;
use tidegate_tests::wait::wait_until;

use std::time::Duration;

#[test]
fn records_survive_a_killed_broker() {
    let mut broker = Broker::start();
    let kafka = broker.client();
    kafka.create_topic("kept", 2);
    kafka.produce("kept", [(Some("a"), "1"), (Some("a"), "2"), (None, "3")]);
    broker.kill();
    broker.start_again();
    let mut texts = kafka.read_texts("kept");
    texts.sort();
    assert_eq!(texts, ["1", "2", "3"]);
    assert_eq!(kafka.count("kept"), 3);
    assert_eq!(kafka.count("never-created"), 0);
    assert_eq!(kafka.committed("nobody", "kept"), [(0, None), (1, None)]);
}

#[test]
fn records_are_read_with_their_places() {
    let kafka = Broker::shared().client();
    kafka.create_topic("places", 1);
    kafka.produce("places", [(Some("k"), "v"), (None, "w")]);
    let record = |offset, key: Option<&[u8]>, value: &str| Record {
        partition: 0,
        offset,
        key: key.map(<[u8]>::to_vec),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    };
    assert_eq!(
        kafka.read("places"),
        [record(0, Some(b"k"), "v"), record(1, None, "w")]
    );
}

#[test]
fn secured_listeners_let_in_only_whom_they_should() {
    let secured = Broker::shared_secured().secured();
    let tls = |port: u16| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
        config.set("ssl.ca.location", path(&secured.certificates.authority));
        config
    };
    let sasl = |mechanism: &str, password: &str| {
        let mut config = tls(secured.sasl_port);
        config
            .set("security.protocol", "sasl_ssl")
            .set("sasl.mechanism", mechanism);
        config
            .set("sasl.username", USER)
            .set("sasl.password", password);
        lets_in(&config)
    };
    let mutual = |certificate: &Path| {
        let mut config = tls(secured.mutual_port);
        config.set("security.protocol", "ssl");
        config.set("ssl.certificate.location", path(certificate));
        config.set("ssl.key.location", path(certificate));
        lets_in(&config)
    };
    assert!(sasl("SCRAM-SHA-256", PASSWORD) && !sasl("SCRAM-SHA-256", "wrong"));
    assert!(sasl("PLAIN", PASSWORD) && !sasl("PLAIN", "wrong"));
    assert!(mutual(&secured.certificates.client) && !mutual(&secured.certificates.stranger));
}

fn lets_in(config: &ClientConfig) -> bool {
    let consumer: BaseConsumer = config.create().unwrap();
    consumer
        .fetch_metadata(None, Duration::from_secs(5))
        .is_ok()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A test that is killed must not leave a broker behind: the kernel ends it with its parent.
#[test]
fn a_child_ends_with_its_parent() {
    let scratch = tidegate_tests::scratch::Scratch::new("orphan");
    let pid_file = scratch.join("pid");
    let script = format!(
        "setpriv --pdeathsig KILL -- sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait",
        pid_file.display()
    );
    let mut parent = tidegate_tests::process::command("sh");
    parent.args(["-c", &script]);
    let mut parent = tidegate_tests::process::Process::spawn(parent, &scratch.join("log"));
    let limit = Duration::from_secs(20);
    wait_until("the child starts", limit, || pid_file.exists());
    let child = fs::read_to_string(&pid_file).unwrap().trim().to_owned();
    // Empty for a dead process that nobody has waited for yet.
    let command = || fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    wait_until("the child runs", limit, || command().starts_with("sleep"));
    parent.kill();
    wait_until("the child ends", limit, || command().is_empty());
}
