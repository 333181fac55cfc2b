//! What a worker of a cluster knows beyond the log: its shards, whether it leads, what the others
//! say.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Event;
use super::directory::{Directory, WorkerRecord};
use crate::config_log::Placement;
use crate::names::TaskId;
use crate::state::{PlacedStatus, RemoteStatus, State, Status};

/// How long nobody's shards may have changed before tasks are moved: while workers come and go, every
/// move would be one too many.
const SETTLE_MS: u64 = 1_000;

/// How often measured weights are looked at when nobody comes or goes.
const BALANCE_EVERY_MS: u64 = 300_000;

#[derive(Debug)]
pub(super) struct ClusterView {
    url: String,
    incarnation: String,
    shards: u32,
    pub(super) owned: BTreeSet<u32>,
    pub(super) leading: bool,
    pub(super) directory: Directory,
    epoch: u64,
    weights: BTreeMap<TaskId, u32>,
    /// The last move of each task whose release was heard of.
    released: BTreeMap<TaskId, u64>,
    /// What the topic says of each task now, which may be an older release that came late.
    heard: BTreeMap<TaskId, u64>,
    /// Releases that are being written.
    releasing: BTreeMap<TaskId, u64>,
    /// What each worker said last of a task. A move brings no new epoch, so no epoch tells whose word
    /// is the last: the owner's of the task's shard counts.
    statuses: BTreeMap<TaskId, BTreeMap<String, RemoteStatus>>,
    plan_failures: BTreeMap<String, String>,
    /// Fencing that was asked for, or is done: generation, and whether it is done.
    fences: BTreeMap<String, (u64, bool)>,
    /// Fencing that cannot be, until somebody restarts the connector.
    fence_failures: BTreeMap<String, (u64, String)>,
    /// The workers that tasks were last balanced for.
    balanced_for: Option<BTreeSet<String>>,
    next_balance_ms: u64,
}

/// Why tasks are looked at for moving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Workers came or went.
    Membership,
    /// It is time to look at the weights.
    Weights,
}

impl ClusterView {
    pub(super) fn new(url: String, incarnation: String, shards: u32) -> Self {
        Self {
            url,
            incarnation,
            shards,
            owned: BTreeSet::new(),
            leading: false,
            directory: Directory::default(),
            epoch: 0,
            weights: BTreeMap::new(),
            released: BTreeMap::new(),
            heard: BTreeMap::new(),
            releasing: BTreeMap::new(),
            statuses: BTreeMap::new(),
            plan_failures: BTreeMap::new(),
            fences: BTreeMap::new(),
            fence_failures: BTreeMap::new(),
            balanced_for: None,
            next_balance_ms: 0,
        }
    }

    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn shards(&self) -> u32 {
        self.shards
    }

    pub(super) fn own_record(&self) -> WorkerRecord {
        WorkerRecord {
            url: self.url.clone(),
            incarnation: self.incarnation.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shards: self.owned.clone(),
            epoch: self.epoch,
            weights: self
                .weights
                .iter()
                .map(|(id, w)| (id.clone(), *w))
                .collect(),
        }
    }

    pub(super) fn handle(&mut self, now_ms: u64, me: &str, event: Event) {
        match event {
            Event::Gained(shards) => {
                self.owned.extend(shards);
                self.epoch = self.directory.max_epoch().max(self.epoch) + 1;
                self.claim(now_ms, me);
            }
            Event::Lost(shards) => {
                self.owned.retain(|shard| !shards.contains(shard));
                // Whoever owned them last does not know whether the word got out.
                self.releasing.clear();
                self.claim(now_ms, me);
            }
            Event::Leading(leading) => {
                self.leading = leading;
                self.fences.clear();
                self.fence_failures.clear();
                self.balanced_for = None;
            }
            Event::Worker(id, record) => self.worker(now_ms, me, id, record),
            Event::Released(task, place) => self.hear_release(task, place),
            Event::PlanFailure(name, trace) => match trace {
                Some(trace) => drop(self.plan_failures.insert(name, trace)),
                None => drop(self.plan_failures.remove(&name)),
            },
            Event::Weights(weights) => {
                self.weights = weights;
                self.claim(now_ms, me);
            }
            Event::Fenced {
                connector,
                generation,
                outcome,
            } => match outcome {
                Ok(()) => drop(self.fences.insert(connector, (generation, true))),
                Err(trace) => {
                    drop(self.fence_failures.insert(connector, (generation, trace)));
                }
            },
            _ => {}
        }
    }

    fn hear_release(&mut self, task: TaskId, place: u64) {
        let known = self.released.entry(task.clone()).or_default();
        *known = place.max(*known);
        if self
            .releasing
            .get(&task)
            .is_some_and(|asked| *asked > place)
        {
            // An older release came late, and stands where ours stood.
            self.releasing.remove(&task);
        }
        self.heard.insert(task, place);
    }

    pub(super) fn set_status(&mut self, task: TaskId, status: Option<RemoteStatus>) {
        let Some(status) = status else {
            return drop(self.statuses.remove(&task));
        };
        let known = self.statuses.entry(task).or_default();
        known.retain(|worker, _| self.directory.worker(worker).is_some());
        known.insert(status.worker.clone(), status);
    }

    /// Begins a new epoch, in which everything is said again.
    pub(super) fn say_again(&mut self, now_ms: u64, me: &str) {
        self.epoch += 1;
        self.claim(now_ms, me);
    }

