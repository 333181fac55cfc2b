//! SQLite, the embedded database.

mod authorizer;
mod bind;
mod database;
mod doomed;
mod error;
mod foreign;
mod identifier;
mod insert;
mod ledger;
mod link;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use database::SqliteDatabase;
