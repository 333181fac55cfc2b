//! Two minutes of storm. `./justw chaos --minutes 60` is the full length.

use std::time::Duration;

use tidegate_tests::chaos;

const SEED: u64 = 9;

#[test]
fn two_minutes_of_storm_lose_nothing() {
    println!("again with: ./justw chaos --minutes 2 --seed {SEED}");
    chaos::storm(SEED, Duration::from_secs(120), |what| println!("{what}"));
}
