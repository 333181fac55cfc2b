//! What this worker's tasks weigh, for the leader to spread them by: the CPU time of their guests. What
//! the host does for a task goes along with that, roughly.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_model::herder::Event;
use tidegate_model::names::TaskId;
use tokio::time::Instant;

use super::Driver;

/// How often tasks are weighed.
const EVERY: Duration = Duration::from_secs(10);

/// What an idle task weighs: about what its loop, its share of clients and its memory are worth.
const IDLE: u32 = 100;

/// Weights are told in steps of this, so that what swings a little is not told each time.
const STEP: u32 = 50;

/// When tasks were last weighed, and what they had used then.
#[derive(Debug)]
pub(super) struct Weighing {
    at: Instant,
    used: BTreeMap<(TaskId, u64), Duration>,
}

impl Default for Weighing {
    fn default() -> Self {
        Self {
            at: Instant::now(),
            used: BTreeMap::new(),
        }
    }
}

impl Driver {
    pub(super) fn weigh(&mut self) {
        let elapsed = self.weighing.at.elapsed();
        if self.publisher.is_none() || elapsed < EVERY {
            return;
        }
        let used: BTreeMap<(TaskId, u64), Duration> = self
            .tasks
            .iter()
            .map(|(key, task)| (key.clone(), task.cpu.used()))
            .collect();
        let weights = used.iter().map(|(key, used)| {
            let before = self.weighing.used.get(key).copied().unwrap_or_default();
            (key.0.clone(), weight(used.saturating_sub(before), elapsed))
        });
        let weights = weights.collect();
        self.weighing = Weighing {
            at: Instant::now(),
            used,
        };
        self.handle(Event::Weights(weights));
    }
}

/// Thousandths of a core, beyond what an idle task weighs.
fn weight(used: Duration, elapsed: Duration) -> u32 {
    let permille = 1000.0 * used.as_secs_f64() / elapsed.as_secs_f64().max(0.001);
    let steps = (permille / f64::from(STEP)).round() as u32;
    IDLE + steps.saturating_mul(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_task_weighs_its_share_of_a_core() {
        let ten = Duration::from_secs(10);
        assert_eq!(weight(Duration::ZERO, ten), 100);
        assert_eq!(weight(Duration::from_millis(100), ten), 100);
        assert_eq!(weight(Duration::from_secs(5), ten), 600);
        assert_eq!(weight(Duration::from_secs(20), ten), 2100);
    }
}
