//! A well-behaved source of a known number of records, for tests that count them at the far end.
//!
//! Task t of n emits the numbers t, t + n, t + 2n, ... below `records`: the key is the prefix and
//! the number modulo `keys`, the value is the number. Its partition is {"task": t}, its offset
//! {"n": next number}. With `transaction.records` it sets transactions of its own of so many records each,
//! of which every `abort.every`-th is aborted.

use tidegate_sdk::Boundary;
use tidegate_sdk::prelude::*;

/// What to emit.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The topic to write to.
    topic: String,
    /// How many records there are in all tasks together.
    #[config(default = 1000)]
    records: u64,
    /// How many different keys there are.
    #[config(default = 100, min = 1)]
    keys: u64,
    /// What keys begin with.
    #[config(default = "key-")]
    key_prefix: String,
    /// Values are filled up to this length.
    #[config(default = 0)]
    value_bytes: usize,
    /// Every so many records one is odd; 0: none.
    #[config(key = "odd.every", default = 0)]
    odd_every: u64,
    /// The value of an odd record is filled up to this length.
    #[config(key = "odd.bytes", default = 0)]
    odd_bytes: usize,
    /// Odd records have no key.
    #[config(key = "odd.unkeyed", default = false)]
    odd_unkeyed: bool,
    /// Records in one poll at most.
    #[config(default = 100, min = 1)]
    batch: usize,
    /// The rest after each poll, in milliseconds.
    #[config(key = "interval.ms", default = 0)]
    interval: Duration,
    /// Records in each of its own transactions; 0: it sets none.
    #[config(key = "transaction.records", default = 0)]
    transaction_records: u64,
    /// Every so many of them one is aborted; 0: none.
    #[config(key = "abort.every", default = 0)]
    abort_every: u64,
    /// How many tasks there are.
    #[config(internal, default = 1)]
    task_count: u64,
    /// Which one this is.
    #[config(internal, default = 0)]
    task_number: u64,
}

impl Config {
    fn is_odd(&self, number: u64) -> bool {
        self.odd_every > 0 && number % self.odd_every == self.odd_every - 1
    }
}

struct Keyed {
    config: Config,
    partition: Partition,
    next: u64,
    resting: bool,
}

impl Connector for Keyed {
    type Config = Config;

    fn describe() -> Description {
        Description::new("keyed-source", env!("CARGO_PKG_VERSION"))
            .documentation("Emits numbered records with keys.")
            .exactly_once()
            .own_transactions()
    }

    fn plan(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
        let count = request.max_tasks.to_string();
        let task = |number: usize| {
            request
                .task()
                .with("task.count", &count)
                .with("task.number", number.to_string())
        };
        Ok((0..request.max_tasks).map(task).collect())
    }
}

impl SourceTask for Keyed {
    fn start(config: Config, _: &TaskContext, positions: &Positions) -> Result<Self> {
        let partition = Partition::new().with("task", config.task_number);
        let next = positions.u64(&partition, "n").unwrap_or(config.task_number);
        Ok(Self {
            config,
            partition,
            next,
            resting: false,
        })
    }

    fn poll(&mut self, limits: Limits) -> Result<Poll> {
        let Config {
            interval, batch, ..
        } = self.config;
        if self.next >= self.config.records {
            return Ok(Poll::Finished);
        }
        self.resting = !self.resting && !interval.is_zero();
        if self.resting {
            return Ok(Poll::Idle(interval));
        }
        let mut records = Records::to(&self.config.topic)
            .of_strings()
            .with_string_keys();
        let most = limits.max_records.min(batch);
        while records.len() < most
            && records.bytes() < limits.max_bytes
            && self.next < self.config.records
        {
            let key = format!("{}{}", self.config.key_prefix, self.next % self.config.keys);
            let odd = self.config.is_odd(self.next);
            let width = if odd {
                self.config.odd_bytes
            } else {
                self.config.value_bytes
            };
            let value = format!("{:.<width$}", self.next);
            let record = records.push();
            if odd && self.config.odd_unkeyed {
                record.value(value);
            } else {
                record.key(key).value(value);
            }
            self.next += self.config.task_count;
            let boundary = self.boundary();
            if boundary != Boundary::None {
                let offset = Offset::new().with("n", self.next);
                records.checkpoint_with(&self.partition, &offset, boundary);
            }
        }
        records.checkpoint(&self.partition, &Offset::new().with("n", self.next));
        Ok(records.into())
    }
}

impl Keyed {
    /// What ends with the record before `next`.
    fn boundary(&self) -> Boundary {
        let Config {
            transaction_records,
            abort_every,
            task_count,
            records,
            ..
        } = self.config;
        let done = self.next / task_count;
        let ends = self.next >= records || done.is_multiple_of(transaction_records);
        if transaction_records == 0 || !ends {
            return Boundary::None;
        }
        let transaction = done.div_ceil(transaction_records);
        if abort_every > 0 && transaction.is_multiple_of(abort_every) {
            Boundary::Abort
        } else {
            Boundary::Commit
        }
    }
}

export_source!(Keyed);

#[cfg(test)]
mod tests {
    use tidegate_sdk::testing::{self, SourceTest};

    use super::*;

    #[test]
    fn tasks_share_the_numbers_and_resume() {
        let config = [("topic", "t"), ("records", "10"), ("batch", "2")];
        let mut values = Vec::new();
        for task in testing::plan::<Keyed>(config, 3).unwrap() {
            let mut source = SourceTest::<Keyed>::start(task).unwrap();
            values.extend(source.poll().unwrap().values());
            source.crash().unwrap();
            values.extend(source.drain().unwrap().values());
        }
        values.sort();
        assert_eq!(values, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }

    #[test]
    fn values_are_filled_up_and_keys_repeat() {
        let config = [
            ("topic", "t"),
            ("keys", "2"),
            ("value.bytes", "5"),
            ("interval.ms", "7"),
        ];
        let mut source = SourceTest::<Keyed>::start(config).unwrap();
        assert_eq!(source.poll().unwrap().rest, Some(Duration::from_millis(7)));
        let polled = source.poll().unwrap();
        assert_eq!(
            (polled.records.len(), polled.values()[12].as_str()),
            (100, "12...")
        );
        assert_eq!(polled.records[3].key.to_text(), "key-1");
    }
}
