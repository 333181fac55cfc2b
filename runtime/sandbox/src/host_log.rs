//! The `log` interface: structured lines of a guest, at a bounded rate.

use std::time::{Duration, Instant};

use crate::bindings::log;
use crate::state::HostState;

/// Lines longer than this are cut.
const MAX_MESSAGE_CHARS: usize = 4096;

/// A number of lines for each second.
#[derive(Debug)]
pub(crate) struct LogBudget {
    per_second: u32,
    window: Instant,
    used: u32,
}

enum Verdict {
    Write,
    WriteLast,
    Drop,
}

impl LogBudget {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            window: Instant::now(),
            used: 0,
        }
    }

    fn take(&mut self, now: Instant) -> Verdict {
        if now.duration_since(self.window) >= Duration::from_secs(1) {
            self.window = now;
            self.used = 0;
        }
        self.used = self.used.saturating_add(1);
        match self.used.cmp(&self.per_second) {
            std::cmp::Ordering::Less => Verdict::Write,
            std::cmp::Ordering::Equal => Verdict::WriteLast,
            std::cmp::Ordering::Greater => Verdict::Drop,
        }
    }
}

impl log::Host for HostState {
    async fn enabled(&mut self, level: String) -> wasmtime::Result<bool> {
        Ok(match level.as_str() {
            "trace" => tracing::enabled!(target: "guest", tracing::Level::TRACE),
            "debug" => tracing::enabled!(target: "guest", tracing::Level::DEBUG),
            "info" => tracing::enabled!(target: "guest", tracing::Level::INFO),
            _ => true,
        })
    }

    async fn write(
        &mut self,
        level: String,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let verdict = self.log.take(Instant::now());
        if let Verdict::Drop = verdict {
            metrics::counter!("tidegate_guest_log_lines_dropped_total").increment(1);
            return Ok(());
        }
        let mut message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
        for (key, value) in fields.iter().take(16) {
            message.push_str(&format!(
                " {}={}",
                key.chars().take(64).collect::<String>(),
                value.chars().take(256).collect::<String>()
            ));
        }
        let (connector, task) = (&self.id.connector, self.id.task);
        match level.as_str() {
            "trace" => tracing::trace!(target: "guest", %connector, task, "{message}"),
            "debug" => tracing::debug!(target: "guest", %connector, task, "{message}"),
            "info" => tracing::info!(target: "guest", %connector, task, "{message}"),
            "warn" => tracing::warn!(target: "guest", %connector, task, "{message}"),
            _ => tracing::error!(target: "guest", %connector, task, "{message}"),
        }
        if let Verdict::WriteLast = verdict {
            tracing::warn!(
                target: "guest", %connector, task,
                "{} lines in a second: further ones of this second are dropped",
                self.limits.log_lines_per_second
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_second_is_free() {
        let mut budget = LogBudget::new(2);
        let start = budget.window;
        let written = |v: Verdict| !matches!(v, Verdict::Drop);
        assert!(written(budget.take(start)) && written(budget.take(start)));
        assert!(!written(budget.take(start)));
        assert!(written(budget.take(start + Duration::from_secs(1))));
    }
}
