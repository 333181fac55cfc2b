//! What becomes of a put that the database does not take.

use std::time::Duration;

use tidegate_sdk::sql::SqlError;
use tidegate_sdk::testing::{Database, SinkTest, TestRecord};

use super::harness::{config, database, sink};
use crate::SqlSink;

fn busy() -> SqlError {
    SqlError::Unavailable("locked".into())
}

#[test]
fn a_busy_database_is_tried_again_and_a_refusal_is_not() {
    let database = database();
    let mut sink = sink(&[]);
    database.fail_next(busy());
    let failure = sink.put("t", [TestRecord::text("a")]).unwrap_err();
    assert_eq!(failure.pause(), Some(Duration::from_millis(3000)));
    assert!(failure.reason().contains("locked"), "{failure}");
    // The second put finds the table that the first one made.
    sink.put("t", [TestRecord::text("a")]).unwrap();
    sink.put("t", [TestRecord::text("a")]).unwrap();
    database.fail_next(SqlError::Rejected {
        code: "13".into(),
        message: "full".into(),
    });
    let failure = sink.put("t", [TestRecord::text("a")]).unwrap_err();
    assert!(
        !failure.is_retriable() && failure.reason().contains("write table t"),
        "{failure}"
    );
}

#[test]
fn tries_have_an_end() {
    let database = database();
    let mut sink = sink(&[("flush.max.retries", "2"), ("retry.backoff.ms", "5")]);
    let mut put = |fails: bool| {
        if fails {
            database.fail_next(busy());
        }
        sink.put("t", [TestRecord::text("a")])
    };
    for _ in 0..2 {
        for _ in 0..2 {
            let failure = put(true).unwrap_err();
            assert_eq!(failure.pause(), Some(Duration::from_millis(5)));
        }
        // One that succeeds begins the count anew.
        put(false).unwrap();
    }
    put(true).unwrap_err();
    put(true).unwrap_err();
    let failure = put(true).unwrap_err();
    assert!(!failure.is_retriable());
    assert!(
        failure.reason().contains("2 times (max.retries)"),
        "{failure}"
    );
}

#[test]
fn other_databases_are_named() {
    Database::install("connection.url", "oracle");
    let failure = SinkTest::<SqlSink>::start(config(&[])).err().unwrap();
    assert!(failure.reason().contains("oracle"), "{failure}");
}
