//! A storm from a seed: processes, network, disk, topics and files fail at random under sources and
//! sinks of every kind, and at the end every record is accounted for.
//!
//! Lines go from a file that is rotated, through a topic, into a file and into two databases. The way into
//! the topic and into the file is at least once: nothing may be missing. Databases keep their offsets: they
//! have exactly the records of the topic. A second topic is deleted and created again.

mod accounts;
mod happening;
mod pipelines;

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::proxy::{Network, Proxy};
use crate::scratch::Scratch;
use crate::small_disk::SmallDisk;
use crate::worker::Worker;

use happening::Happening;
use pipelines::{Lines, Recreated, Table};

/// Between two lines that are written, and between two things that happen at the least.
const TICK: Duration = Duration::from_millis(50);

/// What a storm did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Lines that were written.
    pub lines: usize,
    /// What happened, and how often.
    pub happened: Vec<(Happening, usize)>,
}

/// Everything that the storm goes over.
struct World {
    random: fastrand::Rng,
    broker: Broker,
    proxy: Proxy,
    worker: Worker,
    /// Where the state is; none without the right to mount.
    disk: Option<SmallDisk>,
    lines: Lines,
    recreated: Recreated,
    tables: Vec<Table>,
    /// What ends by itself, and when.
    until: Vec<(Instant, Happening)>,
    _directory: Scratch,
}

/// Lets it storm for so long; panics with what is missing, doubled or failed.
pub fn storm(seed: u64, duration: Duration, mut tell: impl FnMut(&str)) -> Summary {
    let mut world = World::new(seed);
    let end = Instant::now() + duration;
    let mut count = std::collections::BTreeMap::new();
    let mut next = Instant::now();
    while Instant::now() < end {
        world.lines.write();
        world.end_what_is_over();
        if Instant::now() >= next {
            let happening = Happening::choose(&mut world.random);
            tell(&format!("{happening:?}"));
            *count.entry(happening).or_insert(0) += 1;
            world.happen(happening);
            next = Instant::now() + Duration::from_millis(world.random.u64(200..2500));
        }
        std::thread::sleep(TICK);
    }
    tell("calm; counting");
    world.calm();
    world.account();
    Summary {
        lines: world.lines.written(),
        happened: count.into_iter().collect(),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let (broker, proxy) = Broker::start_behind_proxy();
        let directory = Scratch::new("chaos");
        let disk = SmallDisk::mount(&directory.join("state-disk"), "size=8m");
        let mut setup = Worker::setup_at(&proxy.address())
            .set(
                "tidegate.directories",
                &directory.path().display().to_string(),
            )
            .set("offset.flush.interval.ms", "500");
        if let Some(disk) = &disk {
            let state = disk.path.join("state").display().to_string();
            setup = setup.set("tidegate.state.directory", &state);
        }
        let worker = setup.start();
        worker
            .rest()
            .upload_guests(&["file-source", "file-sink", "sql-sink"]);
        let lines = Lines::start(&broker, &worker, &directory);
        let recreated = Recreated::start(&broker, &worker, &directory);
        let tables = Table::all(&worker, &directory);
        Self {
            random: fastrand::Rng::with_seed(seed),
            broker,
            proxy,
            worker,
            disk,
            lines,
            recreated,
            tables,
            until: Vec::new(),
            _directory: directory,
        }
    }

    /// Nothing happens any more, and everything that can run runs.
    fn calm(&mut self) {
        let left = std::mem::take(&mut self.until);
        for (_, happening) in left {
            self.end(happening);
        }
        self.proxy.set(Network::Open);
        self.lines.allow_large_batches(&self.broker);
        // A worker that found its disk full at its start has ended.
        if self.worker.process().ended().is_some() {
            self.worker.kill();
            self.worker.launch();
        }
        self.worker.wait_healthy();
    }
}
