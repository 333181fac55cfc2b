//! How long to wait before trying again: doubling from a start to a bound, with jitter that the
//! caller supplies so that this stays pure.

/// A doubling pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    start_ms: u64,
    max_ms: u64,
    attempts: u32,
}

impl Backoff {
    /// Pauses of `start_ms`, twice that, and so on, never more than `max_ms`.
    pub fn new(start_ms: u64, max_ms: u64) -> Self {
        Self {
            start_ms,
            max_ms,
            attempts: 0,
        }
    }

    /// The next pause. `jitter` in 0..=1 takes up to a fifth off, so that many tasks that failed
    /// together do not come back together.
    pub fn next_ms(&mut self, jitter: f64) -> u64 {
        let pause = self
            .start_ms
            .saturating_mul(1 << self.attempts.min(32))
            .min(self.max_ms);
        self.attempts = self.attempts.saturating_add(1);
        let off = (pause as f64 * 0.2 * jitter.clamp(0.0, 1.0)) as u64;
        pause.saturating_sub(off)
    }

    /// Pauses given so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It worked: start from the beginning next time.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_bound_and_starts_again() {
        let mut backoff = Backoff::new(100, 500);
        let pauses: Vec<u64> = (0..4).map(|_| backoff.next_ms(0.0)).collect();
        assert_eq!(pauses, [100, 200, 400, 500]);
        assert_eq!(backoff.next_ms(1.0), 400);
        backoff.reset();
        assert_eq!(backoff.next_ms(0.0), 100);
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(u64::MAX / 2, u64::MAX);
        for _ in 0..100 {
            backoff.next_ms(0.5);
        }
        assert_eq!(backoff.attempts(), 100);
    }
}
