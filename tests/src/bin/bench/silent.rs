//! One of three brokers falls silent (SIGSTOP: its connections stay open, nothing answers): how long what
//! runs stands still, and how long what is started then takes. Beside a worker with a file source and a file
//! sink runs a plain librdkafka producer and consumer with their defaults, on the same brokers.

use std::time::{Duration, Instant};

use tidegate_tests::brokers::Brokers;
use tidegate_tests::wait::wait_until;

use crate::say;
use crate::silent_streams::{PLAIN, Piped, Plain, Stream, TOPICS, WORKER};

/// For everything to have arrived, in the worst case met so far doubled.
const LIMIT: Duration = Duration::from_secs(240);
/// What was written so shortly before may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// Between the silence and what is started within it: the brokers have not noticed yet.
const STARTED_AFTER: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);

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
    println!("| silent broker | who | what runs, s | a source or producer started then, s |");
    println!("| ---: | --- | ---: | ---: |");
    for number in 0..3 {
        wait_until("everything arrives before the silence", LIMIT, || {
            [plain.stream(), piped.stream()]
                .iter()
                .all(|s| s.is_current(ON_ITS_WAY))
                && brokers.client().is_in_sync()
        });
        say(&format!("broker {} falls silent", number + 1));
        brokers.freeze(number);
        let silent_since = Instant::now();
        std::thread::sleep(STARTED_AFTER);
        let started = [piped.start_another(number), plain.start_another(number)];
        let streams = [piped.stream(), plain.stream()];
        let stood = stood_still(&streams, &started, silent_since);
        for (who, [running, new]) in [WORKER, PLAIN].iter().zip(stood) {
            println!("| {} | {who} | {running:.1} | {new:.1} |", number + 1);
        }
        brokers.thaw(number);
    }
}

/// For each stream: seconds until all that was written had arrived but for the last second, and until what
/// was started after the silence began had its first record through.
fn stood_still(streams: &[&Stream; 2], started: &[usize; 2], since: Instant) -> [[f64; 2]; 2] {
    let mut found = [[None::<f64>; 2]; 2];
    let deadline = since + LIMIT;
    let settled = since + STARTED_AFTER + ON_ITS_WAY;
    while found.iter().flatten().any(Option::is_none) && Instant::now() < deadline {
        let passed = since.elapsed().as_secs_f64();
        for ((stream, mark), found) in streams.iter().zip(started).zip(&mut found) {
            if found[0].is_none() && Instant::now() > settled && stream.is_current(ON_ITS_WAY) {
                found[0] = Some(passed - ON_ITS_WAY.as_secs_f64());
            }
            if found[1].is_none() && stream.has(*mark) {
                found[1] = Some(passed - STARTED_AFTER.as_secs_f64());
            }
        }
        std::thread::sleep(LOOK);
    }
    found.map(|pair| pair.map(|seconds| seconds.unwrap_or(f64::INFINITY)))
}
