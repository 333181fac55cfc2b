//! A sink that does as little as a sink can: `bench boundary` measures with it what it costs to
//! bring records into the sandbox. Each put reads the values once, raw, and looks at their lengths.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code)]

use std::hint::black_box;

use tidegate_sdk::bindings::records::{Batch, Encoding, Part};
use tidegate_sdk::bindings::sink_world as world;
use tidegate_sdk::bindings::sink_world::exports::tidegate::connect::{
    connector::{self, Description, Issue},
    sink_task::{self, Flushed},
};
use tidegate_sdk::bindings::types::{Config, Context, Errant, Failure, Position, TopicPartition};

struct Sink;

impl connector::Guest for Sink {
    fn describe() -> Description {
        Description {
            name: "boundary-sink".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "Reads values and forgets them.".to_owned(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            wants: Vec::new(),
            exactly_once: false,
            own_transactions: false,
            replan_interval: None,
        }
    }

    fn validate(_: Config) -> Vec<Issue> {
        Vec::new()
    }

    fn plan(config: Config, _: u32, _: Vec<(String, String)>) -> Result<Vec<Config>, Failure> {
        Ok(vec![config])
    }

    fn alter_offsets(_: Config, _: Vec<(String, Option<String>)>) -> Result<bool, Failure> {
        Ok(true)
    }
}

impl sink_task::Guest for Sink {
    fn start(_: Config, _: Context) -> Result<(), Failure> {
        Ok(())
    }

    fn open(_: Vec<TopicPartition>) -> Result<Vec<Position>, Failure> {
        Ok(Vec::new())
    }

    fn put(rows: Batch) -> Result<Vec<Errant>, Failure> {
        let columns = rows.read(Part::VALUES, Encoding::Raw, Encoding::Raw)?;
        let bytes: i64 = columns.values.lengths.iter().copied().map(i64::from).sum();
        // Without this the compiler may leave the sum out.
        black_box(bytes);
        Ok(Vec::new())
    }

    fn flush(accepted: Vec<Position>) -> Result<Flushed, Failure> {
        Ok(Flushed {
            durable: accepted,
            errants: Vec::new(),
        })
    }

    fn close(_: Vec<TopicPartition>) -> Result<(), Failure> {
        Ok(())
    }

    fn stop() {}
}

world::__export_sink_world!(Sink with_types_in world);
