//! Pauses between attempts, jittered by the clock's low digits: good enough to spread tasks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_model::retry::Backoff;

/// First and longest pause of a retry, as Kafka Connect's errors.retry.* defaults.
const START_MS: u64 = 300;
const MAX_MS: u64 = 60_000;

/// The shortest pause a guest can ask for: without one it would keep a thread and the log busy.
const LEAST_WANTED_MS: u64 = 20;

#[derive(Debug)]
pub(crate) struct Pauses(Backoff);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(Backoff::new(START_MS, MAX_MS))
    }

    /// The next pause, or the one that was asked for.
    pub(crate) fn next(&mut self, wanted_ms: Option<u32>) -> Duration {
        let own_ms = self.0.next_ms(jitter());
        Duration::from_millis(
            wanted_ms.map_or(own_ms, |ms| u64::from(ms).clamp(LEAST_WANTED_MS, MAX_MS)),
        )
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.0.attempts()
    }
}

fn jitter() -> f64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.subsec_nanos());
    f64::from(now % 1000) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_pause_has_bounds() {
        let mut pauses = Pauses::new();
        let wanted = [0, 100, u32::MAX].map(|ms| pauses.next(Some(ms)).as_millis());
        assert_eq!(wanted, [20, 100, 60_000]);
    }
}
