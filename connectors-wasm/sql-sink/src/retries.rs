//! How long a database that is away is waited for.

use tidegate_sdk::prelude::*;

/// Counts puts that failed in a row.
#[derive(Debug)]
pub struct Retries {
    failed: u32,
    max: u32,
    pause: Duration,
}

impl Retries {
    pub fn new(max: u32, pause: Duration) -> Self {
        Self {
            failed: 0,
            max,
            pause,
        }
    }

    /// Makes a failure that another try may cure one with a pause, or final after too many.
    pub fn judge<T>(&mut self, done: Result<T>) -> Result<T> {
        let failure = match done {
            Ok(answer) => {
                self.failed = 0;
                return Ok(answer);
            }
            Err(failure) if failure.is_retriable() => failure,
            Err(failure) => return Err(failure),
        };
        if self.failed >= self.max {
            return Err(Failure::fatal(format!(
                "{failure}; it was tried again {} times (max.retries): see to the database, then \
                 restart the task",
                self.max
            )));
        }
        self.failed += 1;
        Err(Failure::retry_after(self.pause, failure.reason()))
    }
}
