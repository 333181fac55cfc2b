//! One of three brokers falls silent (SIGSTOP: its connections stay open, nothing answers): how long what
//! runs stands still, and how long what is started then takes. Beside a worker with a file source and a file
//! sink runs a plain librdkafka producer and consumer with their defaults, on the same brokers.

use std::time::{Duration, Instant};

use tidegate_tests::brokers::Brokers;
use tidegate_tests::wait::{wait_or_give_up, wait_until};

use crate::say;
use crate::silent_streams::{PLAIN, Piped, Plain, TOPICS, WORKER};

/// For everything to have arrived, in the worst case met so far doubled.
const LIMIT: Duration = Duration::from_secs(240);
/// What was written so shortly before may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Freezes one broker after the other and prints how long each stood still.
pub fn run() {
    say("starting three brokers");
    let brokers = Brokers::start();
    let client = brokers.client();
    for topic in TOPICS {
        client.create_replicated_topic(topic, 3, 3);
    }
    let plain = Plain::start(&brokers.bootstrap());
    let piped = Piped::start(&brokers.bootstrap());
    let are_current = || [plain.is_current(ON_ITS_WAY), piped.is_current(ON_ITS_WAY)];
    println!("| silent broker | who | what runs, s | a source or producer started then, s |");
    println!("| ---: | --- | ---: | ---: |");
    for number in 0..3 {
        wait_until("everything arrives before the silence", LIMIT, || {
            are_current() == [true, true] && client.is_in_sync()
        });
        say(&format!("broker {} falls silent", number + 1));
        brokers.freeze(number);
        let silent_since = Instant::now();
        wait_until("both stand still", LIMIT, || {
            are_current() == [false, false]
        });
        let started_at = Instant::now();
        let started = [piped.start_another(number), plain.start_another(number)];
        let mut running = [None; 2];
        let mut new = [None; 2];
        wait_or_give_up(LIMIT, || {
            let arrived = [piped.has(started[0]), plain.has(started[1])];
            let [plain, piped] = are_current();
            for (who, (current, arrived)) in [piped, plain].into_iter().zip(arrived).enumerate() {
                if current {
                    running[who].get_or_insert_with(|| silent_since.elapsed() - ON_ITS_WAY);
                }
                if arrived {
                    new[who].get_or_insert_with(|| started_at.elapsed());
                }
            }
            let all = running.iter().chain(&new);
            all.copied()
                .all(|seen: Option<Duration>| seen.is_some())
                .then_some(())
        });
        let seconds = |seen: Option<Duration>| seen.map_or(f64::INFINITY, |d| d.as_secs_f64());
        for (who, (running, new)) in [WORKER, PLAIN].iter().zip(running.into_iter().zip(new)) {
            let (running, new) = (seconds(running), seconds(new));
            println!("| {} | {who} | {running:.1} | {new:.1} |", number + 1);
        }
        brokers.thaw(number);
    }
}
