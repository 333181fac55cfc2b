//! `bench native`: what the sandbox costs as a whole. A worker moves the records, and beside it a
//! program that has all of the worker's parts on the records' way but the sandbox.

use tidegate_tests::broker::Broker;
use tidegate_tests::files::LINE_LENGTH;
use tidegate_tests::scratch::Scratch;

use crate::moves::{Bench, Case, SINK_TOPIC};
use crate::native_job;
use crate::report::{self, Figures, Row};
use crate::subject::Subject;
use crate::{Options, librdkafka::Way, say};

/// As the program beside it; more than a million records take longer than that.
const FLUSH_INTERVAL: &str = "1000";

const CASES: [Case; 2] = [
    Case {
        name: "file to topic",
        to_kafka: true,
        batch: None,
    },
    Case {
        name: "topic to file",
        to_kafka: false,
        batch: None,
    },
];

/// Measures and prints.
pub fn run(options: &Options) {
    let data = Scratch::new("bench");
    say("starting Kafka");
    let broker = Broker::start();
    let bench = Bench::new(&broker, &data, options.records);
    let mut worker = Subject::tidegate(&broker, data.path(), FLUSH_INTERVAL);
    let pairs: Vec<[Row; 2]> = CASES
        .iter()
        .map(|case| alternate(&bench, case, &mut worker, options.runs))
        .collect();
    worker.stop();
    println!(
        "\n{} records of {LINE_LENGTH} bytes, one worker, one task\n",
        options.records
    );
    report::compared(&pairs, options.records);
}

/// The native program and the worker in turn, so that a busy minute hits both alike.
fn alternate(bench: &Bench<'_>, case: &Case, worker: &mut Subject, runs: usize) -> [Row; 2] {
    let row = |subject| Row {
        case: case.name.to_owned(),
        subject,
        runs: Vec::new(),
    };
    let (mut native, mut sandboxed) = (row("native"), row(worker.name()));
    for run in 0..=runs {
        say(&format!("{}: run {run} (0 warms up)", case.name));
        let pair = (
            measure_native(bench, case, run),
            bench.measure(case, worker, run),
        );
        if run > 0 {
            native.runs.push(pair.0);
            sandboxed.runs.push(pair.1);
        }
    }
    [native, sandboxed]
}

fn measure_native(bench: &Bench<'_>, case: &Case, run: usize) -> Figures {
    let bootstrap = bench.broker.bootstrap();
    if case.to_kafka {
        let topic = format!("source-native-{run}");
        bench.kafka.create_topic(&topic, 1);
        let input = bench.data.join("lines.txt");
        return native_job::run(Way::Produce, &bootstrap, &topic, &input, bench.records);
    }
    let output = bench.data.join(&format!("sink-native-{run}.txt"));
    let figures = native_job::run(Way::Consume, &bootstrap, SINK_TOPIC, &output, bench.records);
    let written = std::fs::metadata(&output).unwrap().len();
    assert_eq!(written, (bench.records * (LINE_LENGTH + 1)) as u64);
    std::fs::remove_file(&output).unwrap();
    figures
}
