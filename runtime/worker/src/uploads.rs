//! Uploads under way. Each runs to its end, whoever waits for it: compiling may take longer than a
//! request, and what a client that went away would have heard is told to whoever sends the same bytes
//! again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_sandbox::{CompileError, LoadError};
use tokio::sync::watch;

use crate::error::WorkerError;
use crate::plugins::Uploaded;

/// What came of an upload; all who wait for it hear the same.
pub(crate) type Outcome = Result<Uploaded, Arc<WorkerError>>;

/// Refusals that are kept for somebody to ask again.
const KEPT: usize = 16;

/// By digest.
type Running = HashMap<String, watch::Receiver<Option<Outcome>>>;

#[derive(Default)]
pub(crate) struct Uploads(Arc<Mutex<Running>>);

impl Uploads {
    /// Joins the upload of these bytes that is under way, or begins one.
    pub(crate) async fn join(
        &self,
        digest: &str,
        upload: impl Future<Output = Result<Uploaded, WorkerError>> + Send + 'static,
    ) -> Outcome {
        let mut outcome = {
            let mut running = lock(&self.0);
            match running.get(digest) {
                Some(outcome) => outcome.clone(),
                None => {
                    let (told, outcome) = watch::channel(None);
                    running.insert(digest.to_owned(), outcome.clone());
                    let (all, digest) = (Arc::clone(&self.0), digest.to_owned());
                    tokio::spawn(async move {
                        let came = upload.await;
                        if !came.as_ref().is_err_and(is_verdict) || !keep(&all) {
                            lock(&all).remove(&digest);
                        }
                        told.send_replace(Some(came.map_err(Arc::new)));
                    });
                    outcome
                }
            }
        };
        let came = outcome.wait_for(Option::is_some).await;
        let came = came.ok().and_then(|came| came.clone());
        lock(&self.0).remove(digest);
        came.unwrap_or_else(|| {
            let text = "the upload ended without an answer; send it again".to_owned();
            Err(Arc::new(WorkerError::Internal(text)))
        })
    }
}

/// Whether the bytes are at fault, so that trying again would come to the same.
fn is_verdict(error: &WorkerError) -> bool {
    match error {
        WorkerError::BadPlugin(LoadError::Compile(CompileError::Process(_))) => false,
        WorkerError::BadPlugin(_) => true,
        _ => false,
    }
}

/// Whether there is room for one more refusal that nobody may ask for.
fn keep(all: &Mutex<Running>) -> bool {
    let is_done = |outcome: &&watch::Receiver<Option<Outcome>>| outcome.borrow().is_some();
    lock(all).values().filter(is_done).count() < KEPT
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_refusal_that_nobody_waited_for_is_told_to_who_asks_again() {
        let (uploads, go_on, runs) = (
            Uploads::default(),
            Arc::new(Notify::new()),
            Arc::new(AtomicUsize::new(0)),
        );
        let upload = || {
            let (go_on, runs) = (Arc::clone(&go_on), Arc::clone(&runs));
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                go_on.notified().await;
                let reason = CompileError::Limits("after 180 s".to_owned());
                Err(WorkerError::BadPlugin(reason.into()))
            }
        };
        tokio::select! {
            biased;
            outcome = uploads.join("d", upload()) => panic!("{outcome:?}"),
            // The request is given up.
            () = tokio::task::yield_now() => {}
        }
        go_on.notify_one();
        for _ in 0..2 {
            let refused = uploads.join("d", upload()).await.unwrap_err();
            assert!(refused.to_string().contains("after 180 s"), "{refused}");
            // Told once; then the same bytes are tried again.
            go_on.notify_one();
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_may_pass_is_not_kept() {
        let uploads = Uploads::default();
        let stopping = async || Err(WorkerError::Stopping);
        assert!(uploads.join("d", stopping()).await.is_err());
        assert!(lock(&uploads.0).is_empty());
    }
}
