//! The work of one source task.

use std::time::Duration;

use crate::TaskContext;
use crate::connector::Connector;
use crate::failure::Result;
use crate::position::Positions;
use crate::records::Records;

/// How long an empty answer of `poll` means to rest when the connector does not say.
const DEFAULT_REST: Duration = Duration::from_millis(200);

/// One task of a source. The host calls `start` once, then `poll` and `committed` in turn, then
/// `stop`; never two at a time.
pub trait SourceTask: Connector {
    /// Begins after `positions`, what was committed for the partitions of this connector.
    fn start(config: Self::Config, context: &TaskContext, positions: &Positions) -> Result<Self>;

    /// What is new, up to `limits`. Never waits: without news it answers [`Poll::Idle`].
    fn poll(&mut self, limits: Limits) -> Result<Poll>;

    /// These positions are durable now, all records before them are in Kafka.
    fn committed(&mut self, positions: &Positions) -> Result<()> {
        let _ = positions;
        Ok(())
    }

    /// The last call.
    fn stop(&mut self) {}
}

/// How much one `poll` shall answer at most. A record that does not fit may be answered alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub max_records: usize,
    /// Bytes of keys, values and headers.
    pub max_bytes: usize,
}

/// The answer of `poll`.
#[derive(Clone, Debug)]
pub enum Poll {
    /// Records, positions, or both.
    Records(Box<Records>),
    /// Nothing now; ask again after this time.
    Idle(Duration),
    /// Nothing now; ask when a host source that this task opened has data, or after this time.
    Waiting(Duration),
    /// Nothing more, ever.
    Finished,
}

impl From<Records> for Poll {
    /// Records without rows, positions and refusals are a short rest.
    fn from(records: Records) -> Self {
        if records.says_nothing() {
            Self::Idle(DEFAULT_REST)
        } else {
            Self::Records(Box::new(records))
        }
    }
}

/// What a checkpoint means for a transaction of the connector's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// Nothing.
    #[default]
    None,
    /// It ends here and its records become visible.
    Commit,
    /// It ends here and its records never become visible.
    Abort,
}
