//! The task's half.

use std::cell::RefCell;

use misbehaviour::{Orders, get};
use tidegate_sdk::bindings::source_world::exports::tidegate::connect::source_task::{
    Boundary, Checkpoint, Guest, Polled, Rows,
};
use tidegate_sdk::bindings::types::{Config, Context, Failure};

use crate::{Hostile, columns, explore};

/// Records of one poll.
const BATCH: u32 = 3;

#[derive(Default)]
struct Task {
    orders: Orders,
    topic: String,
    partition: String,
    next: u64,
}

thread_local! {
    static TASK: RefCell<Task> = RefCell::default();
}

impl Guest for Hostile {
    fn start(
        config: Config,
        context: Context,
        positions: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let mut task = Task {
            orders: Orders::new(&config),
            topic: get(&config, "topic").unwrap_or("hostile").to_owned(),
            partition: format!(r#"{{"task":{}}}"#, context.task),
            next: 0,
        };
        task.orders.obey_once("start")?;
        let mine = positions
            .iter()
            .find(|(partition, _)| *partition == task.partition);
        if let Some((_, offset)) = mine {
            let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
            task.next = digits.parse().unwrap_or(0);
        }
        TASK.replace(task);
        Ok(())
    }

    fn poll(max_records: u32, _: u32) -> Result<Polled, Failure> {
        TASK.with_borrow_mut(|task| task.poll(max_records))
    }

    fn committed(_: Vec<(String, String)>) -> Result<(), Failure> {
        TASK.with_borrow_mut(|task| task.orders.obey_once("committed"))
    }

    fn stop() {
        // stop cannot fail, so there is nothing to do with a failure.
        let _ = TASK.with_borrow_mut(|task| task.orders.obey("stop"));
    }
}

impl Task {
    fn poll(&mut self, max_records: u32) -> Result<Polled, Failure> {
        self.orders.obey_once("poll")?;
        let word = self.orders.own_word();
        let word = word.as_str();
        match word {
            "explore" => {
                let columns = columns::of(&self.topic, &explore::findings());
                return Ok(Polled::Records((Rows::Built(columns), Vec::new())));
            }
            "idle-forever" => return Ok(Polled::Idle(u32::MAX)),
            "idle-zero" => return Ok(Polled::Idle(0)),
            "wait-forever" => return Ok(Polled::Waiting(u32::MAX)),
            "finished" => return Ok(Polled::Finished),
            _ => {}
        }
        let count = BATCH.min(max_records);
        let values: Vec<String> = (0..u64::from(count))
            .map(|n| (self.next + n).to_string())
            .collect();
        let columns = columns::spoil(word, columns::of(&self.topic, &values));
        self.next += u64::from(count);
        Ok(Polled::Records((
            Rows::Built(columns),
            self.checkpoints(word, count),
        )))
    }

    fn checkpoints(&self, word: &str, count: u32) -> Vec<Checkpoint> {
        let good = Checkpoint {
            rows: count,
            partition: self.partition.clone(),
            offset: format!(r#"{{"n":{}}}"#, self.next),
            boundary: Boundary::None,
        };
        let offset = |offset: &str| {
            vec![Checkpoint {
                offset: offset.to_owned(),
                ..good.clone()
            }]
        };
        match word {
            "checkpoint-beyond-rows" => vec![Checkpoint {
                rows: count + 1,
                ..good
            }],
            "checkpoints-unordered" => vec![good.clone(), Checkpoint { rows: 1, ..good }],
            "no-checkpoint" => Vec::new(),
            "bad-offset-json" => offset(r#"{"n":"#),
            "nested-offset" => offset(r#"{"n":{"deep":1}}"#),
            "offset-no-object" => offset("[1]"),
            "duplicate-offset-key" => offset(r#"{"n":1,"n":2}"#),
            "huge-offset" => offset(&format!(r#"{{"n":"{}"}}"#, "x".repeat(8 << 20))),
            "bad-partition-json" => vec![Checkpoint {
                partition: "here".to_owned(),
                ..good
            }],
            "uninvited-boundary" => vec![Checkpoint {
                boundary: Boundary::Abort,
                ..good
            }],
            _ => vec![good],
        }
    }
}
