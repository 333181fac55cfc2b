//! The PostgreSQL dialect against a real server.

#[path = "postgres/harness.rs"]
mod harness;
#[path = "postgres/ledger.rs"]
mod ledger;
#[path = "postgres/links.rs"]
mod links;
#[path = "postgres/modes.rs"]
mod modes;
#[path = "postgres/order.rs"]
mod order;
#[path = "postgres/queries.rs"]
mod queries;
#[path = "postgres/refusals.rs"]
mod refusals;
#[path = "postgres/shapes.rs"]
mod shapes;
#[path = "postgres/tables.rs"]
mod tables;
#[path = "postgres/transactions.rs"]
mod transactions;
#[path = "postgres/values.rs"]
mod values;
