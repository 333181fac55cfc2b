//! Clusters of three workers: how long work stands still when a worker dies, what a join moves, how
//! soon a change is in effect, and what many connectors cost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::files::append_lines;
use tidegate_tests::kafka::Kafka;
use tidegate_tests::meter::load;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::{wait_for, wait_until};

use crate::cluster_nodes::{LIMIT, Nodes, SESSION};
use crate::say;

/// Sources that always have something to do, and as many sinks.
const PAIRS: usize = 6;

/// Between two lines of each file.
const LINE_EVERY: Duration = Duration::from_millis(50);

/// What can be chosen.
#[derive(Args, Debug)]
pub struct Options {
    /// How many connectors to create and delete.
    #[arg(long, default_value_t = 200)]
    connectors: usize,
    /// How many runs, each with a new cluster.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Whom to leave out: tidegate, connect.
    #[arg(long)]
    skip: Vec<String>,
}

/// Figures by case: one entry a run.
type Figures = BTreeMap<&'static str, Vec<f64>>;

pub fn run(options: &Options) {
    let broker = Broker::start();
    let mut columns: Vec<(&str, Figures)> = Vec::new();
    for name in ["tidegate", "connect"] {
        if options.skip.iter().any(|skipped| skipped == name) {
            continue;
        }
        let mut figures = Figures::new();
        for run in 0..options.runs {
            measure(name, &broker, run, options.connectors, &mut figures);
        }
        columns.push((name, figures));
    }
    print(&columns, options);
}

fn measure(
    name: &'static str,
    broker: &Broker,
    run: usize,
    connectors: usize,
    figures: &mut Figures,
) {
    let mut note = |case: &'static str, value: f64| {
        say(&format!("{name}, {case}: {value:.2}"));
        figures.entry(case).or_default().push(value);
    };
    let start = Instant::now();
    let mut nodes = Nodes::start(name, &broker.bootstrap(), run);
    note(
        "three workers from start to ready, s",
        start.elapsed().as_secs_f64(),
    );
    let work = Work::start(&nodes, broker, run);
    nodes.wait_placed(2 * PAIRS);

    note(
        "PUT config to first record by it, s",
        reconfigure(&nodes, &work, run),
    );
    note(
        "SIGKILL to first record of every moved task, s",
        fail_over(&mut nodes, &work),
    );
    let (seconds, moved) = join(&mut nodes);
    note("join: to rest, s", seconds);
    note("join: tasks moved of 12", moved);
    work.rest();

    let names: Vec<String> = (0..connectors).map(|n| format!("many-{n}")).collect();
    let directory = Scratch::new("many");
    let rest = nodes.rest(nodes.running()[0]);
    let start = Instant::now();
    for name in &names {
        let mut config = nodes.source(
            &format!("many-{}-{run}", nodes.name),
            &directory.text("nothing.txt"),
        );
        config["name"] = json!(name);
        let body = json!({"name": name, "config": config});
        wait_for("a connector is created", LIMIT, || {
            (rest.post("/connectors", &body).status == 201).then_some(())
        });
    }
    note(
        "create the connectors, answers, s",
        start.elapsed().as_secs_f64(),
    );
    nodes.wait_placed(2 * PAIRS + connectors);
    note(
        "create the connectors, all run, s",
        start.elapsed().as_secs_f64(),
    );
    let (mib, threads) = nodes.weight();
    note("memory of all workers with them, MiB", mib as f64);
    note("threads of all workers with them", threads as f64);

    nodes.kill_all();
    let start = Instant::now();
    let running = [0, 1, 2];
    running.iter().for_each(|number| nodes.launch(*number));
    running.iter().for_each(|number| nodes.wait_ready(*number));
    nodes.wait_placed(2 * PAIRS + connectors);
    note(
        "all workers killed and started again, all run, s",
        start.elapsed().as_secs_f64(),
    );

    let rest = nodes.rest(0);
    let start = Instant::now();
    for name in &names {
        wait_for("a connector is deleted", LIMIT, || {
            let status = rest.delete(&format!("/connectors/{name}")).status;
            (status == 204 || status == 404).then_some(())
        });
    }
    note("delete the connectors, s", start.elapsed().as_secs_f64());
    nodes.kill_all();
}

/// Files that grow, their sources, and sinks that read what they write.
struct Work {
    kafka: Kafka,
    directory: Scratch,
    topics: Vec<String>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn start(nodes: &Nodes, broker: &Broker, run: usize) -> Self {
        let kafka = broker.client();
        let directory = Scratch::new("work");
        let topic = |n| format!("{}-{run}-{n}", nodes.name);
        let topics: Vec<String> = (0..PAIRS).map(topic).collect();
        kafka.create_topic(&format!("many-{}-{run}", nodes.name), 1);
        for (number, topic) in topics.iter().enumerate() {
            kafka.create_topic(topic, 1);
            let (input, output) = (input(&directory, number), output(&directory, number));
            append_lines(&input, 0, 10);
            let source = nodes.source(topic, input.to_str().unwrap());
            nodes.put(&format!("source-{number}"), &source);
            let sink = nodes.sink(topic, output.to_str().unwrap());
            nodes.put(&format!("sink-{number}"), &sink);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, files) = (Arc::clone(&stop), directory.path().to_owned());
        std::thread::spawn(move || {
            for line in 10.. {
                for number in 0..PAIRS {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    append_lines(&files.join(format!("in-{number}.txt")), line, line + 1);
                }
                std::thread::sleep(LINE_EVERY);
            }
        });
        Self {
            kafka,
            directory,
            topics,
            stop,
        }
    }

