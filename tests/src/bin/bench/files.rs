//! `bench files`: lines of a file into a topic, and out of a topic into a file.

use tidegate_tests::broker::Broker;
use tidegate_tests::files::LINE_LENGTH;
use tidegate_tests::scratch::Scratch;

use crate::librdkafka::{self, Way};
use crate::moves::{Bench, Case, SINK_TOPIC};
use crate::report::{self, Figures, Row};
use crate::subject::Subject;
use crate::{Options, say, start_up};

/// Connect's default, which the real one has here too.
const FLUSH_INTERVAL: &str = "60000";

const CASES: [Case; 4] = [
    Case {
        name: "file to topic",
        to_kafka: true,
        batch: None,
    },
    Case {
        name: "file to topic, batch.size=20000",
        to_kafka: true,
        batch: Some(("batch.size", "20000")),
    },
    Case {
        name: "topic to file",
        to_kafka: false,
        batch: None,
    },
    Case {
        name: "topic to file, max.poll.records=5000",
        to_kafka: false,
        batch: Some(("consumer.override.max.poll.records", "5000")),
    },
];

/// Measures and prints.
pub fn run(options: &Options) {
    let data = Scratch::new("bench");
    say("starting Kafka");
    let broker = Broker::start();
    let bench = Bench::new(&broker, &data, options.records);
    let mut subjects = Vec::new();
    if options.wants("tidegate") {
        subjects.push(Subject::tidegate(&broker, data.path(), FLUSH_INTERVAL));
    }
    if options.wants("connect") {
        subjects.push(Subject::connect(&broker));
    }
    let mut rows: Vec<Row> = Vec::new();
    for case in &CASES {
        let runs = alternate(&bench, case, &mut subjects, options);
        rows.extend(runs);
    }
    println!(
        "\n{} records of {LINE_LENGTH} bytes, one worker, one task\n",
        options.records
    );
    report::throughput(&rows, options.records);

    let mut starts = Vec::new();
    for subject in &mut subjects {
        say(&format!("start of {}", subject.name()));
        starts.extend(start_up::measure(&broker, &data, subject, options.runs));
    }
    report::start_up(&starts);
}

/// One run of each subject after the other, so that a busy minute hits all of them alike.
fn alternate(
    bench: &Bench<'_>,
    case: &Case,
    subjects: &mut [Subject],
    options: &Options,
) -> Vec<Row> {
    let row = |subject| Row {
        case: case.name.to_owned(),
        subject,
        runs: Vec::new(),
    };
    let mut rows: Vec<Row> = subjects.iter().map(|subject| row(subject.name())).collect();
    let mut bare = row("librdkafka");
    for run in 0..=options.runs {
        let warming_up = run == 0;
        let title = if warming_up {
            "warming up".to_owned()
        } else {
            format!("run {run}")
        };
        for (subject, row) in subjects.iter_mut().zip(&mut rows) {
            say(&format!("{}: {}, {title}", case.name, subject.name()));
            let figures = bench.measure(case, subject, run);
            if !warming_up {
                row.runs.push(figures);
            }
        }
        // Its batches have no such size, so once for each way is enough.
        if options.wants("librdkafka") && case.batch.is_none() {
            say(&format!("{}: librdkafka, {title}", case.name));
            let figures = measure_bare(bench, case, run);
            if !warming_up {
                bare.runs.push(figures);
            }
        }
    }
    rows.extend((!bare.runs.is_empty()).then_some(bare));
    rows
}

fn measure_bare(bench: &Bench<'_>, case: &Case, run: usize) -> Figures {
    let bootstrap = bench.broker.bootstrap();
    if !case.to_kafka {
        return librdkafka::run(Way::Consume, &bootstrap, SINK_TOPIC, bench.records);
    }
    let topic = format!("librdkafka-{run}");
    bench.kafka.create_topic(&topic, 1);
    librdkafka::run(Way::Produce, &bootstrap, &topic, bench.records)
}
