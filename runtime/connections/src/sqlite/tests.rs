//! Sessions over real files.

mod harness;
mod refusals;
mod tables;
mod transactions;
mod values;
