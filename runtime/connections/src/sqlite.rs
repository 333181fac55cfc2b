//! SQLite, the embedded database.

mod authorizer;
mod bind;
mod database;
mod error;
mod identifier;
mod insert;
mod link;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use database::SqliteDatabase;
