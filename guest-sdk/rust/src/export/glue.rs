//! What the exports do, apart from the types of one world or the other.
#![allow(missing_docs)]

use std::cell::RefCell;

use crate::batch::Batch;
use crate::config::{ConfigError, ConnectorConfig, Definition, RawConfig};
use crate::connector::{Connector, Description, Issue, PlanRequest};
use crate::position::{Offset, Partition, Positions};
use crate::sink::{Flushed, SinkTask};
use crate::source::{Limits, Poll, SourceTask};
use crate::{bindings::types, logging};

pub use crate::batch::Held;
pub use types::{Config, Context, Errant, Failure, Position, TopicPartition};

type Result<T> = std::result::Result<T, Failure>;

/// The one task of an instance. The host never calls into an instance twice at a time.
pub struct Slot<T>(RefCell<Option<T>>);

impl<T> Slot<T> {
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    fn fill(&self, task: T) {
        *self.0.borrow_mut() = Some(task);
    }

    fn with<R>(&self, call: impl FnOnce(&mut T) -> crate::Result<R>) -> Result<R> {
        match self.0.borrow_mut().as_mut() {
            Some(task) => Ok(call(task)?),
            None => Err(Failure::Fatal("the task was not started".to_owned())),
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

pub fn is_source<T: SourceTask>() {}

pub fn is_sink<T: SinkTask>() {}

/// Everything that `describe` answers.
pub struct Described {
    pub about: Description,
    pub definitions: Vec<Definition>,
}

pub fn describe<C: Connector>() -> Described {
    logging::refresh();
    Described {
        about: C::describe(),
        definitions: C::Config::definitions(),
    }
}

pub fn validate<C: Connector>(config: Config) -> Vec<Issue> {
    logging::refresh();
    match C::Config::parse(&RawConfig::from_wire(config)) {
        Ok(config) => C::validate(&config),
        Err(errors) => errors
            .into_iter()
            .map(|e| Issue::new(e.key, e.message))
            .collect(),
    }
}

pub fn plan<C: Connector>(
    config: Config,
    max_tasks: u32,
    positions: &[(String, String)],
) -> Result<Vec<Config>> {
    logging::refresh();
    let raw = RawConfig::from_wire(config);
    let request = PlanRequest {
        config: &parse::<C>(&raw)?,
        raw: &raw,
        max_tasks: usize::try_from(max_tasks.max(1)).unwrap_or(usize::MAX),
        positions: &Positions::from_wire(positions)?,
    };
    Ok(C::plan(&request)?
        .into_iter()
        .map(RawConfig::into_wire)
        .collect())
}

pub fn alter_offsets<C: Connector>(
    config: Config,
    offsets: &[(String, Option<String>)],
) -> Result<bool> {
    logging::refresh();
    let config = parse::<C>(&RawConfig::from_wire(config))?;
    let read = |(partition, offset): &(String, Option<String>)| {
        let offset = offset.as_deref().map(Offset::from_json).transpose()?;
        Ok((Partition::from_json(partition)?, offset))
    };
    let offsets = offsets
        .iter()
        .map(read)
        .collect::<crate::Result<Vec<_>>>()?;
    Ok(C::alter_offsets(&config, &offsets)?)
}

pub fn start_source<T: SourceTask>(
    slot: &Slot<T>,
    config: Config,
    context: &Context,
    positions: &[(String, String)],
) -> Result<()> {
    logging::refresh();
    let config = parse::<T>(&RawConfig::from_wire(config))?;
    slot.fill(T::start(
        config,
        context,
        &Positions::from_wire(positions)?,
    )?);
    Ok(())
}

pub fn poll<T: SourceTask>(slot: &Slot<T>, max_records: u32, max_bytes: u32) -> Result<Poll> {
    let limit = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let limits = Limits {
        max_records: limit(max_records),
        max_bytes: limit(max_bytes),
    };
    slot.with(|task| task.poll(limits))
}

pub fn committed<T: SourceTask>(slot: &Slot<T>, positions: &[(String, String)]) -> Result<()> {
    logging::refresh();
    let positions = Positions::from_wire(positions)?;
    slot.with(|task| task.committed(&positions))
}

pub fn stop_source<T: SourceTask>(slot: &Slot<T>) {
    logging::refresh();
    if let Some(mut task) = slot.take() {
        task.stop();
    }
}

pub fn start_sink<T: SinkTask>(slot: &Slot<T>, config: Config, context: &Context) -> Result<()> {
    logging::refresh();
    let config = parse::<T>(&RawConfig::from_wire(config))?;
    slot.fill(T::start(config, context)?);
    Ok(())
}

pub fn open<T: SinkTask>(slot: &Slot<T>, partitions: &[TopicPartition]) -> Result<Vec<Position>> {
    logging::refresh();
    slot.with(|task| task.open(partitions))
}

pub fn put<T: SinkTask>(slot: &Slot<T>, batch: Held) -> Result<Vec<Errant>> {
    let batch = Batch(batch);
    slot.with(|task| task.put(&batch))
}

pub fn flush<T: SinkTask>(slot: &Slot<T>, accepted: &[Position]) -> Result<Flushed> {
    logging::refresh();
    slot.with(|task| task.flush(accepted))
}

pub fn close<T: SinkTask>(slot: &Slot<T>, partitions: &[TopicPartition]) -> Result<()> {
    logging::refresh();
    slot.with(|task| task.close(partitions))
}

pub fn stop_sink<T: SinkTask>(slot: &Slot<T>) {
    logging::refresh();
    if let Some(mut task) = slot.take() {
        task.stop();
    }
}

pub fn parse<C: Connector>(raw: &RawConfig) -> crate::Result<C::Config> {
    C::Config::parse(raw).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ConfigError::to_string).collect();
        crate::Failure::fatal(all.join("; "))
    })
}
