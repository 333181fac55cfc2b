//! What is written, against a database that lives in the test.

mod failures;
mod harness;
mod identities;
mod rows;
mod shapes;
mod tables;
mod validation;
