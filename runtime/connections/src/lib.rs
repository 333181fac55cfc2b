//! Databases that guests reach through the host.
//!
//! A task has one session ([`session()`]): the connections that its configuration declares, and
//! one transaction over what the current put wrote. The guest names tables, columns and rows;
//! every statement is built here.
#![forbid(unsafe_code)]

mod cut_off;
mod database;
mod fields;
mod grant;
mod members;
mod pools;
mod postgres;
mod redact;
mod row_values;
mod session;
mod settings;
mod sqlite;
mod url;

pub use pools::Pools;
pub use redact::redacted;
pub use session::{check, session};
pub use settings::{ConnectionSettings, SessionSettings};