    /// How far a connector has come: records of a source, bytes of a sink.
    fn progress(&self, connector: &str) -> u64 {
        let (kind, number) = connector.rsplit_once('-').unwrap();
        let number: usize = number.parse().unwrap();
        if kind == "source" {
            self.kafka.count(&self.topics[number]) as u64
        } else {
            size(&output(&self.directory, number))
        }
    }
}

impl Work {
    /// No more lines.
    fn rest(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn input(directory: &Scratch, number: usize) -> PathBuf {
    directory.join(&format!("in-{number}.txt"))
}

fn output(directory: &Scratch, number: usize) -> PathBuf {
    directory.join(&format!("out-{number}.txt"))
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |data| data.len())
}

/// Another topic for one of the sources.
fn reconfigure(nodes: &Nodes, work: &Work, run: usize) -> f64 {
    let topic = format!("{}-{run}-changed", nodes.name);
    work.kafka.create_topic(&topic, 1);
    let file = input(&work.directory, 0);
    let changed = nodes.source(&topic, file.to_str().unwrap());
    let start = Instant::now();
    nodes.put("source-0", &changed);
    wait_until("the new topic is written", LIMIT, || {
        work.kafka.count(&topic) > 0
    });
    let seconds = start.elapsed().as_secs_f64();
    let back = nodes.source(&work.topics[0], file.to_str().unwrap());
    nodes.put("source-0", &back);
    nodes.wait_placed(2 * PAIRS);
    seconds
}

/// Kills the worker that has the most tasks.
fn fail_over(nodes: &mut Nodes, work: &Work) -> f64 {
    let placed = nodes.wait_placed(2 * PAIRS);
    let of = |id: &str| placed.iter().filter(|(_, worker)| worker == id).count();
    let victim = (1..3).max_by_key(|number| of(&nodes.id(*number))).unwrap();
    let id = nodes.id(victim);
    let moved: Vec<&String> = placed
        .iter()
        .filter(|(_, worker)| *worker == id)
        .map(|(name, _)| name)
        .collect();
    say(&format!(
        "{}: killing a worker with {} tasks",
        nodes.name,
        moved.len()
    ));
    nodes.kill(victim);
    let start = Instant::now();
    let before: Vec<u64> = moved.iter().map(|name| work.progress(name)).collect();
    for (name, before) in moved.iter().zip(before) {
        // A sink whose source stands still, too, has nothing to write: it comes after it.
        wait_until(&format!("{name} works elsewhere"), LIMIT, || {
            work.progress(name) > before
        });
    }
    start.elapsed().as_secs_f64()
}

/// One more worker: until tasks are as even as they get, or nothing has moved for a session time-out.
fn join(nodes: &mut Nodes) -> (f64, f64) {
    let before: BTreeMap<String, String> = nodes.wait_placed(2 * PAIRS).into_iter().collect();
    let start = Instant::now();
    let number = nodes.add();
    nodes.wait_ready(number);
    let mut last = (before.clone(), Instant::now());
    let rest = wait_for("the cluster rests", LIMIT, || {
        let now: BTreeMap<String, String> = nodes.placed(2 * PAIRS)?.into_iter().collect();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > SESSION).then(|| last.clone())
    });
    let (after, at) = rest;
    let moved = before
        .iter()
        .filter(|(name, worker)| after[*name] != **worker);
    (at.duration_since(start).as_secs_f64(), moved.count() as f64)
}

fn print(columns: &[(&str, Figures)], options: &Options) {
    println!(
        "Three workers, session time-out {} s, {} sources and {} sinks; {} connectors created and deleted; {} run(s).\n",
        SESSION.as_secs(),
        PAIRS,
        PAIRS,
        options.connectors,
        options.runs
    );
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    println!("| case | {} |", names.join(" | "));
    println!("| --- |{}", " ---: |".repeat(names.len()));
    let cases: Vec<&&str> = columns
        .first()
        .map(|(_, f)| f.keys().collect())
        .unwrap_or_default();
    for case in cases {
        let cells: Vec<String> = columns
            .iter()
            .map(|(_, figures)| {
                let runs = figures.get(*case).into_iter().flatten();
                let runs: Vec<String> = runs.map(|value| format!("{value:.1}")).collect();
                runs.join(", ")
            })
            .collect();
        println!("| {case} | {} |", cells.join(" | "));
    }
    println!("\nLoad at the end: {:.1}", load());
}
