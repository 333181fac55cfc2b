//! Guests that misbehave: each ends its own task with a trace that says what happened, and its
//! neighbours go on (D7).

use std::time::Duration;

use tidegate_tests::broker::Broker;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);

/// A worker with tight limits, hostile plugins, and a neighbour who moves records all the time.
struct Neighbourhood {
    worker: Worker,
    kafka: Kafka,
    topic: String,
}

impl Neighbourhood {
    fn start(test: &str) -> Self {
        let worker = Worker::setup(Broker::shared())
            .set("tidegate.task.memory.max.bytes", "67108864")
            // Far apart: on a busy machine CPU time passes much more slowly than time.
            .set("tidegate.task.call.cpu.max.ms", "1000")
            .set("tidegate.task.call.timeout.ms", "6000")
            .set("tidegate.task.host.call.timeout.ms", "1500")
            .set("tidegate.task.transfer.max.bytes", "8388608")
            .start();
        worker.rest().upload_guests(&[
            "hostile/hostile-source",
            "hostile/hostile-sink",
            "hostile/keyed-source",
        ]);
        let (kafka, topic) = (Broker::shared().client(), format!("{test}-neighbour"));
        kafka.create_topic(&topic, 1);
        worker.rest().create(
            "neighbour",
            &[
                ("connector.class", "keyed-source"),
                ("topic", &topic),
                ("records", "1000000000"),
                ("batch", "10"),
                ("interval.ms", "10"),
            ],
        );
        let neighbourhood = Self {
            worker,
            kafka,
            topic,
        };
        neighbourhood.assert_moving("before anybody misbehaves");
        neighbourhood
    }

    #[track_caller]
    fn assert_moving(&self, when: &str) {
        let before = self.kafka.count(&self.topic);
        wait_until(
            &format!("the neighbour moves records {when}"),
            LIMIT,
            || self.kafka.count(&self.topic) > before,
        );
    }

    /// Lets a source misbehave, and answers the trace of its failed task.
    #[track_caller]
    fn source(&self, word: &str) -> String {
        let topic = format!("{}-{word}", self.topic);
        self.kafka.create_topic(&topic, 1);
        let config = [
            ("connector.class", "hostile-source"),
            ("topic", &topic),
            ("misbehave", word),
        ];
        self.worker.rest().create(word, &config);
        let trace = self.worker.rest().wait_for_failed_task(word);
        assert_eq!(
            self.kafka.count(&topic),
            0,
            "{word} brought records to Kafka"
        );
        self.worker
            .rest()
            .delete(&format!("/connectors/{word}"))
            .expect(204);
        trace
    }

    /// Lets a sink misbehave on a topic of a few records, and answers the trace of its failed task.
    #[track_caller]
    fn sink(&self, topic: &str, word: &str) -> String {
        let config = [
            ("connector.class", "hostile-sink"),
            ("topics", topic),
            ("misbehave", word),
        ];
        self.worker.rest().create(word, &config);
        let trace = self.worker.rest().wait_for_failed_task(word);
        let committed = self.kafka.committed(&format!("connect-{word}"), topic);
        assert_eq!(committed, [(0, None)], "{word} moved an offset");
        self.worker
            .rest()
            .delete(&format!("/connectors/{word}"))
            .expect(204);
        trace
    }

    /// All that misbehaved did so beside a neighbour that is as well as before.
    #[track_caller]
    fn finish(&self) {
        self.assert_moving("after all that");
        self.worker.rest().wait_for_state("neighbour", "RUNNING");
    }
}

/// What any export can do, and what its trace has to say beside the name of the export.
const GENERAL: [(&str, &str); 8] = [
    ("trap", "trap"),
    ("panic", "trap"),
    ("exit", ""),
    ("loop", "tidegate.task.call.cpu.max.ms"),
    ("slow", "ms"),
    ("alloc", "tidegate.task.memory.max.bytes"),
    // Names in the backtrace are demangled.
    ("recurse", "misbehaviour::recurse"),
    ("fatal", ""),
];

#[track_caller]
fn assert_names(trace: &str, word: &str, export: &str, what: &str) {
    let first = trace.lines().next().unwrap_or_default();
    println!("{word}: {first}");
    // A guest that says itself that it gives up is quoted in its own words.
    let named = trace.contains(export) || word.starts_with("fatal");
    assert!(named, "{word}: the trace does not name {export}: {trace}");
    assert!(
        trace.contains(what),
        "{word}: the trace does not name {what:?}: {trace}"
    );
}

#[test]
fn sources_that_break_down() {
    let neighbourhood = Neighbourhood::start("broken-source");
    for export in ["start", "poll"] {
        for (what, told) in GENERAL {
            let word = format!("{what}-{export}");
            assert_names(&neighbourhood.source(&word), &word, export, told);
            neighbourhood.assert_moving(&format!("beside {word}"));
        }
    }
    neighbourhood.finish();
}

