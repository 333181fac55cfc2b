//! Each record is in the database exactly once, whoever is killed, stopped or woken meanwhile, and
//! without anybody's help (D2, D4, D8).

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::items::{ItemCount, items, name};
use tidegate_tests::lost_answers::LostAnswers;
use tidegate_tests::postgres::Postgres;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::target::Target;
use tidegate_tests::wait::{wait_or_give_up, wait_until};
use tidegate_tests::worker::Worker;

const RECORDS: usize = 1_000_000;
/// Changes of [`KEYS`] rows.
const CHANGES: usize = 300_000;
const KEYS: usize = 20_000;
const LIMIT: Duration = Duration::from_secs(240);
const CREATE: &str = "CREATE TABLE items (id BIGINT NOT NULL, name TEXT, price DOUBLE PRECISION, \
                      is_even BOOLEAN)";
const CREATE_KEYED: &str = "CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT)";

/// Two workers that share a sink's group, and what they work on. The second starts when it is needed.
struct Stage {
    broker: Broker,
    postgres: Option<Postgres>,
    directory: Scratch,
    target: Target,
    workers: Vec<Worker>,
    config: BTreeMap<String, String>,
    records: usize,
}

/// A key, and a value or a tombstone.
type Record = (Option<String>, Option<String>);

impl Stage {
    /// Beside a server, or without.
    fn new(
        postgres: Option<Postgres>,
        create: &str,
        records: &[Record],
        config: &[(&str, &str)],
    ) -> Self {
        Self::with_way(postgres, None, create, records, config)
    }

    /// The same, with another port that leads to the server.
    fn with_way(
        postgres: Option<Postgres>,
        way: Option<u16>,
        create: &str,
        records: &[Record],
        config: &[(&str, &str)],
    ) -> Self {
        let directory = Scratch::new("databases");
        let target = match &postgres {
            Some(server) => Target::postgres(server),
            None => Target::Sqlite(directory.join("items.db")),
        };
        target.execute(create);
        let broker = Broker::start();
        broker.client().create_topic("items", 4);
        let texts = records
            .iter()
            .map(|(key, value)| (key.as_deref(), value.as_deref()));
        broker.client().produce_nullable("items", texts);
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
        if let (Some(way), Some(url)) = (way, all.get_mut("connection.url")) {
            let (_, database) = url.rsplit_once('/').unwrap();
            *url = format!("jdbc:postgresql://127.0.0.1:{way}/{database}?sslmode=disable");
        }
        let mut stage = Self {
            broker,
            postgres,
            directory,
            target,
            workers: Vec::new(),
            config: all,
            records: records.len(),
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
        let step = self.records / (disturbances.len() + 1);
        for (n, disturb) in disturbances.iter().enumerate() {
            self.wait_for_progress(n * step + fastrand::usize(step / 4..step));
            disturb(self);
        }
        self.wait_for_progress(self.records);
    }

    fn kill_worker(&mut self) {
        let chosen = fastrand::usize(..self.workers.len());
        self.workers[chosen].kill();
        self.workers[chosen].start_again();
    }

    fn crash_postgres(&mut self) {
        let server = self.postgres.as_mut().unwrap();
        server.stop_immediately();
        server.start_again();
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
            let wanted = (before + self.records / 50).min(self.records);
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

/// Ten worker kills, a bounce of the broker and an old owner that wakes up.
fn disturbances() -> Vec<fn(&mut Stage)> {
    let mut all: Vec<fn(&mut Stage)> = vec![Stage::kill_worker; 10];
    all.extend([
        Stage::bounce_broker as fn(&mut Stage),
        Stage::wake_an_old_owner,
    ]);
    all
}

/// In PostgreSQL's case three crashes of the server too.
fn with_crashes() -> Vec<fn(&mut Stage)> {
    let mut all = disturbances();
    all.extend([Stage::crash_postgres as fn(&mut Stage); 3]);
    all
}

fn every_record_once(postgres: Option<Postgres>, disturbances: Vec<fn(&mut Stage)>) {
    let records: Vec<Record> = items(0..RECORDS).map(|item| (None, Some(item))).collect();
    let config = [("insert.mode", "insert")];
    let mut stage = Stage::new(postgres, CREATE, &records, &config);
    stage.disturb(&shuffled(disturbances));
    let rows = stage.target.rows("SELECT id, name FROM items");
    ItemCount::of(RECORDS, rows).assert_exact();
}

#[test]
fn a_million_records_are_in_sqlite_exactly_once() {
    every_record_once(None, disturbances());
}

#[test]
fn a_million_records_are_in_postgresql_exactly_once() {
    every_record_once(Some(Postgres::start()), with_crashes());
}

/// Changes of random keys, every eighth a tombstone, and what they leave.
fn changes() -> (Vec<Record>, BTreeMap<usize, Option<String>>) {
    let mut left = BTreeMap::new();
    let mut records = Vec::with_capacity(CHANGES);
    for version in 0..CHANGES {
        let key = fastrand::usize(..KEYS);
        let value = if version % 8 == 7 {
            left.remove(&key);
            None
        } else {
            let name = name(version);
            let value = json!({"name": name}).to_string();
            left.insert(key, name);
            Some(value)
        };
        records.push((Some(key.to_string()), value));
    }
    (records, left)
}

fn the_last_change_counts(postgres: Option<Postgres>, disturbances: Vec<fn(&mut Stage)>) {
    let (records, left) = changes();
    let config = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
        ("delete.enabled", "true"),
        ("key.converter", "JsonConverter"),
        ("key.converter.schemas.enable", "false"),
    ];
    let mut stage = Stage::new(postgres, CREATE_KEYED, &records, &config);
    stage.disturb(&shuffled(disturbances));
    let rows = stage.target.rows("SELECT id, name FROM items");
    let rows: BTreeMap<usize, Option<String>> = rows.into_iter().collect();
    let wrong = left
        .iter()
        .filter(|(key, name)| rows.get(key) != Some(name))
        .count();
    assert_eq!((rows.len(), wrong), (left.len(), 0), "rows, and wrong ones");
}

#[test]
fn upserts_and_tombstones_leave_the_last_state_in_sqlite() {
    the_last_change_counts(None, disturbances());
}

#[test]
fn upserts_and_tombstones_leave_the_last_state_in_postgresql() {
    the_last_change_counts(Some(Postgres::start()), with_crashes());
}

#[test]
fn a_commit_whose_answer_is_lost_neither_doubles_nor_loses_a_row() {
    const RECORDS: usize = 100_000;
    let records: Vec<Record> = items(0..RECORDS).map(|item| (None, Some(item))).collect();
    let server = Postgres::start();
    let way = LostAnswers::start(server.port(), 8);
    let config = [
        ("insert.mode", "insert"),
        ("tasks.max", "1"),
        ("consumer.override.max.poll.records", "2000"),
    ];
    let mut stage = Stage::with_way(Some(server), Some(way.port()), CREATE, &records, &config);
    stage.wait_for_progress(RECORDS);
    let rows = stage.target.rows("SELECT id, name FROM items");
    ItemCount::of(RECORDS, rows).assert_exact();
    assert!(way.lost() >= 5, "only {} answers were lost", way.lost());
}
