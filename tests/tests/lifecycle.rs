//! Pausing, stopping, restarting and deleting connectors, and what outlives the worker.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::files::append_lines;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::tally::Tally;
use tidegate_tests::wait::{wait_for, wait_until};
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// A source that follows a file of lines into a topic.
struct Source {
    name: &'static str,
    topic: String,
    kafka: Kafka,
}

impl Source {
    fn create(worker: &Worker, name: &'static str, test: &str) -> Self {
        let source = Self {
            name,
            topic: format!("{test}-{name}"),
            kafka: Broker::shared().client(),
        };
        source.kafka.create_topic(&source.topic, 1);
        append_lines(&source.file(worker), 0, 10);
        source.post(worker);
        source.wait_for(10);
        source
    }

    fn post(&self, worker: &Worker) {
        let file = self.file(worker);
        let file = file.to_str().unwrap();
        let config = [
            ("connector.class", "FileStreamSource"),
            ("topic", &self.topic),
            ("file", file),
        ];
        worker.rest().create(self.name, &config);
    }

    fn file(&self, worker: &Worker) -> std::path::PathBuf {
        worker.scratch().join(self.name).with_extension("txt")
    }

    fn count(&self) -> usize {
        self.kafka.count(&self.topic) as usize
    }

    fn wait_for(&self, count: usize) {
        wait_until(&format!("{count} records in {}", self.topic), LIMIT, || {
            self.count() >= count
        });
    }

    /// Every line once.
    #[track_caller]
    fn assert_exact(&self, count: usize) {
        let texts = self.kafka.read_texts(&self.topic);
        Tally::of(count, texts.iter().map(String::as_str)).assert_exact();
    }
}

#[test]
fn a_paused_connector_keeps_its_tasks_and_moves_nothing() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let source = Source::create(&worker, "paused", "pause");
    // Tells when a source that is not paused would have read.
    let witness = Source::create(&worker, "witness", "pause");

    for _ in 0..2 {
        rest.call("PUT", "/connectors/paused/pause").expect(202);
    }
    rest.wait_for_state("paused", "PAUSED");
    append_lines(&source.file(&worker), 10, 20);
    append_lines(&witness.file(&worker), 10, 20);
    witness.wait_for(20);
    assert_eq!(source.count(), 10);

    rest.call("PUT", "/connectors/paused/resume").expect(202);
    rest.wait_for_state("paused", "RUNNING");
    source.wait_for(20);
    source.assert_exact(20);
}

#[test]
fn a_stopped_connector_has_no_tasks_and_goes_on_where_it_was() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let source = Source::create(&worker, "stopped", "stop");
    rest.call("PUT", "/connectors/stopped/stop").expect(204);
    rest.wait_for_status("stopped", "STOPPED without tasks", |status| {
        status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([])
    });
    assert_eq!(
        rest.get("/connectors/stopped/tasks").expect(200).body,
        json!([])
    );
    append_lines(&source.file(&worker), 10, 20);
    rest.call("PUT", "/connectors/stopped/resume").expect(202);
    rest.wait_for_state("stopped", "RUNNING");
    source.wait_for(20);
    source.assert_exact(20);
}

#[test]
fn restarts_repeat_nothing() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let source = Source::create(&worker, "restarted", "restart");
    rest.call("POST", "/connectors/restarted/restart")
        .expect(204);
    rest.wait_for_state("restarted", "RUNNING");
    rest.call("POST", "/connectors/restarted/tasks/0/restart")
        .expect(204);
    rest.wait_for_state("restarted", "RUNNING");
    let both = rest
        .call("POST", "/connectors/restarted/restart?includeTasks=true")
        .expect(202);
    assert_eq!(both.body["name"], "restarted");
    rest.wait_for_state("restarted", "RUNNING");
    append_lines(&source.file(&worker), 10, 20);
    source.wait_for(20);
    source.assert_exact(20);
    rest.call("POST", "/connectors/nobody/restart").error(404);
    rest.call("POST", "/connectors/restarted/tasks/7/restart")
        .error(404);
}

#[test]
fn a_deleted_connector_is_gone_and_its_offsets_are_not() {
    let worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let source = Source::create(&worker, "deleted", "delete");
    rest.call("PUT", "/connectors/deleted/stop").expect(204);
    rest.wait_for_status("deleted", "STOPPED", |status| {
        status["connector"]["state"] == "STOPPED"
    });
    rest.delete("/connectors/deleted").expect(204);
    rest.get("/connectors/deleted").error(404);
    rest.get("/connectors/deleted/status").error(404);
    rest.delete("/connectors/deleted").error(404);
    assert_eq!(rest.get("/connectors").expect(200).body, json!([]));

    append_lines(&source.file(&worker), 10, 20);
    source.post(&worker);
    source.wait_for(20);
    source.assert_exact(20);
}

