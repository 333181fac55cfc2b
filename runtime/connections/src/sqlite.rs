//! SQLite, the embedded database.

mod authorizer;
mod bind;
mod cursor;
mod database;
mod doomed;
mod error;
mod foreign;
mod identifier;
mod ledger;
mod link;
mod plan;
mod query;
mod read_rows;
mod refusal;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use database::SqliteDatabase;