#[test]
fn sinks_that_break_down() {
    let neighbourhood = Neighbourhood::start("broken-sink");
    let topic = "broken-sink-records";
    neighbourhood.kafka.create_topic(topic, 1);
    neighbourhood
        .kafka
        .produce(topic, (0..10).map(|_| (Some("key"), "value")));
    for export in ["start", "open", "put", "flush"] {
        for (what, told) in GENERAL {
            let word = format!("{what}-{export}");
            assert_names(&neighbourhood.sink(topic, &word), &word, export, told);
            neighbourhood.assert_moving(&format!("beside {word}"));
        }
    }
    neighbourhood.finish();
}

#[test]
fn sources_that_answer_nonsense() {
    const WORDS: [&str; 26] = [
        "rows-mismatch",
        "rows-huge",
        "lying-lengths",
        "short-lengths",
        "negative-length",
        "overflowing-lengths",
        "short-column",
        "no-topics",
        "bad-topic-name",
        "empty-topic-name",
        "topic-out-of-range",
        "schema-out-of-range",
        "bad-schema",
        "bad-schema-json",
        "header-counts",
        "null-header-key",
        "negative-partition",
        "checkpoint-beyond-rows",
        "checkpoints-unordered",
        "bad-offset-json",
        "nested-offset",
        "offset-no-object",
        "duplicate-offset-key",
        "bad-partition-json",
        "uninvited-boundary",
        "huge-batch",
    ];
    let neighbourhood = Neighbourhood::start("nonsense-source");
    for word in WORDS {
        assert_names(&neighbourhood.source(word), word, "poll", "");
    }
    neighbourhood.finish();
}

#[test]
fn sinks_that_answer_nonsense() {
    const WORDS: [(&str, &str); 10] = [
        ("open-negative", "open"),
        ("open-beyond", "open"),
        ("open-unknown", "open"),
        ("errant-out-of-range", "put"),
        ("errant-twice", "put"),
        ("durable-beyond", "flush"),
        ("durable-negative", "flush"),
        ("durable-unknown", "flush"),
        ("late-errant-unknown", "flush"),
        ("late-errant-beyond", "flush"),
    ];
    let neighbourhood = Neighbourhood::start("nonsense-sink");
    let topic = "nonsense-sink-records";
    neighbourhood.kafka.create_topic(topic, 1);
    neighbourhood
        .kafka
        .produce(topic, (0..10).map(|_| (Some("key"), "value")));
    for (word, export) in WORDS {
        assert_names(&neighbourhood.sink(topic, word), word, export, "");
    }
    neighbourhood.finish();
}

/// What is a nuisance but no offence costs the guest, not the neighbours.
#[test]
fn nuisances_are_borne() {
    let neighbourhood = Neighbourhood::start("nuisance");
    let rest = neighbourhood.worker.rest();
    let words = [
        "log-poll",
        "idle-zero",
        "idle-forever",
        "wait-forever",
        "retriable-poll",
        "finished",
    ];
    for word in words {
        let topic = format!("nuisance-{word}");
        neighbourhood.kafka.create_topic(&topic, 1);
        rest.create(
            word,
            &[
                ("connector.class", "hostile-source"),
                ("topic", &topic),
                ("misbehave", word),
            ],
        );
    }
    for word in words {
        rest.wait_for_state(word, "RUNNING");
        neighbourhood.assert_moving(&format!("beside {word}"));
    }
    neighbourhood.finish();
}

#[test]
fn a_guest_that_stumbles_once_recovers() {
    let neighbourhood = Neighbourhood::start("stumble");
    neighbourhood.kafka.create_topic("stumble", 1);
    neighbourhood.worker.rest().create(
        "stumble",
        &[
            ("connector.class", "hostile-source"),
            ("topic", "stumble"),
            ("misbehave", "once-poll"),
        ],
    );
    wait_until("records after the stumble", LIMIT, || {
        neighbourhood.kafka.count("stumble") > 0
    });
    neighbourhood
        .worker
        .rest()
        .wait_for_state("stumble", "RUNNING");
    neighbourhood.finish();
}

#[test]
fn a_plan_that_is_refused_fails_the_connector_only() {
    let neighbourhood = Neighbourhood::start("bad-plan");
    let rest = neighbourhood.worker.rest();
    for word in [
        "trap-plan",
        "loop-plan",
        "fatal-plan",
        "plan-too-many",
        "plan-duplicate-key",
    ] {
        rest.create(
            word,
            &[
                ("connector.class", "hostile-source"),
                ("topic", "never"),
                ("misbehave", word),
            ],
        );
        let status = rest.wait_for_status(word, "a failed connector", |s| {
            s["connector"]["state"] == "FAILED"
        });
        let trace = status["connector"]["trace"].as_str().expect("a trace");
        println!("{word}: {}", trace.lines().next().unwrap_or_default());
        assert!(
            word == "fatal-plan" || trace.contains("plan"),
            "{word}: {trace}"
        );
        neighbourhood.assert_moving(&format!("beside {word}"));
        rest.delete(&format!("/connectors/{word}")).expect(204);
    }
    neighbourhood.finish();
}
