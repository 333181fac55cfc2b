//! Blocking work that may outlive the call that asked for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tidegate_sandbox::SqlError;
use tokio::task::spawn_blocking;

/// Tells work that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct CutOff(Arc<AtomicBool>);

impl CutOff {
    /// # Errors
    /// If the call was cut off.
    pub(crate) fn check(&self) -> Result<(), SqlError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(SqlError::Unavailable("the call was cut off".to_owned()));
        }
        Ok(())
    }
}

/// Runs `on_cut` unless disarmed.
struct Guard<F: FnOnce()> {
    cut_off: CutOff,
    on_cut: Option<F>,
}

impl<F: FnOnce()> Drop for Guard<F> {
    fn drop(&mut self) {
        if let Some(on_cut) = self.on_cut.take() {
            self.cut_off.0.store(true, Ordering::SeqCst);
            on_cut();
        }
    }
}

/// Runs `work` on a thread that may block. If the future is dropped before it is done, or the
/// work panics, the work's [`CutOff`] says so and then `on_cut` runs.
pub(crate) async fn blocking<T: Send + 'static>(
    on_cut: impl FnOnce() + Send,
    work: impl FnOnce(&CutOff) -> Result<T, SqlError> + Send + 'static,
) -> Result<T, SqlError> {
    let cut_off = CutOff::default();
    let mut guard = Guard {
        cut_off: cut_off.clone(),
        on_cut: Some(on_cut),
    };
    let done = spawn_blocking(move || {
        // Work that waited for its thread shall not begin after the caller has gone on.
        cut_off.check()?;
        work(&cut_off)
    })
    .await;
    match done {
        Ok(answer) => {
            guard.on_cut = None;
            answer
        }
        Err(_) => Err(SqlError::Unavailable(
            "the database call panicked or the worker is stopping".to_owned(),
        )),
    }
}