/// D9: what was answered 2xx is there after the worker was killed.
#[test]
fn what_rest_accepted_survives_a_kill() {
    let mut worker = Worker::with_file_connectors(Broker::shared());
    let rest = worker.rest();
    let file = worker.scratch().text("in.txt");
    let config = json!({"connector.class": "FileStreamSource", "topic": "survivor", "file": file});
    let created = json!({"name": "survivor", "config": config});
    let again = |worker: &mut Worker| {
        worker.kill();
        worker.start_again();
    };

    rest.post("/connectors", &created).expect(201);
    again(&mut worker);
    let names: Vec<Value> = rest.get("/plugins").body.as_array().unwrap().clone();
    let names: Vec<&Value> = names.iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, [&json!("file-sink"), &json!("file-source")]);
    let stored = rest.get("/connectors/survivor/config").expect(200).body;
    assert_eq!(
        (&stored["topic"], &stored["file"]),
        (&json!("survivor"), &json!(file))
    );

    let mut changed = config.clone();
    changed["topic"] = json!("changed");
    rest.put("/connectors/survivor/config", &changed)
        .expect(200);
    again(&mut worker);
    assert_eq!(
        rest.get("/connectors/survivor/config").expect(200).body["topic"],
        "changed"
    );

    rest.call("PUT", "/connectors/survivor/pause").expect(202);
    again(&mut worker);
    rest.wait_for_status("survivor", "PAUSED", |status| {
        status["connector"]["state"] == "PAUSED"
    });

    rest.delete("/connectors/survivor").expect(204);
    again(&mut worker);
    rest.get("/connectors/survivor").error(404);
}

#[test]
fn a_graceful_end_commits_offsets() {
    // Only the end can have committed them: the interval is longer than the test.
    let mut worker = Worker::setup(Broker::shared())
        .set("offset.flush.interval.ms", "3600000")
        .start();
    worker.rest().upload_guests(&["file-source", "file-sink"]);
    let source = Source::create(&worker, "graceful", "graceful");
    let output = worker.scratch().join("out.txt");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("topics", &*source.topic),
        ("file", output.to_str().unwrap()),
    ];
    worker.rest().create("graceful-sink", &sink);
    wait_until("the sink wrote", LIMIT, || lines(&output) == 10);

    assert_eq!(worker.stop().code(), Some(0));
    assert_eq!(
        source
            .kafka
            .committed("connect-graceful-sink", &source.topic),
        [(0, Some(10))]
    );

    worker.start_again();
    append_lines(&source.file(&worker), 10, 20);
    source.wait_for(20);
    source.assert_exact(20);
    wait_until("the sink wrote the rest", LIMIT, || lines(&output) >= 20);
    assert_eq!(lines(&output), 20);
}

fn lines(path: &Path) -> usize {
    if path.exists() {
        tidegate_tests::files::count_lines(path)
    } else {
        0
    }
}

#[test]
fn a_second_signal_ends_the_worker_at_once() {
    // A guest that sleeps for an hour when told to stop, and no limit that would end that.
    let long = "3600000";
    let mut worker = Worker::setup(Broker::shared())
        .set("task.shutdown.graceful.timeout.ms", long)
        .set("tidegate.task.call.timeout.ms", long)
        .set("tidegate.task.host.call.timeout.ms", long)
        .start();
    let rest = worker.rest();
    rest.upload_guests(&["hostile/hostile-source"]);
    Broker::shared().client().create_topic("stubborn", 1);
    rest.create(
        "stubborn",
        &[
            ("connector.class", "hostile-source"),
            ("topic", "stubborn"),
            ("misbehave", "slow-stop"),
        ],
    );
    rest.wait_for_state("stubborn", "RUNNING");
    worker.process().signal(Signal::TERM);
    // REST goes first, so its silence says that the first signal has been heard.
    wait_until("the worker shuts down", LIMIT, || {
        rest.try_get("/connectors")
            .is_none_or(|answer| answer.status == 503)
    });
    assert!(
        worker.process().ended().is_none(),
        "the first signal waits for tasks"
    );
    worker.process().signal(Signal::TERM);
    let status = wait_for("the second signal ends it", Duration::from_secs(10), || {
        worker.process().ended()
    });
    assert_ne!(status.code(), Some(0), "a forced end is no success");
}

/// Long enough asleep for Kafka to give up on it, as on a laptop whose lid was closed.
#[test]
fn a_worker_that_slept_goes_on() {
    let mut worker = Worker::setup(Broker::shared())
        .set("consumer.session.timeout.ms", "6000")
        .start();
    worker.rest().upload_guests(&["file-source", "file-sink"]);
    let source = Source::create(&worker, "slept", "slept");
    let output = worker.scratch().join("out.txt");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("topics", &*source.topic),
        ("file", output.to_str().unwrap()),
    ];
    worker.rest().create("slept-sink", &sink);
    wait_until("the sink wrote", LIMIT, || lines(&output) == 10);
    assert_eq!(source.kafka.group_members("connect-slept-sink"), 1);

    worker.process().signal(Signal::STOP);
    wait_until("Kafka gives up on the sink", LIMIT, || {
        source.kafka.group_members("connect-slept-sink") == 0
    });
    append_lines(&source.file(&worker), 10, 20);
    worker.process().signal(Signal::CONT);
    source.wait_for(20);
    source.assert_exact(20);
    wait_until("the sink goes on", LIMIT, || lines(&output) >= 20);
    worker.rest().wait_for_state("slept", "RUNNING");
    worker.rest().wait_for_state("slept-sink", "RUNNING");
}
