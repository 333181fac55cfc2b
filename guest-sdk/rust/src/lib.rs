//! Write Tidegate connectors in Rust.
//!
//! A connector is a struct that says what it is ([`Connector`]) and does the work of one task
//! ([`SourceTask`] or [`SinkTask`]). [`export_source!`] or [`export_sink!`] makes a WebAssembly
//! component of it. Records travel in columns; this crate shows them as rows, so that a
//! connector sees [`Records`] it fills and [`Rows`] it iterates over.
//!
//! On a native target the same code runs in the harness of [`testing`], without a runtime.
//! `docs/writing-a-connector.md` is the tutorial.

extern crate self as tidegate_sdk;

mod batch;
mod columns;
mod connector;
mod export;
mod failure;
mod logging;
mod position;
mod records;
mod rows;
mod sink;
mod source;

pub mod config;
pub mod prelude;
pub mod sql;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use batch::{Batch, Encoding, Field, Read};
pub use config::{ConfigChoice, ConfigError, ConfigValue, ConnectorConfig, Password, RawConfig};
pub use connector::{Connector, Description, Issue, PlanRequest};
pub use failure::{Failure, OrFail, Result};
pub use position::{Offset, Partition, Positions};
pub use records::{RecordBuilder, Records};
pub use rows::{Header, Headers, Row, Rows};
pub use sink::{Errant, Flushed, LateErrant, NextOffset, SinkTask, TopicPartition};
pub use source::{Boundary, Limits, Poll, SourceTask};

/// What a task knows about itself.
pub use bindings::types::Context as TaskContext;

/// The generated code of the contract, for guests that must step around this crate.
pub mod bindings {
    pub use tidegate_sink_world as sink_world;
    pub use tidegate_source_world as source_world;
    pub use tidegate_source_world::tidegate::connect::{log, records, sql, types};
}

#[doc(hidden)]
pub use export::glue as __glue;
