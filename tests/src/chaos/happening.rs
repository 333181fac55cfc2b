//! What can happen, and how.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::World;
use crate::proxy::Network;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// The worker is killed and starts again.
    WorkerKilled,
    /// It ends in order and starts again.
    WorkerRestarted,
    /// It stands still for a while.
    WorkerFrozen,
    /// The broker is killed and starts again.
    BrokerKilled,
    /// Bytes are late for a while.
    NetworkSlow,
    /// One direction or both stand still for a while.
    NetworkUp,
    /// The same, for the broker's answers.
    NetworkDown,
    /// Both.
    NetworkSilent,
    /// Every connection ends.
    NetworkCut,
    /// The disk with the worker's state is full for a while.
    DiskFull,
    /// The topic gets a partition.
    PartitionAdded,
    /// The topic takes small batches only for a while.
    SmallLimit,
    /// A topic is deleted and created again.
    TopicRecreated,
    /// The file gets another name, and a new one its own.
    FileRotated,
    /// The file is copied and cut off.
    FileTruncated,
    /// Another file takes the place of the file, which a link still names.
    FileReplaced,
}

const ALL: [Happening; 16] = [
    Happening::WorkerKilled,
    Happening::WorkerRestarted,
    Happening::WorkerFrozen,
    Happening::BrokerKilled,
    Happening::NetworkSlow,
    Happening::NetworkUp,
    Happening::NetworkDown,
    Happening::NetworkSilent,
    Happening::NetworkCut,
    Happening::DiskFull,
    Happening::PartitionAdded,
    Happening::SmallLimit,
    Happening::TopicRecreated,
    Happening::FileRotated,
    Happening::FileTruncated,
    Happening::FileReplaced,
];

impl Happening {
    pub(super) fn choose(random: &mut fastrand::Rng) -> Self {
        ALL[random.usize(..ALL.len())]
    }
}

impl World {
    pub(super) fn happen(&mut self, happening: Happening) {
        use Happening as H;
        let lasts = Duration::from_millis(self.random.u64(300..4000));
        match happening {
            H::WorkerKilled => {
                self.worker.kill();
                self.worker.launch();
            }
            H::WorkerRestarted => {
                // Past its time it is abandoned, as an operator would.
                self.worker.process().signal(Signal::TERM);
                let _ = crate::wait::wait_or_give_up(Duration::from_secs(20), || {
                    self.worker.process().ended()
                });
                self.worker.kill();
                self.worker.launch();
            }
            H::WorkerFrozen => self.worker.process().signal(Signal::STOP),
            H::BrokerKilled => {
                self.broker.kill();
                self.broker.start_again();
            }
            H::NetworkSlow => self.proxy.set(Network::Slow),
            H::NetworkUp => self.proxy.set(Network::NothingUp),
            H::NetworkDown => self.proxy.set(Network::NothingDown),
            H::NetworkSilent => self.proxy.set(Network::Silent),
            H::NetworkCut => self.proxy.cut(),
            H::DiskFull => {
                if let Some(disk) = &self.disk {
                    disk.fill();
                }
            }
            H::PartitionAdded => self.lines.add_partition(&self.broker),
            H::SmallLimit => self.lines.allow_small_batches(&self.broker),
            H::TopicRecreated => self.recreated.again(&self.broker),
            H::FileRotated => self.lines.rotate(),
            H::FileTruncated => self.lines.copy_and_truncate(),
            H::FileReplaced => self.lines.replace(),
        }
        self.until.push((Instant::now() + lasts, happening));
    }

    pub(super) fn end_what_is_over(&mut self) {
        let now = Instant::now();
        let (over, left) = std::mem::take(&mut self.until)
            .into_iter()
            .partition(|(until, _)| *until <= now);
        self.until = left;
        for (_, happening) in over {
            self.end(happening);
        }
    }

    pub(super) fn end(&mut self, happening: Happening) {
        use Happening as H;
        match happening {
            H::WorkerFrozen => self.worker.process().signal(Signal::CONT),
            H::NetworkSlow | H::NetworkUp | H::NetworkDown | H::NetworkSilent => {
                self.proxy.set(Network::Open);
            }
            H::DiskFull => {
                if let Some(disk) = &self.disk {
                    disk.free();
                }
                // A start on a full disk ends: then it is started again, as a service would be.
                if self.worker.process().ended().is_some() {
                    self.worker.kill();
                    self.worker.launch();
                }
            }
            H::SmallLimit => self.lines.allow_large_batches(&self.broker),
            _ => {}
        }
    }
}
