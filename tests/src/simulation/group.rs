//! The coordinator of the workers' group: members with sessions, and shards that go from one member
//! to the next only when the first has answered, or is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::happening::{Happening, Inside, Outside, ProcessId, Renewal};
use super::process::Mail;
use super::world::World;

/// After this long without a sign of life a member is out.
pub(super) const SESSION_MS: u64 = 10_000;
/// After this long without an answer to a revoke, too.
pub(super) const REBALANCE_MS: u64 = 60_000;

pub(super) struct Member {
    process: ProcessId,
    /// The worker, if its membership outlasts its process.
    fixed: Option<usize>,
    seen_ms: u64,
    /// Asked back, and not answered.
    going: BTreeSet<u32>,
    asked_ms: u64,
}

#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Member>,
    joined: u64,
    owners: Vec<Option<u64>>,
}

impl Group {
    pub(super) fn new(shards: u32) -> Self {
        Self {
            owners: vec![None; shards as usize],
            ..Self::default()
        }
    }

    fn owned(&self, member: u64) -> BTreeSet<u32> {
        let owners = (0..).zip(&self.owners);
        owners
            .filter(|(_, owner)| **owner == Some(member))
            .map(|(shard, _)| shard)
            .collect()
    }

    /// The process that owns a shard, as the coordinator sees it.
    pub(super) fn process_of(&self, shard: u32) -> Option<ProcessId> {
        let owner = self.owners[shard as usize]?;
        Some(self.members.get(&owner)?.process)
    }

    /// How many shards each member may keep: those that have most keep one more.
    fn shares(&self) -> BTreeMap<u64, usize> {
        let mut members: Vec<(usize, u64)> = self
            .members
            .keys()
            .map(|member| (self.owned(*member).len(), *member))
            .collect();
        members.sort_by_key(|(owned, member)| (std::cmp::Reverse(*owned), *member));
        let (each, more) = match members.len() {
            0 => (0, 0),
            count => (self.owners.len() / count, self.owners.len() % count),
        };
        let shares = members.iter().enumerate();
        shares
            .map(|(index, (_, member))| (*member, each + usize::from(index < more)))
            .collect()
    }
}

impl World {
    pub(super) fn join(&mut self, process: ProcessId) {
        if !self.processes[process].alive {
            return;
        }
        let worker = self.processes[process].worker;
        let fixed = self.workers[worker].is_static.then_some(worker);
        let known = self.group.members.iter();
        let former = known
            .filter(|(_, member)| fixed.is_some() && member.fixed == fixed)
            .map(|(id, _)| *id)
            .next();
        self.group.joined += 1;
        let id = self.group.joined;
        let member = Member {
            process,
            fixed,
            seen_ms: self.now_ms,
            going: BTreeSet::new(),
            asked_ms: 0,
        };
        self.group.members.insert(id, member);
        self.step(|w| format!("{} joins as member {id}", w.processes[process].name));
        self.mail(id, process, Mail::Joined);
        let session = Outside::Session(id);
        self.later_outside(SESSION_MS, session);
        if let Some(former) = former {
            // A static member that is back keeps its shards, without a word to the others.
            self.group.members.remove(&former);
            let kept = self.group.owned(former);
            for shard in &kept {
                self.group.owners[*shard as usize] = Some(id);
            }
            self.mail(id, process, Mail::Assign(kept));
        }
        self.rebalance();
    }

    fn mail(&mut self, member: u64, process: ProcessId, mail: Mail) {
        let delay = self.net(process);
        // In order: a later one does not come before an earlier one.
        let at = (self.now_ms + delay).max(self.processes[process].mail_ms);
        let process_state = &mut self.processes[process];
        process_state.mail_ms = at;
        process_state.mail.push_back((at, member, mail));
        self.schedule.at(at, Happening::In(process, Inside::Poll));
    }

