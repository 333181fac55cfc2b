//! Records that do not have all the fields that are written.

use std::sync::Arc;

use rusqlite::types::Value as Stored;
use tidegate_convert::Value;
use tidegate_sandbox::{SinkBatch, Write};

use super::harness::{Files, batch, commit, field, insert};

fn records(rows: &[&[(&str, Option<i64>)]]) -> Arc<SinkBatch> {
    let row = |fields: &&[(&str, Option<i64>)]| {
        let field = |(name, value): &(&str, Option<i64>)| {
            let value = value.map_or(Value::Null, Value::Int64);
            (Value::String((*name).into()), value)
        };
        Value::Map(fields.iter().map(field).collect())
    };
    batch(None, rows.iter().map(row).collect())
}

/// What the table holds after `rows`, and the rows that were refused.
async fn after(mode: &str, rows: &[&[(&str, Option<i64>)]]) -> (Vec<Stored>, Vec<u32>) {
    let files = Files::new();
    files.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a DEFAULT 7, b)");
    files.execute("INSERT INTO t VALUES (1, 1, 2), (2, 1, 2)");
    let (session, connection) = files.connect().await;
    let how = Write {
        mode: mode.into(),
        identity: match mode {
            "insert" => Vec::new(),
            _ => vec!["id".into()],
        },
        ..insert(
            "t",
            &[("id", field("id")), ("a", field("a")), ("b", field("b"))],
        )
    };
    let errants = connection.write(records(rows), None, how).await.unwrap();
    commit(&session).await.unwrap();
    let all = "SELECT id || ':' || coalesce(a, '') || ':' || coalesce(b, '') FROM t ORDER BY id";
    let refused = errants.iter().map(|errant| errant.row).collect();
    (files.query(all), refused)
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<Stored> {
    texts.map(|text| Stored::Text(text.into())).to_vec()
}

#[tokio::test]
async fn what_a_record_does_not_have_stays_as_it_is() {
    for mode in ["upsert", "update"] {
        let rows: [&[_]; 3] = [
            &[("id", Some(1)), ("a", Some(5))],
            &[("id", Some(2)), ("b", Some(6))],
            &[("id", Some(2)), ("a", None)],
        ];
        let (found, refused) = after(mode, &rows).await;
        assert_eq!(found, texts(["1:5:2", "2::6"]), "{mode}");
        assert!(refused.is_empty(), "{refused:?}");
    }
}

#[tokio::test]
async fn new_rows_take_the_defaults_of_what_is_not_there() {
    for mode in ["insert", "upsert"] {
        let rows: [&[_]; 3] = [
            &[("id", Some(3)), ("b", Some(1))],
            &[("id", Some(4)), ("a", None)],
            &[("b", Some(1))],
        ];
        let (found, refused) = after(mode, &rows).await;
        match mode {
            "insert" => {
                assert_eq!(found, texts(["1:1:2", "2:1:2", "3:7:1", "4::", "5:7:1"]));
                assert!(refused.is_empty(), "{refused:?}");
            }
            _ => {
                assert_eq!(found, texts(["1:1:2", "2:1:2", "3:7:1", "4::"]));
                assert_eq!(refused, [2]);
            }
        }
    }
}

#[tokio::test]
async fn a_record_with_nothing_to_change_is_errant() {
    let rows: [&[_]; 2] = [&[("id", Some(1))], &[("id", Some(2)), ("a", Some(5))]];
    let (found, refused) = after("update", &rows).await;
    assert_eq!(found, texts(["1:1:2", "2:5:2"]));
    assert_eq!(refused, [0]);
}
