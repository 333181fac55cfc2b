//! The pure part of Tidegate: what things are called, what they look like and what is decided
//! about them. Nothing here does I/O, reads a clock or knows a runtime.
#![forbid(unsafe_code)]

pub mod batch;
pub mod columns;
pub mod config;
pub mod config_log;
pub mod connector_config;
pub mod definition;
pub mod error_handling;
pub mod exactly_once;
pub mod failpoint;
pub mod herder;
pub mod names;
pub mod offset;
pub mod plugin;
pub mod retry;
pub mod state;
pub mod topic_pattern;
