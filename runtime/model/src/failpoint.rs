//! Points at which a test lets the process die, to see that nothing is lost or doubled whichever
//! step of a sequence was the last (D1, D2, D8). Each costs one comparison.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// `NAME` or `NAME:N`: die at the first, or at the N-th, visit of the point `NAME`. For tests only.
const VARIABLE: &str = "TIDEGATE_FAILPOINT";

struct Armed {
    name: String,
    visits_left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Ends the process here, without any clean-up, if a test asked for it.
pub fn reached(name: &str) {
    let Some(armed) = ARMED.get_or_init(from_environment) else {
        return;
    };
    if armed.name == name && armed.visits_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}

fn from_environment() -> Option<Armed> {
    let value = std::env::var(VARIABLE).ok()?;
    let (name, visits) = value.split_once(':').unwrap_or((&value, "1"));
    Some(Armed {
        name: name.to_owned(),
        visits_left: AtomicU64::new(visits.parse().unwrap_or(1)),
    })
}
