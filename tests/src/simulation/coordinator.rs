//! Membership, lease and lead of a process, by the rules of `tidegate-kafka`'s membership and
//! `tidegate-cluster`'s coordinator.

use std::collections::BTreeSet;

use tidegate_model::herder::Event;

use super::group::{REBALANCE_MS, SESSION_MS};
use super::happening::{AfterRead, Inside, Outside, ProcessId, Renewal};
use super::process::{Going, Mail};
use super::world::World;

const HEARTBEAT_MS: u64 = 3_000;
/// How long before the session's end a lease ends.
const RESERVE_MS: u64 = 1_000;
/// How often the lease is looked at.
const LOOK_MS: u64 = 100;
/// Between two tries to renew the lease while the group is being rebalanced.
const REBALANCE_PAUSE_MS: u64 = 100;
const PAUSE_MS: u64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leading {
    No,
    Taking,
    Yes,
}

impl World {
    pub(super) fn renew(&mut self, process: ProcessId, comes_back: bool) {
        if comes_back {
            self.later(process, HEARTBEAT_MS, Inside::Renew(true));
        }
        let state = &self.processes[process];
        let Some(member) = state.member else {
            return;
        };
        let heartbeat = Outside::Heartbeat {
            process,
            member,
            sent_ms: self.now_ms,
            ends: state.lease_ends,
            has_shards: !state.owned.is_empty(),
        };
        self.send(process, heartbeat);
    }

    pub(super) fn renewed(
        &mut self,
        process: ProcessId,
        member: u64,
        sent_ms: u64,
        ends: u64,
        outcome: Renewal,
    ) {
        let state = &mut self.processes[process];
        if state.member != Some(member) {
            return;
        }
        match outcome {
            Renewal::Granted if state.lease_ends == ends => {
                let until_ms = sent_ms + SESSION_MS - RESERVE_MS;
                state.lease_until_ms = state.lease_until_ms.max(until_ms);
                let lapse_ms = until_ms.saturating_sub(self.now_ms);
                let look_ms = self.rng.u64(0..LOOK_MS);
                self.later(process, look_ms, Inside::Look);
                self.later(process, lapse_ms + look_ms, Inside::Look);
            }
            Renewal::Granted => {}
            Renewal::Rebalancing if state.owned.is_empty() => {}
            Renewal::Rebalancing => self.later(process, REBALANCE_PAUSE_MS, Inside::Renew(false)),
            Renewal::Unknown => self.lost(process),
        }
    }

    /// The group has given the shards to others.
    fn lost(&mut self, process: ProcessId) {
        self.end_lease(process);
        let state = &mut self.processes[process];
        state.member = None;
        state.mail.clear();
        let shards = std::mem::take(&mut state.owned);
        self.step(|w| format!("{} hears that it is no member", w.processes[process].name));
        self.going(process, shards, None);
    }

    fn end_lease(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        state.lease_until_ms = 0;
        state.lease_ends += 1;
    }

    pub(super) fn poll(&mut self, process: ProcessId) {
        let now_ms = self.now_ms;
        let state = &mut self.processes[process];
        if state.is_blocked || state.is_ending && state.herder.is_idle() {
            return;
        }
        let is_due = state
            .mail
            .front()
            .is_some_and(|(at_ms, _, _)| *at_ms <= now_ms);
        if !is_due {
            return;
        }
        let Some((_, member, mail)) = state.mail.pop_front() else {
            return;
        };
        match mail {
            Mail::Joined => {
                state.member = Some(member);
                self.renew(process, false);
            }
            _ if state.member != Some(member) => {}
            Mail::Assign(shards) => {
                state.owned.extend(&shards);
                state.assigned.extend(shards);
                self.renew(process, false);
                self.advance(process);
            }
            Mail::Revoke(shards) => {
                self.renew(process, false);
                self.going(process, shards, Some(member));
            }
        }
        self.later(process, 0, Inside::Poll);
    }

    fn going(&mut self, process: ProcessId, shards: BTreeSet<u32>, member: Option<u64>) {
        let highest = self.shards - 1;
        let state = &mut self.processes[process];
        state.assigned.retain(|shard| !shards.contains(shard));
        if shards.contains(&highest) {
            self.stop_leading(process);
        }
        let state = &mut self.processes[process];
        let active: BTreeSet<u32> = state.active.intersection(&shards).copied().collect();
        state.active.retain(|shard| !active.contains(shard));
        state.goings += 1;
        let number = state.goings;
        state.is_blocked = true;
        state.going.push(Going {
            shards,
            number,
            member,
        });
        if !active.is_empty() {
            self.step(|w| format!("{} loses {active:?}", w.processes[process].name));
            self.handle(process, Event::Lost(active));
        }
        self.later(process, REBALANCE_MS / 2, Inside::GoingLimit(number));
        self.answer_going(process);
    }

    /// Answers revokes of which nothing is left.
    pub(super) fn answer_going(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        let herder = &state.herder;
        let quiet = state.going.iter().position(|g| herder.is_quiet(&g.shards));
        if let Some(index) = quiet {
            let going = state.going.remove(index);
            self.check_quiet(process, &going.shards);
            self.gone(process, going);
            self.answer_going(process);
        }
    }

