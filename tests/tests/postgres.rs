//! The PostgreSQL dialect against a real server.

#[path = "postgres/harness.rs"]
mod harness;
#[path = "postgres/transactions.rs"]
mod transactions;
