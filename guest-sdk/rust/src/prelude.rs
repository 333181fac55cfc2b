//! What nearly every connector uses: `use tidegate_sdk::prelude::*;`.

pub use crate::{
    Batch, ConfigChoice, Connector, ConnectorConfig, Description, Errant, Failure, Flushed, Issue,
    Limits, NextOffset, Offset, OrFail, Partition, PlanRequest, Poll, Positions, RawConfig, Read,
    Records, Result, SinkTask, SourceTask, TaskContext, TopicPartition, export_sink, export_source,
};
pub use std::time::Duration;
