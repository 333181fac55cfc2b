//! Tables in Markdown.

use tidegate_tests::meter::load;

use crate::spread::Spread;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Wall time.
    pub seconds: f64,
    /// CPU time of the process and its children.
    pub cpu_seconds: f64,
    /// The most memory at a time.
    pub peak_mib: u64,
}

/// One line of a table: the runs of one subject in one case.
#[derive(Debug)]
pub struct Row {
    /// What was done.
    pub case: String,
    /// By whom.
    pub subject: &'static str,
    /// One entry a run.
    pub runs: Vec<Figures>,
}

/// Rates and costs of moving `records` records.
pub fn throughput(rows: &[Row], records: usize) {
    throughput_head();
    rows.iter().for_each(|row| throughput_row(row, records));
    footer();
}

/// The same of two subjects, and by how much the second has more than the first.
pub fn compared(pairs: &[[Row; 2]], records: usize) {
    throughput_head();
    for pair in pairs {
        pair.iter().for_each(|row| throughput_row(row, records));
        let more = |value: fn(&Figures) -> f64| {
            let [first, second] = pair
                .each_ref()
                .map(|row| Spread::of(row.runs.iter().map(value)));
            match (first, second) {
                (Some(first), Some(second)) => {
                    format!("{:+.0} %", (second.median / first.median - 1.0) * 100.0)
                }
                _ => "-".to_owned(),
            }
        };
        println!(
            "| {} | difference | {} | {} | {} |",
            pair[0].case,
            more(|run| 1.0 / run.seconds),
            more(|run| run.cpu_seconds),
            more(|run| run.peak_mib as f64),
        );
    }
    footer();
}

fn throughput_head() {
    println!("| case | who | records/s | CPU-s per million | peak MiB |");
    println!("| --- | --- | ---: | ---: | ---: |");
}

fn throughput_row(row: &Row, records: usize) {
    let millions = records as f64 / 1e6;
    println!(
        "| {} | {} | {} | {} | {} |",
        row.case,
        row.subject,
        middle(&row.runs, 0, |run| records as f64 / run.seconds),
        middle(&row.runs, 2, |run| run.cpu_seconds / millions),
        middle(&row.runs, 0, |run| run.peak_mib as f64),
    );
}

/// A call into the sandbox.
#[derive(Debug)]
pub struct Crossing {
    /// Which.
    pub way: &'static str,
    /// Records of one call.
    pub rows: usize,
    /// How large each of them is.
    pub bytes: usize,
    /// CPU nanoseconds a call, one entry a run.
    pub cpu_ns: Vec<f64>,
}

/// What the calls cost.
pub fn crossings(crossings: &[Crossing]) {
    println!("| call | bytes a record | CPU-ns a record | CPU-µs a call |");
    println!("| --- | ---: | ---: | ---: |");
    for crossing in crossings {
        let each = |divisor: f64, digits| {
            let values = crossing.cpu_ns.iter().map(|ns| ns / divisor);
            Spread::of(values).map_or("-".to_owned(), |spread| spread.text(digits))
        };
        let (bytes, record) = match crossing.rows {
            0 => ("-".to_owned(), "-".to_owned()),
            rows => (crossing.bytes.to_string(), each(rows as f64, 1)),
        };
        println!(
            "| {} | {bytes} | {record} | {} |",
            crossing.way,
            each(1000.0, 1)
        );
    }
    footer();
}

/// How long starting took. Each case is a moment since the start of the process.
pub fn start_up(rows: &[Row]) {
    println!("| moment | who | seconds | CPU-s | peak MiB |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {} |",
            row.case,
            row.subject,
            middle(&row.runs, 2, |run| run.seconds),
            middle(&row.runs, 2, |run| run.cpu_seconds),
            middle(&row.runs, 0, |run| run.peak_mib as f64),
        );
    }
    footer();
}

fn footer() {
    println!(
        "\nMedian (lowest to highest). Load average at the end: {:.1}.\n",
        load()
    );
}

fn middle(runs: &[Figures], digits: usize, value: impl Fn(&Figures) -> f64) -> String {
    Spread::of(runs.iter().map(value)).map_or("-".to_owned(), |spread| spread.text(digits))
}
