//! The loop that turns memberships and leases into shards that are really this worker's, and takes
//! over the lead where it falls to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{LogWriter, MembershipEvent};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::cluster::Shared;
use crate::event::ClusterEvent;

/// How often the lease is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Coordinator {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: mpsc::UnboundedSender<ClusterEvent>,
    /// Results of what runs beside the loop.
    pub(crate) results: mpsc::UnboundedSender<Done>,
    /// The shard whose owner leads.
    pub(crate) highest: u32,
    /// What the group gave.
    pub(crate) assigned: BTreeSet<u32>,
    /// What the herder was told of.
    pub(crate) active: BTreeSet<u32>,
    pub(crate) activating: bool,
    pub(crate) leading: Leading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leading {
    No,
    Taking,
    Yes,
}

/// What ended beside the loop.
pub(crate) enum Done {
    /// The state topics were read to their ends, for these shards; or they could not be.
    Read(BTreeSet<u32>, bool),
    /// The log has a writer of ours, or it could not be had.
    Writer(Option<LogWriter>),
}

impl Coordinator {
    pub(crate) async fn run(
        mut self,
        mut memberships: mpsc::UnboundedReceiver<MembershipEvent>,
        mut results: mpsc::UnboundedReceiver<Done>,
    ) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = memberships.recv() => match event {
                    Some(event) => self.membership(event),
                    None => return,
                },
                Some(done) = results.recv() => self.done(done),
                _ = look.tick() => self.look(),
            }
            self.advance();
        }
    }

    fn membership(&mut self, event: MembershipEvent) {
        match event {
            MembershipEvent::Gained(shards) => self.assigned.extend(shards),
            MembershipEvent::Going { shards, lost, done } => {
                self.assigned.retain(|shard| !shards.contains(shard));
                if shards.contains(&self.highest) {
                    self.stop_leading();
                }
                let had = self.active.len();
                self.active.retain(|shard| !shards.contains(shard));
                if lost && self.active.len() < had {
                    tracing::warn!(
                        shards = had - self.active.len(),
                        "the group gave our shards to others; their tasks stop here"
                    );
                }
                // All of them, also those that a lapsed lease took from the herder before: their tasks may
                // still be ending, and nobody else may begin before they have.
                self.tell(ClusterEvent::Going {
                    shards,
                    done: Some(done),
                });
            }
            MembershipEvent::Failed(reason) => self.tell(ClusterEvent::Failed(reason)),
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Read(shards, true) => {
                self.activating = false;
                let gained: BTreeSet<u32> = shards
                    .into_iter()
                    .filter(|shard| self.assigned.contains(shard) && !self.active.contains(shard))
                    .collect();
                if self.shared.lease.is_valid() && !gained.is_empty() {
                    self.active.extend(&gained);
                    self.tell(ClusterEvent::Gained(gained));
                }
            }
            Done::Read(_, false) => self.activating = false,
            Done::Writer(Some(writer)) => {
                let mine = self.leading == Leading::Taking && self.active.contains(&self.highest);
                if mine && self.shared.lease.is_valid() {
                    self.shared.set_writer(Some(writer));
                    self.leading = Leading::Yes;
                    self.tell(ClusterEvent::Leading(true));
                } else {
                    self.leading = Leading::No;
                }
            }
            Done::Writer(None) => self.leading = Leading::No,
        }
    }

    /// A lapsed lease ends everything here, whatever the group may still believe: others may have the
    /// shards (D4).
    fn look(&mut self) {
        if !self.active.is_empty() && !self.shared.lease.is_valid() {
            tracing::warn!(
                shards = self.active.len(),
                "the lease has lapsed: no answer from the group's coordinator in time; tasks stop until it answers"
            );
            self.stop_leading();
            let shards = std::mem::take(&mut self.active);
            self.tell(ClusterEvent::Going { shards, done: None });
        }
        if self.leading == Leading::Yes && self.shared.writer().is_none() {
            // An append found that somebody else writes, or cannot tell what became of it.
            self.leading = Leading::No;
            self.tell(ClusterEvent::Leading(false));
        }
    }

    fn stop_leading(&mut self) {
        if std::mem::replace(&mut self.leading, Leading::No) == Leading::Yes {
            self.shared.set_writer(None);
            self.tell(ClusterEvent::Leading(false));
        }
    }

    /// Starts what is due and not under way.
    fn advance(&mut self) {
        if !self.shared.lease.is_valid() {
            return;
        }
        if !self.activating && !self.assigned.is_subset(&self.active) {
            self.activating = true;
            let (shared, results) = (Arc::clone(&self.shared), self.results.clone());
            let shards = self.assigned.clone();
            tokio::spawn(async move {
                let read = shared.read_to_ends().await;
                if let Err(error) = &read {
                    tracing::warn!("read the state topics to their ends: {error}");
                    sleep(PAUSE).await;
                }
                let _ = results.send(Done::Read(shards, read.is_ok()));
            });
        }
        if self.leading == Leading::No && self.active.contains(&self.highest) {
            self.leading = Leading::Taking;
            let (shared, results) = (Arc::clone(&self.shared), self.results.clone());
            tokio::spawn(async move {
                let writer = shared.take_over().await;
                if let Err(error) = &writer {
                    tracing::warn!("take over the lead: {error}");
                    sleep(PAUSE).await;
                }
                let _ = results.send(Done::Writer(writer.ok()));
            });
        }
    }

    fn tell(&self, event: ClusterEvent) {
        let _ = self.events.send(event);
    }
}
