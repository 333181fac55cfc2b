//! A worker behind TLS, in the words Kafka Connect's users have in their worker.properties.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate_tests::broker::{Broker, PASSWORD, USER};
use tidegate_tests::files::{append_lines, tally_file};
use tidegate_tests::wait::{wait_for, wait_until};
use tidegate_tests::worker::{Worker, WorkerSetup};

const LIMIT: Duration = Duration::from_secs(90);

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn sasl(broker: &Broker, mechanism: &str, module: &str, password: &str) -> WorkerSetup {
    let secured = broker.secured();
    let jaas = format!(
        "org.apache.kafka.common.security.{module} required username=\"{USER}\" password=\"{password}\";"
    );
    Worker::setup(broker)
        .set(
            "bootstrap.servers",
            &format!("127.0.0.1:{}", secured.sasl_port),
        )
        .set("security.protocol", "SASL_SSL")
        .set("sasl.mechanism", mechanism)
        .set("sasl.jaas.config", &jaas)
        .set("ssl.truststore.type", "PEM")
        .set(
            "ssl.truststore.location",
            &text(&secured.certificates.authority),
        )
}

fn mutual(broker: &Broker, keystore: &Path) -> WorkerSetup {
    let secured = broker.secured();
    Worker::setup(broker)
        .set(
            "bootstrap.servers",
            &format!("127.0.0.1:{}", secured.mutual_port),
        )
        .set("security.protocol", "SSL")
        .set("ssl.keystore.type", "PEM")
        .set("ssl.keystore.location", &text(keystore))
        .set("ssl.truststore.type", "PEM")
        .set(
            "ssl.truststore.location",
            &text(&secured.certificates.authority),
        )
}

/// Moves lines from a file through the topic into a file.
fn moves_lines(setup: WorkerSetup, topic: &str) -> Worker {
    const LINES: usize = 1000;
    let worker = setup.start();
    worker.rest().upload_guests(&["file-source", "file-sink"]);
    let (input, output) = (
        worker.scratch().join("in.txt"),
        worker.scratch().join("out.txt"),
    );
    append_lines(&input, 0, LINES);
    Broker::shared_secured().client().create_topic(topic, 1);
    let (input, output_text) = (text(&input), text(&output));
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("topics", topic),
        ("file", &output_text),
    ];
    worker.rest().create("sink", &sink);
    let source = [
        ("connector.class", "FileStreamSource"),
        ("topic", topic),
        ("file", &input),
    ];
    worker.rest().create("source", &source);
    wait_until("all lines arrive", LIMIT, || {
        output.exists() && tally_file(&output, LINES).missing() == 0
    });
    tally_file(&output, LINES).assert_exact();
    worker
}

#[test]
fn scram() {
    let setup = sasl(
        Broker::shared_secured(),
        "SCRAM-SHA-256",
        "scram.ScramLoginModule",
        PASSWORD,
    );
    let mut worker = moves_lines(setup, "scram");
    assert!(
        !worker.log().contains(PASSWORD),
        "the log holds the password"
    );
}

#[test]
fn plain() {
    let setup = sasl(
        Broker::shared_secured(),
        "PLAIN",
        "plain.PlainLoginModule",
        PASSWORD,
    );
    let mut worker = moves_lines(setup, "plain");
    assert!(
        !worker.log().contains(PASSWORD),
        "the log holds the password"
    );
}

#[test]
fn client_certificate() {
    let broker = Broker::shared_secured();
    moves_lines(
        mutual(broker, &broker.secured().certificates.client),
        "mutual",
    );
}

/// Starts a worker that Kafka will turn away, and answers what it says about that: in its log,
/// where it may have ended by itself, or in the trace of the task.
fn complaint(setup: WorkerSetup, words: &[&str]) -> String {
    let complains = |said: &str| {
        let said = said.to_lowercase();
        words.iter().any(|word| said.contains(word))
    };
    let mut worker = setup.spawn();
    let input = text(&worker.scratch().join("in.txt"));
    fs::write(&input, "never to be sent\n").unwrap();
    let mut created = false;
    let said = wait_for("the worker says why Kafka turns it away", LIMIT, || {
        let log = worker.log();
        if complains(&log) {
            return Some(log);
        }
        let rest = worker.rest();
        if worker.process().ended().is_none()
            && rest.try_get("/health").is_some_and(|a| a.status == 200)
        {
            if !created {
                rest.upload_guests(&["file-source"]);
                let source = [
                    ("connector.class", "FileStreamSource"),
                    ("topic", "refused"),
                    ("file", &input),
                ];
                rest.create("refused", &source);
                created = true;
            }
            let status = rest.get("/connectors/refused/status").text;
            return complains(&status).then_some(status);
        }
        None
    });
    let lines = said.lines().filter(|line| complains(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_wrong_password_is_named_but_not_shown() {
    let broker = Broker::shared_secured();
    for (mechanism, module) in [
        ("SCRAM-SHA-256", "scram.ScramLoginModule"),
        ("PLAIN", "plain.PlainLoginModule"),
    ] {
        let said = complaint(
            sasl(broker, mechanism, module, "not-the-password"),
            &["authentication"],
        );
        println!("{said}");
        assert!(!said.contains("not-the-password"), "{said}");
    }
}

#[test]
fn a_strangers_certificate_is_refused() {
    let broker = Broker::shared_secured();
    let said = complaint(
        mutual(broker, &broker.secured().certificates.stranger),
        &["ssl", "certificate"],
    );
    println!("{said}");
}

#[test]
fn a_java_keystore_is_refused_with_the_way_out() {
    let broker = Broker::shared_secured();
    let setup = mutual(broker, Path::new("/some/keystore.jks")).set("ssl.keystore.type", "JKS");
    let said = complaint(setup, &["pem"]);
    assert!(
        said.contains("ssl.keystore.type") && said.contains("PKCS12"),
        "{said}"
    );
}
