//! PostgreSQL.

mod binary_text;
mod connect;
mod database;
mod decode;
mod encode;
mod error;
mod identifier;
mod iso;
mod ledger;
mod link;
mod parameters;
mod query;
mod server;
mod table;
mod tls;
mod types;
pub(crate) mod url;
mod write;

pub(crate) use database::PostgresDatabase;
pub(crate) use link::ServerPool;
pub(crate) use server::Server;
