//! A source that does as little as a source can: `bench boundary` measures with it what it costs
//! to bring records out of the sandbox. Each poll answers a copy of one batch of `rows` records of
//! `bytes` bytes; without rows it answers that it is idle.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code)]

use std::cell::RefCell;

use tidegate_sdk::bindings::records::{ByteColumn, Columns, Encoding};
use tidegate_sdk::bindings::source_world as world;
use tidegate_sdk::bindings::source_world::exports::tidegate::connect::{
    connector::{self, Description, Issue},
    source_task::{self, Boundary, Checkpoint, Polled, Rows},
};
use tidegate_sdk::bindings::types::{Config, Context, Failure};

struct Source;

/// What every poll copies; none: idle.
type Prepared = Option<(Columns, Checkpoint)>;

thread_local! {
    static PREPARED: RefCell<Prepared> = const { RefCell::new(None) };
}

impl connector::Guest for Source {
    fn describe() -> Description {
        Description {
            name: "boundary-source".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documentation: "Answers the same batch again and again.".to_owned(),
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

impl source_task::Guest for Source {
    fn start(config: Config, _: Context, _: Vec<(String, String)>) -> Result<(), Failure> {
        let rows = number(&config, "rows")?;
        let bytes = number(&config, "bytes")?;
        PREPARED.set((rows > 0).then(|| (columns(rows, bytes), checkpoint(rows))));
        Ok(())
    }

    fn poll(_: u32, _: u32) -> Result<Polled, Failure> {
        Ok(PREPARED.with_borrow(|prepared| match prepared {
            Some((columns, checkpoint)) => {
                Polled::Records((Rows::Built(columns.clone()), vec![checkpoint.clone()]))
            }
            None => Polled::Idle(0),
        }))
    }

    fn committed(_: Vec<(String, String)>) -> Result<(), Failure> {
        Ok(())
    }

    fn stop() {}
}

fn number(config: &Config, key: &str) -> Result<u16, Failure> {
    let value = config.iter().find(|(known, _)| known == key);
    value
        .and_then(|(_, value)| value.parse().ok())
        .ok_or_else(|| Failure::Fatal(format!("{key} has to be a number below 65536")))
}

fn columns(rows: u16, bytes: u16) -> Columns {
    Columns {
        rows: rows.into(),
        topics: vec!["boundary".to_owned()],
        topic: Vec::new(),
        partitions: Vec::new(),
        offsets: Vec::new(),
        timestamps: Vec::new(),
        key_encoding: Encoding::Raw,
        keys: ByteColumn {
            lengths: Vec::new(),
            data: Vec::new(),
        },
        value_encoding: Encoding::Raw,
        values: ByteColumn {
            lengths: vec![bytes.into(); rows.into()],
            data: vec![b'x'; usize::from(rows) * usize::from(bytes)],
        },
        headers: None,
        schemas: vec![r#"{"type":"string","optional":false}"#.to_owned()],
        key_schema: Vec::new(),
        value_schema: Vec::new(),
    }
}

fn checkpoint(rows: u16) -> Checkpoint {
    Checkpoint {
        rows: rows.into(),
        partition: r#"{"boundary":0}"#.to_owned(),
        offset: r#"{"n":1}"#.to_owned(),
        boundary: Boundary::None,
    }
}

world::__export_source_world!(Source with_types_in world);
