//! The control plane of a cluster, simulated with many seeds: crashes, pauses, lost answers, and
//! whatever they break. `./justw simulate` runs many more.

use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_tests::simulation::{self, Failure, Tally};

/// A few seconds long; most bugs that were planted showed within some hundred.
const SEEDS: u64 = 2_000;

/// Runs every seed below `SEEDS`, on all cores.
fn run_all() -> Result<Tally, Failure> {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return Ok(tally);
            }
            tally.add(&simulation::run(seed)?);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Tally::default();
        for worker in workers {
            all.add(&worker.join().unwrap()?);
        }
        Ok(all)
    })
}

#[test]
fn whatever_befalls_a_cluster_it_keeps_its_invariants_and_recovers() {
    let tally = run_all().unwrap_or_else(|failure| panic!("{failure}"));
    // A run in which nothing happens would show nothing.
    let Tally {
        starts,
        releases,
        answers,
        crashes,
        pauses,
        lapses,
        leads,
        refusals,
    } = tally;
    let least = [
        starts, releases, answers, crashes, pauses, lapses, leads, refusals,
    ];
    assert!(least.iter().all(|count| *count > SEEDS / 10), "{tally:?}");
}

/// Beyond the first few thousand: a fence record in the append of the next plan, and a lost answer that
/// was taken for one's own.
#[test]
fn seeds_that_found_something_find_nothing_any_more() {
    for seed in [257, 30_187, 41_048] {
        if let Err(failure) = simulation::run(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn a_seed_runs_the_same_way_each_time() {
    let steps = || simulation::trace(8, usize::MAX).0;
    let first = steps();
    assert!(first.len() > 40, "{} steps", first.len());
    assert_eq!(first, steps());
}
