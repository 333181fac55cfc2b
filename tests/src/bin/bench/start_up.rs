//! From the start of a worker's process to its first answer, and to the first record in Kafka.

use std::fs;
use std::time::{Duration, Instant};

use tidegate_tests::broker::Broker;
use tidegate_tests::files::append_lines;
use tidegate_tests::meter::Meter;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::wait_until;

use crate::report::{Figures, Row};
use crate::subject::Subject;

const LIMIT: Duration = Duration::from_secs(120);

/// Starts a worker that has its plugins and is given one connector, as often as asked. The worker
/// is running before and stopped afterwards.
pub fn measure(broker: &Broker, data: &Scratch, subject: &mut Subject, runs: usize) -> [Row; 2] {
    let name = subject.name();
    let row = |case: &str| Row {
        case: case.to_owned(),
        subject: name,
        runs: Vec::new(),
    };
    let (mut rest_row, mut record_row) = (row("REST answers"), row("first record in Kafka"));
    for run in 0..runs {
        let topic = format!("start-{name}-{run}");
        broker.client().create_topic(&topic, 1);
        // A file of its own, because a source remembers how far it has read.
        let file = data.join(&format!("{topic}.txt"));
        append_lines(&file, 0, 10);
        let connector = data.join(&format!("{topic}.properties"));
        let text = format!(
            "name={topic}\nconnector.class=FileStreamSource\ntasks.max=1\nfile={}\ntopic={topic}\n",
            file.display()
        );
        fs::write(&connector, text).unwrap();

        subject.stop();
        let start = Instant::now();
        subject.launch_with(connector);
        let mut meter = Meter::start(subject.pid());
        // All of it, from the process's first moment.
        meter.count_from_zero();
        let now = |meter: &Meter| Figures {
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: meter.cpu_seconds(),
            peak_mib: meter.peak_mib(),
        };
        let (rest, kafka) = (subject.rest(), broker.client());
        wait_until("REST answers", LIMIT, || {
            rest.try_get("/").is_some_and(|answer| answer.status == 200)
        });
        rest_row.runs.push(now(&meter));
        wait_until("the first record", LIMIT, || kafka.count(&topic) > 0);
        record_row.runs.push(now(&meter));
    }
    subject.stop();
    [rest_row, record_row]
}
