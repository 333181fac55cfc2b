//! Storms from a seed over real processes; a failure is followed by the command that repeats it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tidegate_tests::chaos;

/// Lets processes, network, disk, topics and files fail at random, and counts every record at the end.
#[derive(Parser)]
struct Arguments {
    /// How long it storms.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// What decides about everything that happens; another one each time unless given.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { minutes, seed } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("chaos: seed {seed}, {minutes} min");
    let started = Instant::now();
    let storm = std::panic::catch_unwind(|| {
        chaos::storm(seed, Duration::from_secs(60 * minutes), |what| {
            println!("{:6.1} s  {what}", started.elapsed().as_secs_f64());
        })
    });
    match storm {
        Ok(summary) => {
            for (happening, times) in &summary.happened {
                println!("{times:5}  {happening:?}");
            }
            println!(
                "chaos: nothing lost of {} lines, nothing doubled in the databases, after {} s",
                summary.lines,
                started.elapsed().as_secs()
            );
            ExitCode::SUCCESS
        }
        Err(_) => {
            println!("chaos: again with: ./justw chaos --minutes {minutes} --seed {seed}");
            ExitCode::FAILURE
        }
    }
}
