//! The sandbox: compiles connector components, runs each task's instance in a store of its own
//! under limits, and offers it the host interfaces. No other crate knows wasmtime.
#![deny(unsafe_code)]

mod batch;
mod bindings;
mod call;
mod compile;
mod component;
mod cpu_meter;
mod engine;
mod error;
mod host_intake;
mod host_log;
mod host_records;
mod host_sql;
mod limits;
mod links;
mod plugin;
mod precompiled;
mod sink;
mod source;
mod source_columns;
mod sql;
mod state;
mod stdio;
mod wasi;

pub use batch::{SinkBatch, TopicPartition};
pub use compile::{CompileError, CompilerCommand, compile_child};
pub use cpu_meter::CpuMeter;
pub use engine::{Sandbox, SandboxError, SandboxOptions};
pub use error::CallError;
pub use limits::Limits;
pub use plugin::{LoadError, LoadTimings, Planned, Plugin};
pub use sink::{Flushed, LateErrant, SinkTask};
pub use source::{Polled, SourceTask};
pub use sql::{
    Column, Errant, LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition,
    LedgerSpan, LedgerStart, NoSql, SqlConnection, SqlCursor, SqlError, SqlFuture, SqlSession,
    SqlValue, Table, ValueSource, Write,
};
pub use state::{TaskContext, TaskSetup};
pub use wasi::{DirectoryGrant, FileAccess};
