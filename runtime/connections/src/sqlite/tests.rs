//! Sessions over real files.

mod harness;
mod ledger;
mod refusals;
mod tables;
mod transactions;
mod values;
