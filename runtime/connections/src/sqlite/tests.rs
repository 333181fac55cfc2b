//! Sessions over real files.

mod harness;
mod ledger;
mod modes;
mod refusals;
mod tables;
mod transactions;
mod values;
