//! Measures Tidegate beside Kafka Connect and bare librdkafka: same machine, same broker, same
//! run, one after the other. What counts is CPU time per record; rates depend on what else the
//! machine does.

mod connect;
mod files;
mod native;
mod report;
mod start_up;
mod subject;

use clap::{Args, Parser};

#[derive(Parser)]
#[command(about = "Measure Tidegate beside Kafka Connect and bare librdkafka")]
enum Command {
    /// Lines of 100 bytes: file to topic and topic to file, and how long a worker takes to start.
    Files(Options),
    /// For `files`, in a process of its own: produce or consume with librdkafka alone.
    #[command(hide = true)]
    Native(native::Job),
}

/// What can be chosen.
#[derive(Args, Debug)]
struct Options {
    /// How many records.
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// How many measured runs; one more comes before them to warm up and is not counted.
    #[arg(long, default_value_t = 2)]
    runs: usize,
    /// Whom to leave out: tidegate, connect or librdkafka.
    #[arg(long)]
    skip: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        !self.skip.iter().any(|skipped| skipped == name)
    }
}

fn main() {
    match Command::parse() {
        Command::Files(options) => files::run(&options),
        Command::Native(job) => native::work(&job),
    }
}

/// Says what is being done, on stderr: stdout is for the tables.
fn say(text: &str) {
    eprintln!("bench: {text}");
}