    /// Free shards go to those who have too few; those who have too many are asked for theirs.
    fn rebalance(&mut self) {
        let shares = self.group.shares();
        let mut given: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for shard in 0..self.shards {
            if self.group.owners[shard as usize].is_some() {
                continue;
            }
            let lacking = |(member, share): (&u64, &usize)| {
                let owned = self.group.owned(*member).len();
                (owned < *share).then_some((owned, *member))
            };
            let Some((_, member)) = shares.iter().filter_map(lacking).min() else {
                continue;
            };
            self.group.owners[shard as usize] = Some(member);
            given.entry(member).or_default().insert(shard);
        }
        for (member, shards) in given {
            let process = self.group.members[&member].process;
            self.step(|w| format!("group: {shards:?} for {}", w.processes[process].name));
            self.mail(member, process, Mail::Assign(shards));
        }
        for (id, share) in shares {
            let owned = self.group.owned(id);
            let member = &self.group.members[&id];
            let staying: Vec<u32> = owned.difference(&member.going).copied().collect();
            let surplus = staying.len().saturating_sub(share);
            if surplus == 0 {
                continue;
            }
            // Newcomers get the lowest.
            let going: BTreeSet<u32> = staying.into_iter().take(surplus).collect();
            let process = member.process;
            let now_ms = self.now_ms;
            self.step(|w| {
                format!(
                    "group: {going:?} asked back from {}",
                    w.processes[process].name
                )
            });
            if let Some(member) = self.group.members.get_mut(&id) {
                member.going.extend(&going);
                member.asked_ms = now_ms;
            }
            self.mail(id, process, Mail::Revoke(going));
            self.later_outside(REBALANCE_MS, Outside::Rebalance(id));
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        process: ProcessId,
        id: u64,
        sent_ms: u64,
        ends: u64,
        has_shards: bool,
    ) {
        let rebalancing = self.group.members.values().any(|m| !m.going.is_empty());
        let refused = rebalancing && self.chance(30);
        let outcome = match self.group.members.get_mut(&id) {
            None => Renewal::Unknown,
            Some(member) => {
                member.seen_ms = self.now_ms;
                let granted = has_shards && !refused;
                if granted {
                    Renewal::Granted
                } else {
                    Renewal::Rebalancing
                }
            }
        };
        if outcome != Renewal::Unknown {
            self.later_outside(SESSION_MS, Outside::Session(id));
        }
        if self.is_chaos && self.chance(3) {
            return;
        }
        let answer = Inside::Renewed {
            member: id,
            sent_ms,
            ends,
            outcome,
        };
        self.answer(process, answer);
    }

    pub(super) fn revoked(&mut self, id: u64, shards: &BTreeSet<u32>) {
        let Some(member) = self.group.members.get_mut(&id) else {
            return;
        };
        member.seen_ms = self.now_ms;
        member.going.retain(|shard| !shards.contains(shard));
        for shard in shards {
            if self.group.owners[*shard as usize] == Some(id) {
                self.group.owners[*shard as usize] = None;
            }
        }
        self.later_outside(SESSION_MS, Outside::Session(id));
        self.rebalance();
    }

    pub(super) fn session(&mut self, id: u64) {
        let seen_ms = self.group.members.get(&id).map(|member| member.seen_ms);
        if seen_ms.is_some_and(|seen_ms| seen_ms + SESSION_MS <= self.now_ms) {
            self.expel(id, "its session is over");
        }
    }

    pub(super) fn rebalance_limit(&mut self, id: u64) {
        let late = self.group.members.get(&id).is_some_and(|member| {
            !member.going.is_empty() && member.asked_ms + REBALANCE_MS <= self.now_ms
        });
        if late {
            self.expel(id, "it does not answer a revoke");
        }
    }

    pub(super) fn expel(&mut self, id: u64, why: &str) {
        if let Some(member) = self.group.members.remove(&id) {
            self.step(|w| format!("group: {} is out, {why}", w.processes[member.process].name));
            for owner in &mut self.group.owners {
                if *owner == Some(id) {
                    *owner = None;
                }
            }
            self.rebalance();
        }
    }
}
