//! The plugins: as many tasks as the configuration says, sometimes late, sometimes not at all.

use tidegate_model::config::ConfigMap;
use tidegate_model::herder::{PlanOutcome, Planned};

use super::happening::{Inside, ProcessId};
use super::world::World;

impl World {
    pub(super) fn plan(
        &mut self,
        process: ProcessId,
        connector: String,
        revision: u64,
        config: &ConfigMap,
    ) {
        let slow = self.is_chaos && self.chance(10);
        let after_ms = if slow {
            self.rng.u64(1_000..8_000)
        } else {
            self.rng.u64(5..300)
        };
        let outcome = if self.is_chaos && self.chance(8) {
            Err("the plugin cannot plan now".to_owned())
        } else {
            Ok(answer(config))
        };
        let planned = Planned {
            connector,
            revision,
            outcome,
        };
        self.later(process, after_ms, Inside::Planned(planned));
    }
}

fn answer(config: &ConfigMap) -> PlanOutcome {
    let count = config
        .get("tasks")
        .and_then(|n| n.parse::<u32>().ok())
        .unwrap_or(0);
    let salt = config.get("salt").cloned().unwrap_or_default();
    let task = |n: u32| {
        let pairs = [("task", n.to_string()), ("salt", salt.clone())];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    };
    PlanOutcome {
        tasks: (0..count).map(task).collect(),
        again_after_ms: None,
        exactly_once: config
            .get("kind")
            .is_some_and(|kind| kind == "exactly-once"),
    }
}
