//! What the whole-system tests stand on: a real Kafka, the real `tidegate` binary, and the means
//! to hurt both. Nothing here knows the insides of the runtime; it speaks REST, Kafka and signals.

pub mod broker;
pub mod brokers;
pub mod certificates;
pub mod chaos;
pub mod cluster;
pub mod files;
pub mod items;
pub mod java;
pub mod kafka;
pub mod lost_answers;
pub mod meter;
pub mod paths;
pub mod pgbouncer;
pub mod ports;
pub mod postgres;
pub mod postgres_client;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod scratch;
pub mod simulation;
pub mod small_disk;
pub mod streams;
pub mod tally;
pub mod target;
pub mod wait;
pub mod worker;
