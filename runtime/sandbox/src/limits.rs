//! What one task may use, and the meter that holds it to its memory.

use wasmtime::ResourceLimiter;

/// Limits of one task. A limit that is hit ends the task in FAILED and names itself (D7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memories and tables together.
    pub memory_bytes: usize,
    /// CPU time of one call.
    pub call_cpu_ms: u64,
    /// Wall time of one call, host calls included.
    pub call_wall_ms: u64,
    /// Wall time of one host call.
    pub host_call_ms: u64,
    /// What one call or host call may move from the guest to the host.
    pub transfer_bytes: usize,
    /// Log lines a second; more are dropped and counted.
    pub log_lines_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            call_cpu_ms: 10_000,
            call_wall_ms: 60_000,
            host_call_ms: 30_000,
            transfer_bytes: 64 << 20,
            log_lines_per_second: 100,
        }
    }
}

impl Limits {
    /// Below this no language's guest starts (facts of the toolchains: Python needs 12 MiB).
    pub const MIN_MEMORY_BYTES: usize = 32 << 20;
}

/// Linear memories of one instance; a component of several modules has a few.
const MAX_MEMORIES: usize = 32;

/// Bytes a table element takes on a 64-bit host.
const TABLE_ELEMENT_BYTES: usize = 8;

/// Adds up what an instance's memories and tables take.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    limit_bytes: usize,
    used_bytes: usize,
    refused: bool,
}

impl MemoryMeter {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: 0,
            refused: false,
        }
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Whether a growth was refused. Guests answer that with a trap of their own, whose text
    /// would not say why.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, more_bytes: usize) -> bool {
        let wanted = self.used_bytes.saturating_add(more_bytes);
        if wanted > self.limit_bytes {
            self.refused = true;
            return false;
        }
        self.used_bytes = wanted;
        true
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    // Even an empty memory reserves gigabytes of addresses, of which a process has a limited number.
    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(TABLE_ELEMENT_BYTES),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut meter = MemoryMeter::new(1000);
        assert!(meter.memory_growing(0, 600, None).unwrap());
        assert!(meter.table_growing(0, 50, None).unwrap());
        assert!(!meter.memory_growing(600, 601, None).unwrap());
        assert!(meter.refused());
        assert_eq!(meter.used_bytes(), 1000);
    }
}
