//! Appending to the log: one append at a time, beside the loop. What is decided next is decided on a
//! state that has the one before, so a change that a user made and one that the herder wants cannot
//! pass each other.

use std::sync::Arc;
use std::time::Duration;

use tidegate_cluster::AppendError;
use tidegate_model::config_log::ConfigRecord;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Driver, Log};
use crate::error::WorkerError;

/// How long to wait after an append of the herder's own failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the herder's own records wait for a user's next change to go along with: who creates many
/// connectors waits for one append each, and not for two.
const HOLD: Duration = Duration::from_millis(30);

/// An append that is under way.
pub(super) struct Appending {
    done: Option<oneshot::Sender<Result<(), WorkerError>>>,
}

/// What became of an append: the records and their places.
pub(super) type Appended = Result<Vec<(u64, ConfigRecord)>, WorkerError>;

impl Driver {
    /// Appends what users and the herder want, if nothing is being appended.
    pub(super) fn append_what_is_due(&mut self) {
        while self.appending.is_none() {
            let Some((decide, done)) = self.waiting.pop_front() else {
                break;
            };
            let records = decide(&self.herder);
            if records.is_empty() {
                let _ = done.send(Ok(()));
            } else if self.herder.is_leading() {
                // What the herder wants goes along, and first: a user's word is the last.
                let mut all = self.wanted_records();
                all.extend(records);
                self.append(all, Some(done));
                self.hold_until = Some(Instant::now() + HOLD);
            } else {
                let _ = done.send(Err(AppendError::NotLeading.into()));
            }
        }
        let now = Instant::now();
        let held = [self.append_again, self.hold_until];
        if self.appending.is_some() || held.into_iter().flatten().any(|at| at > now) {
            return;
        }
        (self.append_again, self.hold_until) = (None, None);
        let records = self.wanted_records();
        if !records.is_empty() {
            self.append(records, None);
        }
    }

    fn wanted_records(&mut self) -> Vec<ConfigRecord> {
        let now_ms = self.now_ms();
        let mut records = self.herder.next_append(now_ms);
        records.extend(self.due_session_key());
        records
    }

    fn append(
        &mut self,
        records: Vec<ConfigRecord>,
        done: Option<oneshot::Sender<Result<(), WorkerError>>>,
    ) {
        self.appending = Some(Appending { done });
        let appended = self.appended.clone();
        match &self.log {
            Log::Own(log) => {
                let log = Arc::clone(log);
                tokio::spawn(async move {
                    let places = log.append(records.clone()).await;
                    let placed = places.map(|places| places.into_iter().zip(records).collect());
                    let _ = appended.send(placed.map_err(WorkerError::from));
                });
            }
            Log::Shared(cluster) => {
                let cluster = Arc::clone(cluster);
                tokio::spawn(async move {
                    let places = cluster.append(&records).await;
                    let placed = places.map(|places| places.into_iter().zip(records).collect());
                    let _ = appended.send(placed.map_err(WorkerError::from));
                });
            }
        }
    }

    /// Who leads alone writes, and has read all that was written before: what it wrote is next. Read
    /// again from the topic it is left out.
    pub(super) fn append_ended(&mut self, outcome: Appended) {
        let outcome = outcome.map(|records| {
            for (place, record) in records {
                self.log_record(place, record);
            }
        });
        let Some(appending) = self.appending.take() else {
            return;
        };
        match (appending.done, outcome) {
            (Some(done), outcome) => drop(done.send(outcome)),
            (None, Ok(())) => {}
            (None, Err(error)) => {
                tracing::warn!("write the config log, and try again: {error}");
                self.append_again = Some(Instant::now() + PAUSE);
            }
        }
    }
}
