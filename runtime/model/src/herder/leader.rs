//! What who leads wants to have in the log: plans, placements, moves, fences. It is derived from the
//! state each time, so what could not be written is wanted again.

use std::collections::BTreeMap;

use super::balance::{BASE_WEIGHT, Balance};
use super::cluster_view::Occasion;
use super::{Action, Herder};
use crate::config_log::{ConfigRecord, PROTOCOL_VERSION, task_records};
use crate::names::TaskId;
use crate::state::TargetState;

impl Herder {
    /// Records to append to the log now, all in one; none for who does not lead. To be asked when
    /// nothing is being appended: the answer counts on the log being read to its end.
    pub fn next_append(&mut self, now_ms: u64) -> Vec<ConfigRecord> {
        if !self.is_leading() || self.ending {
            return Vec::new();
        }
        let mut records = self.announcement();
        let mut planned = BTreeMap::new();
        for (name, run) in &mut self.connectors {
            let Some(entry) = self.log.connector(name) else {
                continue;
            };
            let Some(plan) = run.plan_to_store(entry) else {
                continue;
            };
            records.extend(task_records(
                name,
                entry.revision,
                &plan.tasks,
                plan.exactly_once,
            ));
            planned.insert(name.clone(), plan.tasks.len());
        }
        records.extend(self.fences(&planned));
        records.extend(self.placements(now_ms, &planned));
        records.extend(self.forgotten_placements(now_ms, &planned));
        records
    }

    fn announcement(&self) -> Vec<ConfigRecord> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let mut records = Vec::new();
        if self.log.cluster().feature().is_none() {
            records.push(ConfigRecord::Feature {
                version: PROTOCOL_VERSION,
            });
            // A Kafka Connect's connectors are taken over: nobody but the user knows when they may
            // run here.
            for name in self.log.connectors().keys() {
                records.extend(task_records(name, 0, &[], false));
                records.push(ConfigRecord::Target {
                    name: name.clone(),
                    state: TargetState::Stopped,
                });
            }
        }
        let is_known = self.log.cluster().leader().is_some_and(|leader| {
            leader.worker == self.me && leader.incarnation == cluster.incarnation()
        });
        if !is_known {
            records.push(ConfigRecord::Leader {
                worker: self.me.clone(),
                url: cluster.url().to_owned(),
                incarnation: cluster.incarnation().to_owned(),
            });
        }
        records
    }

    /// What is fenced by now, but not for generations that are `planned` in the same append: a fence
    /// record behind their commit would let them run unfenced, and miscount their ids.
    fn fences(&self, planned: &BTreeMap<String, usize>) -> Vec<ConfigRecord> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let waiting = self.log.connectors().iter().filter(|(name, entry)| {
            !planned.contains_key(*name)
                && !entry.may_run()
                && cluster.is_fenced(name, entry.generation)
        });
        waiting
            .map(|(name, entry)| ConfigRecord::Fence {
                name: name.clone(),
                tasks: u32::try_from(entry.tasks.len()).unwrap_or(u32::MAX),
            })
            .collect()
    }

    /// Shards for new tasks, `planned` among them, and moves.
    fn placements(&mut self, now_ms: u64, planned: &BTreeMap<String, usize>) -> Vec<ConfigRecord> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        let leaves = |id: &str| {
            let record = cluster.directory.worker(id);
            record.is_some_and(|r| self.log.cluster().is_removed(id, &r.incarnation))
        };
        let mut balance = Balance::new(&cluster.directory, leaves);
        let weights = self.weights();
        let weight = |id: &TaskId| weights.get(id).copied().unwrap_or(BASE_WEIGHT);
        let mut homeless = Vec::new();
        for id in self.all_tasks(planned) {
            match self.log.cluster().placement(&id) {
                Some(placement) if placement.shard < cluster.shards() => {
                    let movable = cluster.is_settled(&id, &placement);
                    balance.add(&id, placement.shard, weight(&id), movable);
                }
                _ => homeless.push(id),
            }
        }
        let mut records = Vec::new();
        for task in homeless {
            if let Some(shard) = balance.place(weight(&task)) {
                let from = None;
                records.push(ConfigRecord::Placement { task, shard, from });
            }
        }
        let mut moves = balance.evacuate();
        if let Some(cluster) = &mut self.cluster
            && let Some(occasion) = cluster.balance_occasion(now_ms)
        {
            let found = balance.even_out(occasion == Occasion::Weights);
            if found.is_empty() {
                cluster.is_balanced(now_ms);
            }
            moves.extend(found);
        }
        records.extend(moves.into_iter().map(|found| ConfigRecord::Placement {
            task: found.task,
            shard: found.to,
            from: Some(found.from),
        }));
        records
    }

    /// Places of tasks that have been no more for long.
    fn forgotten_placements(
        &mut self,
        now_ms: u64,
        planned: &BTreeMap<String, usize>,
    ) -> Vec<ConfigRecord> {
        let is_unused = |id: &&TaskId| {
            let planned = planned.get(&id.connector);
            !self.exists(id) && planned.is_none_or(|count| id.task as usize >= *count)
        };
        let placed = self.log.cluster().placements().keys();
        let unused = placed.filter(is_unused).cloned().collect();
        let Some(cluster) = &mut self.cluster else {
            return Vec::new();
        };
        let forgotten = cluster.forgotten_tasks(now_ms, unused).into_iter();
        forgotten
            .map(|task| ConfigRecord::Unplaced { task })
            .collect()
    }

    /// What workers said of themselves that have been gone for long.
    pub(super) fn forget_workers(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.ending || !self.is_leading() {
            return;
        }
        if let Some(cluster) = &mut self.cluster {
            let forgotten = cluster.forgotten_workers(now_ms, &self.me).into_iter();
            actions.extend(forgotten.map(Action::ForgetWorker));
        }
    }

    fn all_tasks(&self, planned: &BTreeMap<String, usize>) -> Vec<TaskId> {
        let tasks = self.log.connectors().iter().flat_map(|(name, entry)| {
            let count = planned.get(name).copied().unwrap_or(entry.tasks.len());
            (0..u32::try_from(count).unwrap_or(u32::MAX)).map(|n| TaskId::new(name.as_str(), n))
        });
        tasks.collect()
    }

    fn weights(&self) -> BTreeMap<TaskId, u64> {
        let Some(directory) = self.directory() else {
            return BTreeMap::new();
        };
        let records = directory.live().into_iter();
        let records = records.filter_map(|id| directory.worker(id));
        records
            .flat_map(|record| &record.weights)
            .map(|(id, weight)| (id.clone(), u64::from(*weight).max(BASE_WEIGHT)))
            .collect()
    }

    /// What the plugins and Kafka shall be asked by who leads.
    pub(super) fn plan_and_fence(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.ending || !self.is_leading() {
            return;
        }
        for (name, entry) in self.log.connectors() {
            let run = self.connectors.entry(name.clone()).or_default();
            if entry.target == TargetState::Stopped {
                // A stop took the tasks away: the next start has to plan them again.
                run.ask();
            }
            if entry.target != TargetState::Started {
                continue;
            }
            if run.should_plan(now_ms, entry.revision) {
                actions.push(Action::Plan {
                    connector: name.clone(),
                    revision: entry.revision,
                    config: entry.config.clone(),
                });
            }
            if let Some(cluster) = &mut self.cluster
                && !entry.may_run()
                && cluster.should_fence(name, entry.generation)
            {
                actions.push(Action::Fence {
                    connector: name.clone(),
                    generation: entry.generation,
                    ids: self.log.transactional_ids(name),
                });
            }
        }
    }
}
