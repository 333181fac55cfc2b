//! The `intake` interface: what a source says about a poll beside its rows.

use crate::bindings::intake;
use crate::state::HostState;

/// Records that one batch may refuse. More would be memory that nobody counts.
const MAX_REFUSED: usize = 10_000;

/// Reasons longer than this are cut.
const MAX_REASON_BYTES: usize = 4096;

/// What was said and belongs to the next records.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) refused: Vec<String>,
    pub(crate) store_soon: bool,
}

impl intake::Host for HostState {
    async fn refuse(&mut self, mut reason: String) -> wasmtime::Result<()> {
        if self.said.refused.len() >= MAX_REFUSED {
            return Err(wasmtime::format_err!(
                "refused more than {MAX_REFUSED} records in one poll"
            ));
        }
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        self.said.refused.push(reason);
        Ok(())
    }

    async fn store_soon(&mut self) -> wasmtime::Result<()> {
        self.said.store_soon = true;
        Ok(())
    }
}
