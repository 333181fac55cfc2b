//! Sessions over real files.

mod harness;
mod ledger;
mod modes;
mod queries;
mod refusals;
mod shapes;
mod tables;
mod transactions;
mod values;
