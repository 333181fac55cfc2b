//! A source whose `describe` never ends.

use tidegate_sdk::prelude::*;

/// No keys.
#[derive(ConnectorConfig)]
pub struct Config;

struct Hostile;

impl Connector for Hostile {
    type Config = Config;

    fn describe() -> Description {
        loop {
            std::hint::spin_loop();
        }
    }
}

impl SourceTask for Hostile {
    fn start(_: Config, _: &TaskContext, _: &Positions) -> Result<Self> {
        Ok(Self)
    }

    fn poll(&mut self, _: Limits) -> Result<Poll> {
        Ok(Poll::Finished)
    }
}

export_source!(Hostile);
