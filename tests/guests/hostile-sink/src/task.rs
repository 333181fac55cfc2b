//! The task's half.

use std::cell::RefCell;

use misbehaviour::Orders;
use tidegate_sdk::bindings::records::{Batch, Encoding, Part};
use tidegate_sdk::bindings::sink_world::exports::tidegate::connect::sink_task::{
    Flushed, Guest, LateErrant,
};
use tidegate_sdk::bindings::types::{Config, Context, Errant, Failure, Position, TopicPartition};

use crate::Hostile;

#[derive(Default)]
struct Task {
    orders: Orders,
    /// Batches that should have been dropped.
    kept: Vec<Batch>,
}

thread_local! {
    static TASK: RefCell<Task> = RefCell::default();
}

impl Guest for Hostile {
    fn start(config: Config, _: Context) -> Result<(), Failure> {
        let mut task = Task {
            orders: Orders::new(&config),
            kept: Vec::new(),
        };
        task.orders.obey_once("start")?;
        TASK.replace(task);
        Ok(())
    }

    fn open(partitions: Vec<TopicPartition>) -> Result<Vec<Position>, Failure> {
        TASK.with_borrow_mut(|task| {
            task.orders.obey_once("open")?;
            let at = |next_offset| {
                partitions
                    .iter()
                    .cloned()
                    .map(move |at| Position { at, next_offset })
            };
            Ok(match task.orders.word.as_str() {
                "open-negative" => at(-5).collect(),
                "open-beyond" => at(i64::MAX).collect(),
                "open-unknown" => vec![Position {
                    at: unknown(),
                    next_offset: 0,
                }],
                "open-twice" => at(0).chain(at(1)).collect(),
                _ => Vec::new(),
            })
        })
    }

    fn put(rows: Batch) -> Result<Vec<Errant>, Failure> {
        TASK.with_borrow_mut(|task| task.put(rows))
    }

    fn flush(accepted: Vec<Position>) -> Result<Flushed, Failure> {
        TASK.with_borrow_mut(|task| task.flush(accepted))
    }

    fn close(_: Vec<TopicPartition>) -> Result<(), Failure> {
        TASK.with_borrow_mut(|task| task.orders.obey_once("close"))
    }

    fn stop() {
        // stop cannot fail, so there is nothing to do with a failure.
        let _ = TASK.with_borrow_mut(|task| task.orders.obey("stop"));
    }
}

impl Task {
    fn put(&mut self, rows: Batch) -> Result<Vec<Errant>, Failure> {
        self.orders.obey_once("put")?;
        let word = self.orders.own_word();
        let count = rows.length();
        let errant = |row| Errant {
            row,
            reason: "told to refuse".to_owned(),
        };
        match word.as_str() {
            "errant-all" => return Ok((0..count).map(errant).collect()),
            "errant-first" => return Ok(vec![errant(0)]),
            "errant-out-of-range" => return Ok(vec![errant(count)]),
            "errant-twice" => return Ok(vec![errant(0), errant(0)]),
            "errant-backwards" => return Ok((0..count).rev().map(errant).collect()),
            "errant-huge-reason" => {
                return Ok(vec![Errant {
                    row: 0,
                    reason: "x".repeat(8 << 20),
                }]);
            }
            // The handle outlives the call; the data must not.
            "keep-batch" => {
                self.read_kept()?;
                self.kept = vec![rows];
            }
            "leak-batches" => self.kept.push(rows),
            "read-again-and-again" => {
                for _ in 0..100_000 {
                    rows.read(Part::all(), Encoding::Json, Encoding::Json)?;
                }
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Reads a batch of an earlier put; what comes of it is the log's to tell.
    fn read_kept(&self) -> Result<(), Failure> {
        for batch in &self.kept {
            let rows = batch.read(Part::VALUES, Encoding::Raw, Encoding::Raw)?.rows;
            let message = format!("read {rows} rows of a batch that was put before");
            tidegate_sdk::bindings::log::write("error", &message, &[]);
        }
        Ok(())
    }

    fn flush(&mut self, accepted: Vec<Position>) -> Result<Flushed, Failure> {
        self.orders.obey_once("flush")?;
        let moved = |by: i64| {
            accepted.iter().cloned().map(move |mut position| {
                position.next_offset += by;
                position
            })
        };
        let word = self.orders.word.clone();
        let durable = match word.as_str() {
            "durable-none" => Vec::new(),
            "durable-beyond" => moved(1000).collect(),
            "durable-backwards" => moved(-1).collect(),
            "durable-negative" => moved(i64::MIN).collect(),
            "durable-unknown" => vec![Position {
                at: unknown(),
                next_offset: 1,
            }],
            "durable-twice" => moved(0).chain(moved(-1)).collect(),
            _ => accepted.clone(),
        };
        let errants = match word.as_str() {
            "late-errant-unknown" => vec![late(unknown(), 0)],
            "late-errant-beyond" => accepted
                .iter()
                .map(|position| late(position.at.clone(), i64::MAX))
                .collect(),
            "late-errant-last" => accepted
                .iter()
                .map(|position| late(position.at.clone(), position.next_offset - 1))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Flushed { durable, errants })
    }
}

fn unknown() -> TopicPartition {
    TopicPartition {
        topic: "no-such-topic".to_owned(),
        partition: 99,
    }
}

fn late(at: TopicPartition, offset: i64) -> LateErrant {
    LateErrant {
        at,
        offset,
        reason: "told to refuse late".to_owned(),
    }
}
