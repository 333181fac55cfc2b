//! The right to act as the owner of shards, which ends by itself, and the sign of life without
//! which it is not renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long before the session's end a lease ends: what a loop has begun under it may take so long.
const RESERVE: Duration = Duration::from_secs(1);

/// Below this session time-out the reserve is a third of it.
const LEAST_SESSION: Duration = Duration::from_secs(3);

/// Whether this process still owns its shards, as far as it can know. Cheap to clone and to ask: a
/// loop asks before each produce and commit.
#[derive(Debug, Clone)]
pub struct Lease(Arc<AtomicU64>);

impl Lease {
    /// One that never ends, for a worker that shares its work with nobody.
    pub fn always() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// One that is not valid until it is renewed.
    pub(crate) fn void() -> Self {
        Self(Arc::default())
    }

    /// Whether it holds now.
    pub fn is_valid(&self) -> bool {
        now_ms() < self.0.load(Ordering::Acquire)
    }

    /// How long it holds unless it is renewed.
    pub fn remaining(&self) -> Duration {
        let until_ms = self.0.load(Ordering::Acquire);
        Duration::from_millis(until_ms.saturating_sub(now_ms()))
    }

    /// The coordinator answered a request that was sent at `sent_ms`.
    pub(crate) fn renew(&self, sent_ms: u64, session_timeout: Duration) {
        let until_ms = sent_ms.saturating_add(millis(term(session_timeout)));
        self.0.fetch_max(until_ms, Ordering::AcqRel);
    }

    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Beaten by the herder: while it makes no progress the membership is not kept up, so that others
/// take over.
#[derive(Debug)]
pub struct Progress(AtomicU64);

impl Default for Progress {
    fn default() -> Self {
        Self(AtomicU64::new(now_ms()))
    }
}

impl Progress {
    /// There was some.
    pub fn beat(&self) {
        self.0.store(now_ms(), Ordering::Relaxed);
    }

    /// Since the last beat, or since it was made.
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.0.load(Ordering::Relaxed)))
    }
}

/// Milliseconds since the machine was started, by a clock that never jumps and goes on while the
/// machine is suspended: the coordinator's clock does not stop then either.
pub(crate) fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000)
}

fn term(session_timeout: Duration) -> Duration {
    if session_timeout < LEAST_SESSION {
        session_timeout * 2 / 3
    } else {
        session_timeout - RESERVE
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);

    #[test]
    fn a_lease_ends_before_the_session_does() {
        assert_eq!(term(SESSION), Duration::from_secs(9));
        assert_eq!(term(Duration::from_millis(1500)), Duration::from_secs(1));
    }

    #[test]
    fn a_lease_counts_from_when_the_request_was_sent() {
        let lease = Lease::void();
        assert!(!lease.is_valid());
        lease.renew(now_ms() - 9_500, SESSION);
        assert!(!lease.is_valid(), "answered too late");
        lease.renew(now_ms() - 8_000, SESSION);
        assert!(lease.is_valid());
        assert!(lease.remaining() <= Duration::from_secs(1));
        // An older answer that comes later takes nothing away.
        lease.renew(now_ms() - 9_500, SESSION);
        assert!(lease.is_valid());
        lease.end();
        assert!(!lease.is_valid());
        assert_eq!(lease.remaining(), Duration::ZERO);
    }

    #[test]
    fn alone_it_always_holds() {
        assert!(Lease::always().is_valid());
    }
}
