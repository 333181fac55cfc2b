//! A source whose name no plugin may have.

use tidegate_sdk::prelude::*;

/// No keys.
#[derive(ConnectorConfig)]
pub struct Config;

struct Hostile;

impl Connector for Hostile {
    type Config = Config;

    fn describe() -> Description {
        Description::new("../Bad Name", "not a version")
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
