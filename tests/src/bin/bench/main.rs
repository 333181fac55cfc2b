//! Measures Tidegate beside Kafka Connect and bare librdkafka: same machine, same broker, same
//! run, one after the other. What counts is CPU time per record; rates depend on what else the
//! machine does.

mod boundary;
mod child;
mod cluster;
mod cluster_nodes;
mod connect;
mod files;
mod librdkafka;
mod moves;
mod native;
mod native_job;
mod report;
mod rows;
mod silent;
mod silent_streams;
mod spread;
mod sql;
mod sql_bare;
mod sql_native;
mod start_up;
mod subject;

use clap::{Args, Parser};

#[derive(Parser)]
#[command(about = "Measure Tidegate beside Kafka Connect and bare librdkafka")]
enum Command {
    /// Lines of 100 bytes: file to topic and topic to file, and how long a worker takes to start.
    Files(Options),
    /// JSON rows of a topic into PostgreSQL, beside Debezium's JDBC sink and programs without a sandbox.
    Sql(Options),
    /// What a call into the sandbox costs, alone: records out of a source and into a sink.
    Boundary(boundary::Options),
    /// Clusters of three workers beside Kafka Connect's: fail-over, join, changes, many connectors.
    Cluster(cluster::Options),
    /// One of three brokers falls silent: how long a worker and a plain client stand still.
    Silent,
    /// The same moves as `files`, by a worker and by a program without a sandbox.
    Native(Options),
    /// For `files`, in a process of its own: produce or consume with librdkafka alone.
    #[command(hide = true)]
    Librdkafka(librdkafka::Job),
    /// For `native`, in a process of its own.
    #[command(hide = true)]
    NativeJob(native_job::Job),
    /// For `sql`, in a process of its own: a program that knows its rows.
    #[command(hide = true)]
    SqlBare(sql_bare::Job),
    /// For `sql`, in a process of its own: the sink's work without a sandbox.
    #[command(hide = true)]
    SqlNative(sql_bare::Job),
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
    /// Whom to leave out: tidegate, connect, librdkafka (of `files`), native, bare (of `sql`).
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
        Command::Sql(options) => sql::run(&options),
        Command::SqlBare(job) => sql_bare::work(&job),
        Command::SqlNative(job) => sql_native::work(&job),
        Command::Boundary(options) => boundary::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Silent => silent::run(),
        Command::Native(options) => native::run(&options),
        Command::Librdkafka(job) => librdkafka::work(&job),
        Command::NativeJob(job) => native_job::work(&job),
    }
}

/// Says what is being done, on stderr: stdout is for the tables.
fn say(text: &str) {
    eprintln!("bench: {text}");
}
