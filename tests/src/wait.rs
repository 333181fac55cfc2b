//! Waiting for a condition, with a deadline that only bounds how long a failing test takes.

use std::time::{Duration, Instant};

/// Between two looks. Short against everything that is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something to see, and panics with `what` when the deadline has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    match wait_or_give_up(limit, &mut look) {
        Some(seen) => seen,
        None => panic!("waited {} s in vain: {what}", limit.as_secs()),
    }
}

/// Waits until `condition` holds; panics with `what` when the deadline has passed.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Like [`wait_for`], for callers with more to say about a failure than one line.
pub fn wait_or_give_up<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
