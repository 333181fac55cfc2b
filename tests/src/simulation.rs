//! A seeded simulation of a cluster's control plane: the real herders, and in place of Kafka, its
//! group, the workers' processes, plugins and targets a model of each, on a clock of simulated
//! milliseconds. Everything follows from the seed, so a failure can be looked at again and again.
//!
//! A run has two halves. In the first, processes crash, hang and leave, requests are late or lost, and
//! a user changes connectors. In the second nothing more goes wrong, and everything has to run.
//! Invariants of safety are checked at each effect in both, those of liveness at the end.

mod append;
mod checks;
mod coordinator;
mod driver;
mod faults;
mod group;
mod happening;
mod liveness;
mod log_topic;
mod plugin;
mod process;
mod publisher;
mod reader;
mod schedule;
mod status_topic;
mod target;
mod task;
mod user;
mod world;

pub use checks::Violation;
use world::World;

/// How many of the last steps a failure shows.
pub const LAST_STEPS: usize = 40;

/// A run that broke an invariant.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which run.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

/// What happened in a run, so that a run in which nothing happened does not count as a success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Starts of tasks.
    pub starts: u64,
    /// Tasks that were let go by a move.
    pub releases: u64,
    /// Requests of the user that were answered 2xx.
    pub answers: u64,
    /// Processes that were killed.
    pub crashes: u64,
    /// Processes that were stopped for a while.
    pub pauses: u64,
    /// Times that a lease lapsed under active shards.
    pub lapses: u64,
    /// Times that somebody took over the lead.
    pub leads: u64,
    /// Effects of tasks that were refused, since their owner was stale.
    pub refusals: u64,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.starts += other.starts;
        self.releases += other.releases;
        self.answers += other.answers;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.lapses += other.lapses;
        self.leads += other.leads;
        self.refusals += other.refusals;
    }
}

/// Runs one seed.
///
/// # Errors
/// [`Failure`] says what was broken.
pub fn run(seed: u64) -> Result<Tally, Failure> {
    let mut world = World::new(seed, None);
    world.run();
    match world.violation.take() {
        Some(violation) => Err(Failure { seed, violation }),
        None => Ok(world.tally),
    }
}

/// Runs one seed and keeps at most `steps` of its last steps.
pub fn trace(seed: u64, steps: usize) -> (Vec<String>, Option<Violation>) {
    let mut world = World::new(seed, Some(steps));
    world.run();
    (world.steps.take_last(), world.violation)
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (steps, _) = trace(self.seed, LAST_STEPS);
        writeln!(f, "seed {} breaks {}", self.seed, self.violation)?;
        writeln!(f, "the last steps before:")?;
        for step in steps {
            writeln!(f, "  {step}")?;
        }
        write!(
            f,
            "replay it with: ./justw simulate --seed {} --trace",
            self.seed
        )
    }
}
