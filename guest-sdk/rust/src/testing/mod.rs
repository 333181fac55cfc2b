//! Runs connectors natively, without a runtime: plain `cargo test`.
//!
//! [`SourceTest`] and [`SinkTest`] call a task as the host does and hold it to the contract;
//! [`validate`] and [`plan`] do the same for a connector. Logs, databases and batches are
//! stand-ins that belong to the test's thread.
//!
//! ```
//! use tidegate_sdk::prelude::*;
//! use tidegate_sdk::testing::{SinkTest, TestRecord};
//! # #[derive(ConnectorConfig)] struct Config;
//! # struct Discard;
//! # impl Connector for Discard {
//! #     type Config = Config;
//! #     fn describe() -> Description { Description::new("discard", "1.0.0") }
//! # }
//! # impl SinkTask for Discard {
//! #     fn start(_: Config, _: &TaskContext) -> Result<Self> { Ok(Self) }
//! #     fn put(&mut self, _: &Batch) -> Result<Vec<Errant>> { Ok(Vec::new()) }
//! # }
//!
//! let mut sink = SinkTest::<Discard>::start(RawConfig::default()).unwrap();
//! sink.put("topic", [TestRecord::text("hello").key("k")]).unwrap();
//! assert_eq!(sink.flush().unwrap().durable[0].next_offset, 1);
//! ```

mod batch;
mod connection;
mod database;
mod logs;
mod record;
mod schema;
mod sink;
mod source;
mod write;

pub use batch::TestBatch;
pub use connection::{TestConnection, TestCursor};
pub use database::{Database, TableRow};
pub use logs::logs;
pub use record::{Content, TestRecord};
pub use sink::SinkTest;
pub use source::{Polled, SourceTest, TestCheckpoint};

pub(crate) use logs::log_host;

use crate::connector::{Connector, Issue};
use crate::export::glue;
use crate::{Failure, RawConfig, Result, TaskContext};

/// What is wrong with a configuration, by its definitions and by the connector.
pub fn validate<C: Connector>(config: impl Into<RawConfig>) -> Vec<Issue> {
    glue::validate::<C>(config.into().into_wire())
}

/// The task configurations the connector makes of a configuration.
pub fn plan<C: Connector>(config: impl Into<RawConfig>, max_tasks: u32) -> Result<Vec<RawConfig>> {
    let tasks = glue::plan::<C>(config.into().into_wire(), max_tasks, &[])?;
    if tasks.len() > usize::try_from(max_tasks).unwrap_or(usize::MAX) {
        return Err(Failure::fatal(format!(
            "{} tasks planned of {max_tasks}",
            tasks.len()
        )));
    }
    Ok(tasks.into_iter().map(RawConfig::from_wire).collect())
}

fn context() -> TaskContext {
    TaskContext {
        connector: "test".to_owned(),
        task: 0,
        tasks: 1,
        generation: 1,
        exactly_once: false,
        recycled: false,
    }
}

/// A configuration as the connector's type.
pub fn typed<C: Connector>(config: impl Into<RawConfig>) -> Result<C::Config> {
    glue::parse::<C>(&config.into())
}
