//! Appending to the log: one append at a time, beside the loop. What is decided next is decided on a
//! state that has the one before, so a change that a user made and one that the herder wants cannot
//! pass each other.

use std::time::Duration;

use tidegate_cluster::AppendError;
use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::Event;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Driver, Log};
use crate::error::WorkerError;

/// How long to wait after an append of the herder's own failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a record that was written may take to be read back.
const READ_BACK: Duration = Duration::from_secs(60);

/// An append that is under way.
pub(super) struct Appending {
    done: Option<oneshot::Sender<Result<(), WorkerError>>>,
    /// It is written; done when the log is read up to here.
    place: Option<u64>,
    since: Instant,
}

/// What became of an append.
pub(super) enum Appended {
    /// In standalone: these are in the log, at these places.
    Local(Result<Vec<(u64, ConfigRecord)>, WorkerError>),
    /// In a cluster: written, the last one at this place. They come back as news.
    Shared(Result<u64, AppendError>),
}

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
                self.append(records, Some(done));
            } else {
                let _ = done.send(Err(AppendError::NotLeading.into()));
            }
        }
        let may_try = self.append_again.is_none_or(|at| at <= Instant::now());
        if self.appending.is_some() || !may_try {
            self.give_up_reading_back();
            return;
        }
        self.append_again = None;
        let now_ms = self.now_ms();
        let mut records = self.herder.next_append(now_ms);
        records.extend(self.due_session_key());
        if !records.is_empty() {
            self.append(records, None);
        }
    }

    fn append(
        &mut self,
        records: Vec<ConfigRecord>,
        done: Option<oneshot::Sender<Result<(), WorkerError>>>,
    ) {
        self.appending = Some(Appending {
            done,
            place: None,
            since: Instant::now(),
        });
        let appended = self.appended.clone();
        match &self.log {
            Log::Own(log) => {
                let log = std::sync::Arc::clone(log);
                tokio::spawn(async move {
                    let places = log.append(records.clone()).await;
                    let placed = places.map(|places| places.into_iter().zip(records).collect());
                    let _ = appended.send(Appended::Local(placed.map_err(WorkerError::from)));
                });
            }
            Log::Shared(cluster) => {
                let cluster = std::sync::Arc::clone(cluster);
                tokio::spawn(async move {
                    let place = cluster.append(&records).await;
                    let _ = appended.send(Appended::Shared(place));
                });
            }
        }
    }

    pub(super) fn append_ended(&mut self, outcome: Appended) {
        match outcome {
            Appended::Local(Ok(records)) => {
                for (place, record) in records {
                    self.handle(Event::Log(place, record));
                }
                self.finish_append(Ok(()));
            }
            Appended::Local(Err(error)) => self.finish_append(Err(error)),
            Appended::Shared(Ok(place)) => {
                if let Some(appending) = &mut self.appending {
                    appending.place = Some(place);
                }
                self.read_back();
            }
            Appended::Shared(Err(error)) => self.finish_append(Err(error.into())),
        }
    }

    /// The append is over when its records have come back.
    pub(super) fn read_back(&mut self) {
        let read = self.herder.log().last_place();
        let place = self.appending.as_ref().and_then(|a| a.place);
        if place.is_some_and(|place| place <= read) {
            self.finish_append(Ok(()));
        }
    }

    fn give_up_reading_back(&mut self) {
        let stuck = |a: &Appending| a.place.is_some() && a.since.elapsed() > READ_BACK;
        if self.appending.as_ref().is_some_and(stuck) {
            let reason = "it was written and does not come back".to_owned();
            self.finish_append(Err(AppendError::Unknown(reason).into()));
        }
    }

    fn finish_append(&mut self, outcome: Result<(), WorkerError>) {
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
