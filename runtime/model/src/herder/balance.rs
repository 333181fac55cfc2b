//! Which shard a task goes to, by what tasks weigh. Each worker's shards are filled from the highest
//! down: the group's sticky assignor hands newcomers the lowest ones, so a join moves few tasks.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::directory::Directory;
use crate::names::TaskId;

/// What a task weighs before anybody has measured it, and what an idle one weighs.
pub(super) const BASE_WEIGHT: u64 = 100;

/// A move has to better the difference between two workers by this part of what it moves, in
/// percent: measured weights swing, and every move interrupts.
const LEAST_GAIN_PERCENT: u64 = 25;

/// When nobody comes or goes, the difference has to be this part of the mean, in percent.
const UNEVEN_PERCENT: u64 = 50;

#[derive(Debug, Default)]
struct Load {
    weight: u64,
    /// How many tasks are on each shard.
    shards: BTreeMap<u32, usize>,
    /// The tasks that may be moved, with their shard and weight.
    movable: Vec<(TaskId, u32, u64)>,
    /// It is to go.
    leaving: bool,
}

/// What every worker bears.
#[derive(Debug)]
pub(super) struct Balance {
    workers: BTreeMap<String, Load>,
    owners: BTreeMap<u32, String>,
    tasks: usize,
}

/// A task that shall move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) task: TaskId,
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Balance {
    pub(super) fn new(directory: &Directory, leaves: impl Fn(&str) -> bool) -> Self {
        let mut workers: BTreeMap<String, Load> = BTreeMap::new();
        for (shard, owner) in directory.owners() {
            let load = workers.entry(owner.clone()).or_insert_with(|| Load {
                leaving: leaves(owner),
                ..Load::default()
            });
            load.shards.insert(*shard, 0);
        }
        Self {
            workers,
            owners: directory.owners().clone(),
            tasks: 0,
        }
    }

    /// A task that is placed already.
    pub(super) fn add(&mut self, task: &TaskId, shard: u32, weight: u64, movable: bool) {
        self.tasks += 1;
        let owner = self.owners.get(&shard);
        let Some(load) = owner.and_then(|owner| self.workers.get_mut(owner)) else {
            return;
        };
        load.weight += weight;
        *load.shards.entry(shard).or_default() += 1;
        if movable {
            load.movable.push((task.clone(), shard, weight));
        }
    }

    /// A shard for a new task; none while nobody is there.
    pub(super) fn place(&mut self, weight: u64) -> Option<u32> {
        let lightest = self.lightest()?;
        self.tasks += 1;
        self.workers.get_mut(&lightest)?.take(weight)
    }

    fn lightest(&self) -> Option<String> {
        let staying = self.workers.iter().filter(|(_, load)| !load.leaving);
        let lightest = staying.min_by_key(|(_, load)| load.weight);
        lightest.map(|(id, _)| id.clone())
    }

    /// What has to move off workers that are to go.
    pub(super) fn evacuate(&mut self) -> Vec<Move> {
        let mut moves = Vec::new();
        let leaving = self.workers.values_mut().filter(|load| load.leaving);
        let tasks: Vec<_> = leaving
            .flat_map(|load| std::mem::take(&mut load.movable))
            .collect();
        for (task, from, weight) in tasks {
            let lightest = self.lightest();
            let load = lightest.and_then(|id| self.workers.get_mut(&id));
            if let Some(to) = load.and_then(|load| load.take(weight)) {
                moves.push(Move { task, from, to });
            }
        }
        moves
    }

    /// What should move for the workers to bear about the same: at most as many as one worker's share.
    pub(super) fn even_out(&mut self, only_if_uneven: bool) -> Vec<Move> {
        let staying = self.workers.values().filter(|load| !load.leaving).count();
        let most = self.tasks.div_ceil(staying.max(1));
        let mut moves = Vec::new();
        while moves.len() < most {
            match self.best_move(only_if_uneven && moves.is_empty()) {
                Some(found) => moves.push(found),
                None => break,
            }
        }
        moves
    }

    fn best_move(&mut self, only_if_uneven: bool) -> Option<Move> {
        let staying = || self.workers.iter().filter(|(_, load)| !load.leaving);
        let (low, lightest) = staying().min_by_key(|(_, load)| load.weight)?;
        let (high, heaviest) = staying().max_by_key(|(_, load)| load.weight)?;
        let gap = heaviest.weight.saturating_sub(lightest.weight);
        let mean = staying().map(|(_, load)| load.weight).sum::<u64>() / staying().count() as u64;
        if only_if_uneven && gap * 100 < mean * UNEVEN_PERCENT {
            return None;
        }
        let (low, high) = (low.clone(), high.clone());
        // The best is what leaves both the same.
        let candidates = heaviest.movable.iter().enumerate();
        let (index, _) = candidates
            .filter(|(_, (_, _, weight))| weight * (100 + LEAST_GAIN_PERCENT) <= gap * 100)
            .min_by_key(|(_, (_, _, weight))| (weight * 2).abs_diff(gap))?;
        let from_load = self.workers.get_mut(&high)?;
        let (task, from, weight) = from_load.movable.swap_remove(index);
        from_load.weight -= weight;
        if let Some(count) = from_load.shards.get_mut(&from) {
            *count = count.saturating_sub(1);
        }
        let to = self.workers.get_mut(&low)?.take(weight)?;
        Some(Move { task, from, to })
    }
}

