//! The records of `bench sql`: rows as JSON with a schema, which Kafka Connect's database sinks need.

use std::fmt::Write;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::Deserialize;

/// Where they are.
pub const TOPIC: &str = "bench-rows";

const SCHEMA: &str = r#"{"schema":{"type":"struct","name":"row","optional":false,"fields":[{"field":"id","type":"int32","optional":false},{"field":"name","type":"string","optional":false},{"field":"amount","type":"double","optional":false},{"field":"ts","type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1}]},"payload":"#;

/// 2026-09-21, in milliseconds.
const FIRST_TS: u64 = 1_790_000_000_000;

/// A row as a program reads it that knows what it reads.
#[derive(Deserialize)]
pub struct Row<'a> {
    pub id: i32,
    pub name: &'a str,
    pub amount: f64,
    pub ts: i64,
}

/// What surrounds it.
#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub payload: Row<'a>,
}

/// The table for them.
pub fn create(table: &str) -> String {
    format!(
        "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id integer PRIMARY KEY, \
         name text NOT NULL, amount double precision NOT NULL, ts timestamptz NOT NULL)"
    )
}

/// Puts rows 0 to `rows` - 1 into the topic.
pub fn produce(bootstrap: &str, rows: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("linger.ms", "5")
        .create()
        .unwrap();
    let mut value = String::new();
    for id in 0..rows {
        value.clear();
        write!(
            value,
            r#"{SCHEMA}{{"id":{id},"name":"customer number {id:09}","amount":{}.25,"ts":{}}}}}"#,
            id % 100_000,
            FIRST_TS + id as u64
        )
        .unwrap();
        let mut record = BaseRecord::<(), str>::to(TOPIC).payload(&value);
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(5));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}
