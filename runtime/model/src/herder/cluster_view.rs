//! What a worker of a cluster knows beyond the log: its shards, whether it leads, what the others
//! say.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Event;
use super::directory::{Directory, WorkerRecord};
use crate::config_log::{Leader, Placement};
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
    /// What workers that lead, or led, said last of a connector: a former leader's word may come late.
    words: BTreeMap<String, BTreeMap<String, RemoteStatus>>,
    /// Since when workers own no shard; kept by who leads.
    gone: BTreeMap<String, u64>,
    /// Since when tasks that have a place are no more; kept by who leads.
    unused: BTreeMap<TaskId, u64>,
    /// Fencing that was asked for, or is done: generation, and whether it is done.
    fences: BTreeMap<String, (u64, bool)>,
    /// Fencing that cannot be, until somebody restarts the connector.
    fence_failures: BTreeMap<String, (u64, String)>,
    /// The change of somebody's shards that tasks were last balanced after.
    balanced_after: Option<u64>,
    next_balance_ms: u64,
}

/// How long a worker owns no shard, or a task that is no more keeps its place, before it is forgotten:
/// longer than anything of it can go on.
const GONE_MS: u64 = 600_000;

/// Of how many workers the word on one connector is kept: those that led in turn.
const WORDS: usize = 4;

/// Why tasks are looked at for moving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Shards went to other workers.
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
            words: BTreeMap::new(),
            gone: BTreeMap::new(),
            unused: BTreeMap::new(),
            fences: BTreeMap::new(),
            fence_failures: BTreeMap::new(),
            balanced_after: None,
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
                self.balanced_after = None;
                self.gone.clear();
                self.unused.clear();
            }
            Event::Worker(id, record) => self.worker(now_ms, me, id, record),
            Event::Released(task, place) => self.hear_release(task, place),
            Event::ConnectorStatus(name, status) => self.hear_of_connector(name, status),
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

    fn hear_of_connector(&mut self, name: String, status: Option<RemoteStatus>) {
        let Some(status) = status else {
            return drop(self.words.remove(&name));
        };
        let words = self.words.entry(name).or_default();
        words.insert(status.worker.clone(), status);
        if words.len() > WORDS {
            let oldest = words.values().min_by_key(|word| word.epoch);
            if let Some(worker) = oldest.map(|word| word.worker.clone()) {
                words.remove(&worker);
            }
        }
    }

    /// Why a connector cannot be planned, if the one who leads by the log says so. The word of one who
    /// led before may be the last in the topic, and does not count.
    pub(super) fn failure_of(&self, connector: &str, leader: Option<&Leader>) -> Option<String> {
        let leader = leader?;
        let word = self.words.get(connector)?.get(&leader.worker)?;
        let counts = word.incarnation == leader.incarnation && word.status.state == State::Failed;
        counts.then(|| word.status.trace.clone()).flatten()
    }

    /// Workers that have owned no shard for so long that they will not come back under their names. One
    /// that does says so again.
    pub(super) fn forgotten_workers(&mut self, now_ms: u64, me: &str) -> Vec<String> {
        let idle = self.directory.idle();
        self.gone.retain(|id, _| idle.contains(&&**id));
        let mut forgotten = Vec::new();
        for id in idle.into_iter().filter(|id| *id != me) {
            let since_ms = self.gone.entry(id.to_owned()).or_insert(now_ms);
            if now_ms.saturating_sub(*since_ms) >= GONE_MS {
                // What could not be deleted is deleted later.
                *since_ms = now_ms;
                forgotten.push(id.to_owned());
            }
        }
        forgotten
    }

    /// Those of these tasks, which are no more, whose place nobody needs to know any longer. One that
    /// comes back sooner goes where it was, so that what is left of its last life there ends first.
    pub(super) fn forgotten_tasks(&mut self, now_ms: u64, unused: BTreeSet<TaskId>) -> Vec<TaskId> {
        self.unused.retain(|id, _| unused.contains(id));
        unused
            .into_iter()
            .filter(|id| {
                let since_ms = self.unused.entry(id.clone()).or_insert(now_ms);
                now_ms.saturating_sub(*since_ms) >= GONE_MS
            })
            .collect()
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
        Some(if self.balanced_after == Some(self.directory.changes()) {
            self.next_balance_ms.max(settled_ms)
        } else {
            settled_ms
        })
    }

    /// Whether tasks may be moved now, and why. Every shard has to have an owner: where one has none,
    /// its tasks are about to move by themselves.
    pub(super) fn balance_occasion(&mut self, now_ms: u64) -> Option<Occasion> {
        let complete = u32::try_from(self.directory.owners().len()) == Ok(self.shards);
        if !complete || now_ms < self.directory.changed_ms() + SETTLE_MS {
            return None;
        }
        if self.balanced_after != Some(self.directory.changes()) {
            return Some(Occasion::Membership);
        }
        if now_ms >= self.next_balance_ms {
            self.next_balance_ms = now_ms + BALANCE_EVERY_MS;
            return Some(Occasion::Weights);
        }
        None
    }

    /// Nothing more has to move after the last change. Until then a move that could not be written is
    /// wanted again.
    pub(super) fn is_balanced(&mut self, now_ms: u64) {
        self.balanced_after = Some(self.directory.changes());
        self.next_balance_ms = now_ms + BALANCE_EVERY_MS;
    }
}