impl Load {
    /// The emptiest shard, of those the highest.
    fn take(&mut self, weight: u64) -> Option<u32> {
        let shards = self.shards.iter_mut();
        let (shard, count) = shards.min_by_key(|(shard, count)| (**count, Reverse(**shard)))?;
        *count += 1;
        self.weight += weight;
        Some(*shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herder::WorkerRecord;

    fn directory(shards: &[(&str, std::ops::Range<u32>)]) -> Directory {
        let mut directory = Directory::default();
        for (id, shards) in shards {
            let record = WorkerRecord {
                shards: shards.clone().collect(),
                epoch: 1,
                ..WorkerRecord::default()
            };
            directory.set(0, id, Some(record));
        }
        directory
    }

    fn task(n: u32) -> TaskId {
        TaskId::new("c", n)
    }

    #[test]
    fn new_tasks_spread_over_workers_from_the_highest_shard_down() {
        let directory = directory(&[("a", 0..4), ("b", 4..8)]);
        let mut balance = Balance::new(&directory, |_| false);
        let placed: Vec<u32> = (0..5).filter_map(|_| balance.place(BASE_WEIGHT)).collect();
        assert_eq!(placed, [3, 7, 2, 6, 1]);
    }

    #[test]
    fn a_newcomer_gets_its_share_and_no_more_moves_than_that() {
        let directory = directory(&[("a", 0..8), ("b", 8..16), ("c", 16..24)]);
        let mut balance = Balance::new(&directory, |_| false);
        for n in 0..12 {
            let shard = if n % 2 == 0 { 0 } else { 8 } + n / 2;
            balance.add(&task(n), shard, BASE_WEIGHT, true);
        }
        let moves = balance.even_out(false);
        assert_eq!(moves.len(), 4);
        assert!(moves.iter().all(|m| m.to >= 16), "{moves:?}");
        assert!(balance.even_out(false).is_empty(), "it is even now");
    }

    #[test]
    fn a_heavy_task_counts_for_many_light_ones() {
        let directory = directory(&[("a", 0..8), ("b", 8..16)]);
        let mut balance = Balance::new(&directory, |_| false);
        balance.add(&task(0), 0, 1000, true);
        for n in 1..5 {
            balance.add(&task(n), n, BASE_WEIGHT, true);
        }
        let moves = balance.even_out(true);
        assert_eq!(moves.len(), 1, "one move does it: {moves:?}");
        assert_eq!(moves[0].task, task(0));
    }

    #[test]
    fn a_little_unevenness_moves_nothing() {
        let directory = directory(&[("a", 0..8), ("b", 8..16)]);
        let mut balance = Balance::new(&directory, |_| false);
        for n in 0..7 {
            balance.add(
                &task(n),
                if n < 4 { n } else { 4 + n },
                100 + u64::from(n),
                true,
            );
        }
        assert_eq!(balance.even_out(true), []);
        assert_eq!(balance.even_out(false), []);
    }

    #[test]
    fn a_worker_that_goes_gives_everything_away_and_gets_nothing() {
        let directory = directory(&[("a", 0..4), ("b", 4..8)]);
        let mut balance = Balance::new(&directory, |id| id == "b");
        balance.add(&task(0), 4, BASE_WEIGHT, true);
        balance.add(&task(1), 5, BASE_WEIGHT, false);
        let moves = balance.evacuate();
        assert_eq!(moves.len(), 1, "one is on its way already");
        assert!(moves[0].from == 4 && moves[0].to < 4);
        assert!(balance.place(BASE_WEIGHT).unwrap() < 4);
    }
}