    pub(super) fn going_limit(&mut self, process: ProcessId, number: u64) {
        let state = &mut self.processes[process];
        let late = state.going.iter().position(|g| g.number == number);
        if let Some(index) = late {
            let going = state.going.remove(index);
            self.gone(process, going);
        }
    }

    fn gone(&mut self, process: ProcessId, going: Going) {
        let Some(member) = going.member else {
            // It joins again only now, so that no lease comes while something still runs.
            self.processes[process].is_blocked = false;
            return self.send(process, Outside::Join(process));
        };
        let state = &mut self.processes[process];
        state.is_blocked = false;
        state.owned.retain(|shard| !going.shards.contains(shard));
        if state.owned.is_empty() {
            self.end_lease(process);
        }
        self.send(process, Outside::Revoked(member, going.shards));
        self.soon(process, Inside::Poll);
    }

    pub(super) fn look(&mut self, process: ProcessId) {
        let valid = self.is_lease_valid(process);
        let state = &mut self.processes[process];
        if !state.active.is_empty() && !valid {
            self.tally.lapses += 1;
            self.step(|w| format!("{}: the lease has lapsed", w.processes[process].name));
            self.stop_leading(process);
            let shards = std::mem::take(&mut self.processes[process].active);
            self.handle(process, Event::Lost(shards));
        }
        let state = &mut self.processes[process];
        let is_appending = state.appending.is_some();
        if state.leading == Leading::Yes && state.writer.is_none() && !is_appending {
            state.leading = Leading::No;
            self.tell_leading(process, false);
        }
        self.advance(process);
    }

    fn stop_leading(&mut self, process: ProcessId) {
        let state = &mut self.processes[process];
        if std::mem::replace(&mut state.leading, Leading::No) == Leading::Yes {
            state.writer = None;
            self.tell_leading(process, false);
        }
    }

    fn tell_leading(&mut self, process: ProcessId, leading: bool) {
        self.step(|w| format!("{} leads: {leading}", w.processes[process].name));
        self.handle(process, Event::Leading(leading));
        self.processes[process].publisher.forget_connectors();
        self.settle(process);
    }

    /// Starts what is due and not under way.
    pub(super) fn advance(&mut self, process: ProcessId) {
        if !self.is_lease_valid(process) || self.processes[process].is_ending {
            return;
        }
        let highest = self.shards - 1;
        let state = &mut self.processes[process];
        if !state.activating && !state.assigned.is_subset(&state.active) {
            state.activating = true;
            let shards = state.assigned.clone();
            self.read_to_ends(process, true, AfterRead::Gain(shards));
        }
        let state = &mut self.processes[process];
        if state.leading == Leading::No && state.active.contains(&highest) {
            state.leading = Leading::Taking;
            self.take_over(process, AfterRead::Lead(0));
        }
    }

    pub(super) fn read_for_shards(&mut self, process: ProcessId, shards: BTreeSet<u32>) {
        let valid = self.is_lease_valid(process);
        let state = &mut self.processes[process];
        state.activating = false;
        let new = |shard: &u32| state.assigned.contains(shard) && !state.active.contains(shard);
        let gained: BTreeSet<u32> = shards.into_iter().filter(new).collect();
        if valid && !gained.is_empty() {
            state.active.extend(&gained);
            self.step(|w| format!("{} gains {gained:?}", w.processes[process].name));
            self.check_gain(process);
            self.handle(process, Event::Gained(gained));
        }
        self.advance(process);
    }

    /// Shuts the former writer out; then reads what it wrote.
    pub(super) fn take_over(&mut self, process: ProcessId, then: AfterRead) {
        if self.is_chaos && self.chance(5) {
            return self.later(process, PAUSE_MS, Inside::Failed(then));
        }
        self.send(process, Outside::InitWriter(process, then));
    }

    pub(super) fn writer_asked(&mut self, process: ProcessId, then: AfterRead) {
        let epoch = self.log.init();
        self.wake_all();
        self.step(|w| format!("log: epoch {epoch} is {}'s", w.processes[process].name));
        self.answer(process, Inside::WriterReady(epoch, then));
    }

    pub(super) fn writer_ready(&mut self, process: ProcessId, epoch: u32, then: AfterRead) {
        let then = match then {
            AfterRead::Lead(_) => AfterRead::Lead(epoch),
            other => other,
        };
        self.read_to_ends(process, false, then);
    }

    pub(super) fn take_the_lead(&mut self, process: ProcessId, epoch: u32) {
        let highest = self.shards - 1;
        let valid = self.is_lease_valid(process);
        let state = &mut self.processes[process];
        let mine = state.leading == Leading::Taking && state.active.contains(&highest);
        if mine && valid {
            state.writer = Some(epoch);
            state.leading = Leading::Yes;
            self.tally.leads += 1;
            self.tell_leading(process, true);
        } else {
            state.leading = Leading::No;
        }
        self.advance(process);
    }

    pub(super) fn writer_failed(&mut self, process: ProcessId) {
        self.processes[process].leading = Leading::No;
        self.advance(process);
    }
}
