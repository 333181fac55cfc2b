//! SQLite, the embedded database.

mod authorizer;
mod bind;
mod database;
mod doomed;
mod error;
mod foreign;
mod identifier;
mod ledger;
mod link;
mod plan;
mod refusal;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use database::SqliteDatabase;
