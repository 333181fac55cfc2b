//! Each record is in the database exactly once, whoever is killed, stopped or woken meanwhile, and
//! without anybody's help (D2, D4, D8).

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use tidegate_tests::broker::Broker;
use tidegate_tests::items::{ItemCount, items};
use tidegate_tests::scratch::Scratch;
use tidegate_tests::target::Target;
use tidegate_tests::wait::{wait_or_give_up, wait_until};
use tidegate_tests::worker::Worker;

const RECORDS: usize = 1_000_000;
const LIMIT: Duration = Duration::from_secs(240);
const CREATE: &str = "CREATE TABLE items (id BIGINT NOT NULL, name TEXT, price DOUBLE PRECISION, \
                      is_even BOOLEAN)";

/// Two workers that share a sink's group, and what they work on. The second starts when it is needed.
struct Stage {
    broker: Broker,
    directory: Scratch,
    target: Target,
    workers: Vec<Worker>,
    config: BTreeMap<String, String>,
}

impl Stage {
    fn new(
        directory: Scratch,
        target: Target,
        records: impl Iterator<Item = String>,
        config: &[(&str, &str)],
    ) -> Self {
        let broker = Broker::start();
        broker.client().create_topic("items", 4);
        let texts: Vec<String> = records.collect();
        let records = texts.iter().map(|text| (None, text.as_str()));
        broker.client().produce("items", records);
        let fixed = [
            ("connector.class", "sql-sink"),
            ("topics", "items"),
            ("tasks.max", "2"),
            ("value.converter", "JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("table.name.format", "items"),
            // A member that was killed holds its partitions for this long.
            ("consumer.override.session.timeout.ms", "2000"),
            ("consumer.override.heartbeat.interval.ms", "500"),
        ];
        let pairs = fixed.iter().chain(config);
        let mut all: BTreeMap<String, String> = pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        all.extend(target.connection());
        let mut stage = Self {
            broker,
            directory,
            target,
            workers: Vec::new(),
            config: all,
        };
        stage.add_worker();
        stage
    }

    /// One more worker with the connector.
    fn add_worker(&mut self) {
        let directories = self.directory.path().display().to_string();
        let worker = Worker::setup(&self.broker)
            .set("tidegate.directories", &directories)
            .start();
        worker.rest().upload_guests(&["sql-sink"]);
        let pairs = self.config.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        worker.rest().create("items", &pairs.collect::<Vec<_>>());
        self.workers.push(worker);
    }

    fn wait_for_progress(&mut self, wanted: usize) {
        let target = &self.target;
        let done = wait_or_give_up(LIMIT, || (target.progress()? >= wanted).then_some(()));
        if done.is_none() {
            for worker in &mut self.workers {
                eprintln!("{}", worker.process().log_tail());
            }
            panic!(
                "{:?} of {wanted} records after {LIMIT:?}",
                target.progress()
            );
        }
    }

    /// Everything that can happen to a worker and its broker, spread over the work.
    fn disturb(&mut self, disturbances: &[fn(&mut Stage)]) {
        let step = RECORDS / (disturbances.len() + 1);
        for (n, disturb) in disturbances.iter().enumerate() {
            self.wait_for_progress(n * step + fastrand::usize(step / 4..step));
            disturb(self);
        }
        self.wait_for_progress(RECORDS);
    }

    fn kill_worker(&mut self) {
        let chosen = fastrand::usize(..self.workers.len());
        self.workers[chosen].kill();
        self.workers[chosen].start_again();
    }

    fn bounce_broker(&mut self) {
        self.broker.stop();
        self.broker.start_again();
    }

    /// The owner stands still in the middle of its work, another takes over, and the first one wakes
    /// up and goes on where it stood. Where it may hold the lock of a file, the other one can but wait.
    fn wake_an_old_owner(&mut self) {
        self.workers[0].process().signal(Signal::STOP);
        let before = self.target.progress().unwrap_or_default();
        self.add_worker();
        let new = self.workers.last_mut().unwrap();
        wait_until("the new owner takes over", LIMIT, || {
            new.log().contains("open partitions")
        });
        if !self.target.is_a_file() {
            let wanted = (before + RECORDS / 50).min(RECORDS);
            self.wait_for_progress(wanted);
        }
        self.workers[0].process().signal(Signal::CONT);
    }
}

fn shuffled(mut disturbances: Vec<fn(&mut Stage)>) -> Vec<fn(&mut Stage)> {
    let seed = fastrand::u64(..);
    println!("order of the disturbances by seed {seed}");
    fastrand::Rng::with_seed(seed).shuffle(&mut disturbances);
    disturbances
}

#[test]
fn a_million_records_are_in_sqlite_exactly_once() {
    let directory = Scratch::new("sqlite");
    let target = Target::Sqlite(directory.join("items.db"));
    target.execute(CREATE);
    let config = [("insert.mode", "insert")];
    let mut stage = Stage::new(directory, target, items(0..RECORDS), &config);
    let mut disturbances: Vec<fn(&mut Stage)> = vec![Stage::kill_worker; 10];
    disturbances.extend([
        Stage::bounce_broker as fn(&mut Stage),
        Stage::wake_an_old_owner,
    ]);
    stage.disturb(&shuffled(disturbances));
    let rows = stage.target.rows("SELECT id, name FROM items");
    ItemCount::of(RECORDS, rows).assert_exact();
}