    fn worker(&mut self, now_ms: u64, me: &str, id: String, record: Option<WorkerRecord>) {
        if id == me {
            // This start of it knows better; what an earlier one said is over. If it came late the others
            // believe it until this one speaks again.
            let is_old = record.is_none_or(|record| record.incarnation != self.incarnation);
            if is_old && !self.owned.is_empty() {
                self.say_again(now_ms, me);
            }
            return;
        }
        if let Some(record) = &record
            && record.epoch >= self.epoch
            && !record.shards.is_disjoint(&self.owned)
        {
            // Two gained the shard without knowing of each other, or its former owner spoke late: the
            // group says that it is ours.
            self.epoch = record.epoch + 1;
            self.claim(now_ms, me);
        }
        self.directory.set(now_ms, &id, record);
    }

    fn claim(&mut self, now_ms: u64, me: &str) {
        let own = self.own_record();
        self.directory.set(now_ms, me, Some(own));
    }

    /// Whether the task may run here: its shard is owned, and whoever had it before has let it go.
    pub(super) fn may_run(&self, id: &TaskId, placement: &Placement) -> bool {
        self.owned.contains(&placement.shard) && self.is_settled(id, placement)
    }

    /// Whether no move of the task is under way.
    pub(super) fn is_settled(&self, id: &TaskId, placement: &Placement) -> bool {
        // Nobody orders a move before the one before is done: a later release stands for earlier ones,
        // and may be heard of before the log has told of its move.
        let released = |released: &u64| *released >= placement.place;
        placement.from.is_none() || self.released.get(id).is_some_and(released)
    }

    /// Whether it is this worker's to say that the task has been let go, and nobody has, or not for good:
    /// who comes later hears only what the topic says now.
    pub(super) fn must_release(&mut self, id: &TaskId, placement: &Placement) -> bool {
        let owned = placement
            .from
            .is_some_and(|from| self.owned.contains(&from));
        let said = self
            .heard
            .get(id)
            .is_some_and(|heard| *heard >= placement.place);
        if !owned || said {
            return false;
        }
        let asked = self.releasing.insert(id.clone(), placement.place);
        asked != Some(placement.place)
    }

    /// What another worker says of a task; UNASSIGNED until the one that owns its shard has spoken.
    pub(super) fn status_of(
        &self,
        me: &str,
        id: &TaskId,
        placement: Option<Placement>,
    ) -> Option<PlacedStatus> {
        let known = self.statuses.get(id);
        let owner = placement.and_then(|placement| self.directory.owner(placement.shard));
        let is_current = |known: &&RemoteStatus| {
            let record = self.directory.worker(&known.worker);
            known.worker != me
                && record.is_some_and(|record| record.incarnation == known.incarnation)
        };
        let of_owner = owner.and_then(|owner| known?.get(owner));
        if let Some(current) = of_owner.filter(is_current) {
            return Some(PlacedStatus {
                status: current.status.clone(),
                worker: current.worker.clone(),
            });
        }
        let last = known.and_then(|known| known.values().max_by_key(|status| status.epoch));
        let worker = owner.or(last.map(|last| &*last.worker))?;
        Some(PlacedStatus {
            status: Status::of(State::Unassigned),
            worker: worker.to_owned(),
        })
    }

    pub(super) fn failure_of(&self, connector: &str) -> Option<String> {
        self.plan_failures.get(connector).cloned()
    }

    /// Whether fencing for this generation has yet to be asked for; notes that it is now.
    pub(super) fn should_fence(&mut self, connector: &str, generation: u64) -> bool {
        let failed = self.fence_failures.get(connector);
        if failed.is_some_and(|(failed, _)| *failed == generation)
            || self
                .fences
                .get(connector)
                .is_some_and(|(asked, _)| *asked == generation)
        {
            return false;
        }
        self.fences
            .insert(connector.to_owned(), (generation, false));
        true
    }

    pub(super) fn is_fenced(&self, connector: &str, generation: u64) -> bool {
        self.fences.get(connector) == Some(&(generation, true))
    }

    pub(super) fn fence_failure(&self, connector: &str) -> Option<&str> {
        let failure = self.fence_failures.get(connector);
        failure.map(|(_, trace)| trace.as_str())
    }

    /// Fence again, whatever came of it before.
    pub(super) fn forget_fence(&mut self, connector: &str) {
        if self.fence_failures.remove(connector).is_some() {
            self.fences.remove(connector);
        }
    }

    pub(super) fn balance_due_ms(&self) -> Option<u64> {
        if !self.leading {
            return None;
        }
        let settled_ms = self.directory.changed_ms() + SETTLE_MS;
        let live = self.directory.live();
        let balanced = self.balanced_for.as_ref();
        let same = balanced.is_some_and(|set| set.iter().map(String::as_str).eq(live));
        Some(if same {
            self.next_balance_ms.max(settled_ms)
        } else {
            settled_ms
        })
    }

    /// Whether tasks may be moved now, and why. Every shard has to have an owner: where one has none,
    /// its tasks are about to move by themselves.
    pub(super) fn balance_occasion(
        &mut self,
        now_ms: u64,
        stayers: BTreeSet<String>,
    ) -> Option<Occasion> {
        let complete = u32::try_from(self.directory.owners().len()) == Ok(self.shards);
        if !complete || now_ms < self.directory.changed_ms() + SETTLE_MS {
            return None;
        }
        if self.balanced_for.as_ref() != Some(&stayers) {
            self.balanced_for = Some(stayers);
            self.next_balance_ms = now_ms + BALANCE_EVERY_MS;
            return Some(Occasion::Membership);
        }
        if now_ms >= self.next_balance_ms {
            self.next_balance_ms = now_ms + BALANCE_EVERY_MS;
            return Some(Occasion::Weights);
        }
        None
    }
}
