//! SQLite, the embedded database.

mod authorizer;
mod bind;
mod connection;
mod error;
mod identifier;
mod insert;
mod link;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use connection::SqliteConnection;
pub(crate) use link::Link;
