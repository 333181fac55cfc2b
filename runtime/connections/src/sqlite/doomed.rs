//! What is left of a put when a call failed half-way or was cut off.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_sandbox::{LedgerError, SqlError};

/// Whether only a rollback helps: part of what the put wrote is lost or unknown.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    put: AtomicBool,
    commit: AtomicBool,
}

impl Doomed {
    /// A part of the put is lost.
    pub(super) fn doom(&self) {
        self.put.store(true, Ordering::SeqCst);
    }

    /// Nobody heard what became of the commit.
    pub(super) fn doom_commit(&self) {
        self.commit.store(true, Ordering::SeqCst);
        self.doom();
    }

    /// There is no put any more.
    pub(super) fn clear(&self) {
        self.put.store(false, Ordering::SeqCst);
        self.commit.store(false, Ordering::SeqCst);
    }

    /// # Errors
    /// If the put is doomed.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        if self.put.load(Ordering::SeqCst) {
            return Err(SqlError::Unavailable(
                "an earlier database call of this put failed or was cut off; \
                 the put has to be rolled back"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Ends a doomed put, whose transaction the caller then takes back.
    ///
    /// # Errors
    /// If it was doomed. After a commit that was cut off it stays so: only opening the ledger
    /// anew tells what is stored.
    pub(super) fn end_put(&self) -> Result<(), LedgerError> {
        if self.commit.load(Ordering::SeqCst) {
            return Err(LedgerError::Unknown(
                "the commit before was cut off".to_owned(),
            ));
        }
        let checked = self.check().map_err(LedgerError::RolledBack);
        self.put.store(false, Ordering::SeqCst);
        checked
    }
}
