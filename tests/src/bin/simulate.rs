//! Runs seeds of the cluster's simulation, on all cores, until one fails.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use tidegate_tests::simulation::{self, Failure, LAST_STEPS, Tally};

/// Looks for seeds that break an invariant of the cluster's control plane.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this one.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Show every step of it.
    #[arg(long, requires = "seed")]
    trace: bool,
}

/// What the threads share.
struct Run {
    next: AtomicU64,
    end: u64,
    is_over: AtomicBool,
    found: Mutex<(Tally, Option<Failure>)>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => replay(seed, arguments.trace),
        None => search(arguments.first, arguments.seeds),
    }
}

fn replay(seed: u64, all: bool) -> ExitCode {
    let (steps, violation) = simulation::trace(seed, if all { usize::MAX } else { LAST_STEPS });
    for step in steps {
        println!("{step}");
    }
    match violation {
        Some(violation) => {
            println!("seed {seed} breaks {violation}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} breaks nothing");
            ExitCode::SUCCESS
        }
    }
}

fn search(first: u64, seeds: u64) -> ExitCode {
    let run = Run {
        next: AtomicU64::new(first),
        end: first.saturating_add(seeds),
        is_over: AtomicBool::new(false),
        found: Mutex::default(),
    };
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| run.work())).collect();
        let pause = Duration::from_secs(if std::io::stderr().is_terminal() {
            1
        } else {
            10
        });
        let mut said = Instant::now();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if said.elapsed() >= pause {
                said = Instant::now();
                let done = run.next.load(Ordering::Relaxed).min(run.end) - first;
                eprintln!("{done} of {seeds} seeds, {} s", began.elapsed().as_secs());
            }
        }
    });
    let (tally, failure) = run
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
        None => {
            println!(
                "{seeds} seeds break nothing in {} s: {tally:?}",
                began.elapsed().as_secs()
            );
            ExitCode::SUCCESS
        }
    }
}

impl Run {
    fn work(&self) {
        let mut tally = Tally::default();
        while !self.is_over.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                break;
            }
            match simulation::run(seed) {
                Ok(one) => tally.add(&one),
                Err(failure) => self.fail(failure),
            }
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.add(&tally);
    }

    fn fail(&self, failure: Failure) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // The lowest, so that the answer does not depend on who was faster.
        if found
            .1
            .as_ref()
            .is_none_or(|known| failure.seed < known.seed)
        {
            found.1 = Some(failure);
        }
    }
}
