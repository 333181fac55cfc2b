//! A well-behaved source for tests of clusters: `streams` streams of the records 0, 1, 2, ... below
//! `records`, which any number of tasks share, and which keep their positions when that number
//! changes. The key is `STREAM`, the value `STREAM NUMBER`. The partition of a stream is
//! {"stream": s}, its offset {"next": n}.

use tidegate_sdk::prelude::*;

/// What to emit.
#[derive(Debug, ConnectorConfig)]
pub struct Config {
    /// The topic to write to.
    topic: String,
    /// How many streams there are.
    #[config(default = 4, min = 1)]
    streams: u64,
    /// How many records each stream has; 0: it never ends.
    #[config(default = 0)]
    records: u64,
    /// Records of each stream in one poll.
    #[config(default = 10, min = 1)]
    batch: u64,
    /// The rest after each poll, in milliseconds.
    #[config(key = "interval.ms", default = 20)]
    interval: Duration,
    /// How many tasks there are.
    #[config(internal, default = 1)]
    task_count: u64,
    /// Which one this is.
    #[config(internal, default = 0)]
    task_number: u64,
}

struct Stream {
    number: u64,
    partition: Partition,
    next: u64,
}

struct Numbered {
    config: Config,
    streams: Vec<Stream>,
    resting: bool,
}

impl Connector for Numbered {
    type Config = Config;

    fn describe() -> Description {
        Description::new("numbered-source", env!("CARGO_PKG_VERSION"))
            .documentation("Emits streams of numbered records.")
            .exactly_once()
    }

    fn plan(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
        let streams = usize::try_from(request.config.streams).unwrap_or(usize::MAX);
        let tasks = request.max_tasks.min(streams);
        let count = tasks.to_string();
        let task = |number: usize| {
            request
                .task()
                .with("task.count", &count)
                .with("task.number", number.to_string())
        };
        Ok((0..tasks).map(task).collect())
    }
}

impl SourceTask for Numbered {
    fn start(config: Config, _: &TaskContext, positions: &Positions) -> Result<Self> {
        let own = (0..config.streams).filter(|s| s % config.task_count == config.task_number);
        let stream = |number| {
            let partition = Partition::new().with("stream", number);
            let next = positions.u64(&partition, "next").unwrap_or(0);
            Stream {
                number,
                partition,
                next,
            }
        };
        Ok(Self {
            streams: own.map(stream).collect(),
            config,
            resting: false,
        })
    }

    fn poll(&mut self, _: Limits) -> Result<Poll> {
        let end = match self.config.records {
            0 => u64::MAX,
            records => records,
        };
        if self.streams.iter().all(|stream| stream.next >= end) {
            return Ok(Poll::Finished);
        }
        self.resting = !self.resting && !self.config.interval.is_zero();
        if self.resting {
            return Ok(Poll::Idle(self.config.interval));
        }
        let mut records = Records::to(&self.config.topic)
            .of_strings()
            .with_string_keys();
        for stream in &mut self.streams {
            let last = stream.next.saturating_add(self.config.batch).min(end);
            for number in stream.next..last {
                let key = stream.number.to_string();
                let value = format!("{} {number}", stream.number);
                records.push().key(key).value(value);
            }
            stream.next = last;
            records.checkpoint(&stream.partition, &Offset::new().with("next", stream.next));
        }
        Ok(records.into())
    }
}

export_source!(Numbered);

#[cfg(test)]
mod tests {
    use tidegate_sdk::testing::{self, SourceTest};

    use super::*;

    #[test]
    fn streams_go_on_whatever_the_number_of_tasks() {
        let config = [
            ("topic", "t"),
            ("streams", "3"),
            ("records", "4"),
            ("batch", "2"),
            ("interval.ms", "0"),
        ];
        let tasks = testing::plan::<Numbered>(config, 2).unwrap();
        assert_eq!(tasks.len(), 2);
        let mut values = Vec::new();
        for task in tasks {
            let mut source = SourceTest::<Numbered>::start(task).unwrap();
            values.extend(source.drain().unwrap().values());
        }
        values.sort();
        let expected: Vec<String> = (0..3)
            .flat_map(|s| (0..4).map(move |n| format!("{s} {n}")))
            .collect();
        assert_eq!(values, expected);
    }
}
