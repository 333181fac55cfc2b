//! `bench boundary`: what it costs that records cross the sandbox's wall, and nothing else. The
//! guests at hand copy a batch that is ready, or look at lengths; there is no Kafka.

mod task;

use std::time::{Duration, Instant};

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use tidegate_sandbox::{CompilerCommand, Limits, Sandbox, SandboxOptions};
use tidegate_tests::paths;
use tidegate_tests::scratch::Scratch;

use crate::report::{self, Crossing};
use crate::say;
use task::{Task, load, start_sink, start_source};

const ROWS: usize = 2_000;
const RECORD_BYTES: [usize; 2] = [100, 1_000];

/// As many threads as a worker has beside those of the guests.
const RUNTIME_THREADS: usize = 2;

/// Calls before the clock starts, for memory to grow to what it will be.
const WARM_UP: usize = 100;

/// What can be chosen.
#[derive(Args, Debug)]
pub struct Options {
    /// How many measured runs.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How long one of them takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

/// Measures and prints.
pub fn run(options: &Options) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .unwrap();
    let length = Duration::from_secs_f64(options.seconds);
    // Spawned, as a task's loop is: block_on would stay on a thread that the runtime lacks.
    let measured = runtime.spawn(measure(options.runs, length));
    let crossings = runtime.block_on(measured).unwrap();
    println!("\nBatches of {ROWS} records\n");
    report::crossings(&crossings);
}

async fn measure(runs: usize, length: Duration) -> Vec<Crossing> {
    let scratch = Scratch::new("boundary");
    let sandbox = Sandbox::new(SandboxOptions {
        cache_directory: scratch.join("cache"),
        compiler: CompilerCommand {
            program: paths::tidegate(),
            arguments: vec!["compile-component".to_owned()],
        },
        limits: Limits::default(),
    })
    .unwrap();
    say("compiling the guests");
    let source = load(&sandbox, "boundary-source").await;
    let sink = load(&sandbox, "boundary-sink").await;
    let crossing = |way, rows, bytes| Crossing {
        way,
        rows,
        bytes,
        cpu_ns: Vec::new(),
    };
    let mut cases = vec![(
        crossing("a poll that answers idle", 0, 0),
        start_source(&source, 0, 0).await,
    )];
    for bytes in RECORD_BYTES {
        let task = start_source(&source, ROWS, bytes).await;
        cases.push((crossing("out of a source", ROWS, bytes), task));
    }
    for bytes in RECORD_BYTES {
        let task = start_sink(&sink, ROWS, bytes).await;
        cases.push((crossing("into a sink", ROWS, bytes), task));
    }
    for (case, task) in &mut cases {
        for _ in 0..WARM_UP {
            task.call(case.rows, case.bytes).await;
        }
    }
    // Run by run and not case by case, so that a busy minute hits all of them alike.
    for run in 1..=runs {
        say(&format!("run {run}"));
        for (case, task) in &mut cases {
            let cpu_ns = cpu_ns_a_call(task, case.rows, case.bytes, length).await;
            case.cpu_ns.push(cpu_ns);
        }
    }
    cases.into_iter().map(|(case, _)| case).collect()
}

/// CPU nanoseconds of this process a call.
async fn cpu_ns_a_call(task: &mut Task, rows: usize, bytes: usize, length: Duration) -> f64 {
    let (start, cpu) = (Instant::now(), process_cpu_time());
    let mut calls = 0u32;
    while start.elapsed() < length {
        task.call(rows, bytes).await;
        calls += 1;
    }
    (process_cpu_time() - cpu).as_nanos() as f64 / f64::from(calls)
}

fn process_cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}
