//! Writes a growing number to a topic, once a period.

use tidegate_sdk::prelude::*;

#[derive(ConnectorConfig)]
struct Config {
    /// The topic to write to.
    topic: String,
    /// Milliseconds between two numbers.
    #[config(key = "period.ms", default = 1000, min = 1)]
    period: Duration,
}

struct Ticker {
    config: Config,
    next: u64,
    rested: bool,
}

impl Connector for Ticker {
    type Config = Config;

    fn describe() -> Description {
        Description::new("ticker", env!("CARGO_PKG_VERSION")).documentation("Counts.")
    }
}

impl SourceTask for Ticker {
    fn start(config: Config, _: &TaskContext, positions: &Positions) -> Result<Self> {
        let next = positions.u64(&counter(), "next").unwrap_or(0);
        Ok(Self {
            config,
            next,
            rested: true,
        })
    }

    fn poll(&mut self, _: Limits) -> Result<Poll> {
        self.rested = !self.rested;
        if self.rested {
            return Ok(Poll::Idle(self.config.period));
        }
        let mut records = Records::to(&self.config.topic).of_strings();
        records.push().value(self.next.to_string());
        self.next += 1;
        records.checkpoint(&counter(), &Offset::new().with("next", self.next));
        Ok(records.into())
    }
}

fn counter() -> Partition {
    Partition::new().with("counter", "main")
}

export_source!(Ticker);

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sdk::testing::SourceTest;

    #[test]
    fn it_counts_and_goes_on_where_it_was() {
        let mut ticker = SourceTest::<Ticker>::start([("topic", "ticks")]).unwrap();
        assert_eq!(ticker.poll().unwrap().values(), ["0"]);
        ticker.crash().unwrap();
        assert_eq!(ticker.poll().unwrap().values(), ["1"]);
    }
}
