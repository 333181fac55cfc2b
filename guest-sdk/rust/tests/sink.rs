//! What a sink sees of a batch, and what becomes of what it answers.

use std::cell::RefCell;

use serde_json::json;
use tidegate_sdk::prelude::*;
use tidegate_sdk::testing::{self, SinkTest, TestRecord};
use tidegate_sdk::{Encoding, LateErrant};

#[derive(ConnectorConfig)]
struct Config;

struct Probe;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Connector for Probe {
    type Config = Config;

    fn describe() -> Description {
        Description::new("probe", "1.0.0")
    }
}

impl SinkTask for Probe {
    fn start(_: Config, context: &TaskContext) -> Result<Self> {
        log::info!(task = context.task; "started");
        Ok(Self)
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        for row in &batch.rows()? {
            let headers: Vec<_> = row
                .headers
                .clone()
                .map(|h| format!("{}={:?}", h.key, h.value))
                .collect();
            let text = format!(
                "{}/{}@{} {:?} {:?} {}",
                row.topic,
                row.partition.unwrap_or(-1),
                row.offset.unwrap_or(-1),
                row.key.map(String::from_utf8_lossy),
                row.value_str()?,
                headers.join(",")
            );
            SEEN.with_borrow_mut(|seen| seen.push(text));
        }
        let mut errants = Vec::new();
        for row in &batch.read(Read::values(Encoding::Json))? {
            if let Err(failure) = row.value_as::<Option<String>>() {
                errants.push(Errant {
                    row: row.index,
                    reason: failure.to_string(),
                });
            }
        }
        Ok(errants)
    }

    fn flush(&mut self, accepted: &[NextOffset]) -> Result<Flushed> {
        let late = |position: &NextOffset| LateErrant {
            at: position.at.clone(),
            offset: position.next_offset - 1,
            reason: "late".into(),
        };
        Ok(Flushed {
            durable: accepted.to_vec(),
            errants: accepted.iter().map(late).collect(),
        })
    }
}

#[test]
fn rows_have_all_their_parts() {
    let mut sink = SinkTest::<Probe>::start(RawConfig::default()).unwrap();
    let records = [
        TestRecord::text("a")
            .key("k")
            .header("h", b"1")
            .header("i", b"2"),
        TestRecord::tombstone().partition(1),
        TestRecord::json(json!({"x": 1})).header("j", b"3"),
    ];
    let errants = sink.put("t", records).unwrap();
    assert_eq!(errants.len(), 1);
    assert!(errants[0].row == 2 && errants[0].reason.starts_with("read the value: "));
    assert_eq!(
        SEEN.take(),
        [
            "t/0@0 Some(\"k\") Some(\"a\") h=Some([49]),i=Some([50])",
            "t/1@1 None None ",
            "t/0@2 None Some(\"{\\\"x\\\":1}\") j=Some([51])",
        ]
    );
    let flushed = sink.flush().unwrap();
    assert_eq!((flushed.durable.len(), flushed.errants[1].offset), (2, 1));
    assert_eq!(testing::logs(), ["info: started"]);
}

#[test]
fn offsets_go_on_from_batch_to_batch() {
    let mut sink = SinkTest::<Probe>::start(RawConfig::default()).unwrap();
    sink.put("t", [TestRecord::text("a")]).unwrap();
    assert_eq!(sink.put("t", [TestRecord::text("b")]).unwrap().len(), 0);
    assert!(SEEN.take().last().unwrap().starts_with("t/0@1 "));
}
