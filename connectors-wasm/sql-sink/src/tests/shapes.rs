//! Records that do not look alike, in one batch or in several.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_sdk::testing::{Database, TestRecord};

use super::harness::{columns, database, put, rows, sink};

const UPSERT: [(&str, &str); 3] = [
    ("insert.mode", "upsert"),
    ("pk.mode", "record_value"),
    ("pk.fields", "id"),
];
const EVOLVES: (&str, &str) = ("auto.evolve", "true");

fn records(values: &[Value]) -> Vec<TestRecord> {
    values.iter().cloned().map(TestRecord::json).collect()
}

/// The rows that are refused, each with the reason.
fn refused(more: &[(&str, &str)], values: &[Value]) -> Vec<(u32, String)> {
    let errants = put(more, records(values)).into_iter();
    errants.map(|errant| (errant.row, errant.reason)).collect()
}

fn assert_second_is_refused(more: &[(&str, &str)], values: &[Value], reason: &str) {
    let refused = refused(more, values);
    assert!(
        matches!(refused.as_slice(), [(1, found)] if found.contains(reason)),
        "{refused:?}"
    );
}

#[test]
fn a_value_without_fields_among_structs_is_refused_alone() {
    for scalar in [json!(5), json!("text"), json!([1]), json!(true)] {
        let database = database();
        let values = [
            json!({"id": 1, "v": "a"}),
            scalar,
            json!({"id": 3, "v": "c"}),
        ];
        assert_second_is_refused(&[EVOLVES], &values, "has no fields");
        assert_eq!(columns(&database), ["id INTEGER", "v TEXT"]);
        assert_eq!(rows(&database).len(), 2);
        let more = [UPSERT.as_slice(), &[EVOLVES]].concat();
        let database = super::harness::database();
        assert_second_is_refused(&more, &values, "no fields");
        assert_eq!(rows(&database).len(), 2);
    }
}

#[test]
fn names_that_cannot_be_columns_are_their_records_fault() {
    for (dialect, name) in [
        ("postgresql", String::new()),
        ("postgresql", "k".repeat(64)),
        ("postgresql", "a\0b".to_owned()),
        ("sqlite", "k".repeat(1001)),
    ] {
        let database = Database::install("connection.url", dialect);
        let values = [
            json!({"id": 1}),
            json!({"id": 2, name.as_str(): "x"}),
            json!({"id": 3}),
        ];
        assert_second_is_refused(&[EVOLVES], &values, "cannot be a column");
        assert_eq!(rows(&database), [r#"{"id":1}"#, r#"{"id":3}"#]);
    }
}

#[test]
fn a_field_that_the_table_lacks_is_its_record_s_fault() {
    let database = database();
    let values = [
        json!({"id": 1}),
        json!({"id": 2, "extra": "x"}),
        json!({"id": 3}),
    ];
    assert_second_is_refused(&[], &values, "table t lacks extra");
    assert_eq!(rows(&database), [r#"{"id":1}"#, r#"{"id":3}"#]);
}

#[test]
fn a_record_without_what_identifies_its_row_makes_no_table() {
    let database = database();
    for value in [json!({"v": "b"}), json!({"id": null, "v": "b"})] {
        let refused = refused(&UPSERT, &[value]);
        assert!(refused[0].1.contains("has no id"), "{refused:?}");
    }
    assert!(database.table("t").is_none());
}

#[test]
fn fields_that_are_one_column_are_refused_where_cases_do_not_count() {
    let database = database();
    let values = [json!({"id": 1}), json!({"Name": "a", "name": "b"})];
    assert_second_is_refused(&[EVOLVES], &values, "are one column");
    let more = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "ID"),
        ("table.name.format", "u"),
    ];
    let record = TestRecord::json(json!({"id": 1, "v": "x"})).key("k1");
    assert!(put(&more, [record]).is_empty());
    let row: Vec<_> = database.rows("u")[0].clone().into_iter().collect();
    assert_eq!(row, [("ID".into(), json!("k1")), ("v".into(), json!("x"))]);
}

#[test]
fn keys_of_different_structure_are_taken_each_for_itself() {
    let database = database();
    let record = |key: Value| TestRecord::json(json!({"v": 1})).json_key(key);
    let more = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
    ];
    let errants = put(
        &more,
        [
            record(json!("a")),
            record(json!({"id": "b"})),
            TestRecord::json(json!({"v": 1})),
            record(json!({"other": "c"})),
        ],
    );
    let refused: Vec<_> = errants.iter().map(|errant| errant.row).collect();
    assert_eq!(refused, [2, 3], "{errants:?}");
    assert_eq!(
        rows(&database),
        [r#"{"id":"a","v":1}"#, r#"{"id":"b","v":1}"#]
    );
}

#[test]
fn debezium_s_class_has_no_points_in_tables() {
    for (class, table) in [
        ("io.debezium.connector.jdbc.JdbcSinkConnector", "a_b_c"),
        ("JdbcSink", "a.b.c"),
    ] {
        let database = database();
        let mut sink = sink(&[("connector.class", class)]);
        sink.put("a.b.c", records(&[json!({"id": 1})])).unwrap();
        assert!(database.table(table).is_some(), "{class}");
    }
}

#[test]
fn a_column_waits_for_its_first_value() {
    let database = database();
    let values = [json!({"id": 1, "v": null}), json!({"id": 2, "v": 1.5})];
    assert_eq!(refused(&[EVOLVES], &values), []);
    assert_eq!(columns(&database), ["id INTEGER", "v REAL"]);
    let nothing = refused(&[EVOLVES], &[json!({"w": null})]);
    assert!(nothing[0].1.contains("nothing but nulls"), "{nothing:?}");
}

/// Records of fields that are there or not, with some that nobody can write.
fn value() -> impl Strategy<Value = Value> {
    let field = |name: &'static str| {
        prop_oneof![
            3 => Just(Some((name, json!(1)))),
            2 => Just(Some((name, json!(2)))),
            1 => Just(Some((name, Value::Null))),
            3 => Just(None),
        ]
    };
    let object = (
        prop_oneof![8 => Just(Some(1)), 8 => Just(Some(2)), 1 => Just(None)],
        field("a"),
        field("b"),
        field("c"),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(id, a, b, c, is_bad)| {
            let mut object = serde_json::Map::new();
            if let Some(id) = id {
                object.insert("id".into(), json!(id));
            }
            for (name, value) in [a, b, c].into_iter().flatten() {
                object.insert(name.into(), value);
            }
            if is_bad {
                object.insert(String::new(), json!("x"));
            }
            Value::Object(object)
        });
    prop_oneof![9 => object, 1 => Just(json!(5)), 1 => Just(json!("x"))]
}

/// What comes of records in batches that end where `ends` say: columns, rows, and who is refused.
fn outcome(
    more: &[(&str, &str)],
    values: &[Value],
    ends: &[bool],
) -> (Vec<String>, Vec<String>, Vec<usize>) {
    let database = database();
    let mut sink = sink(more);
    let (mut start, mut refused) = (0, Vec::new());
    for end in 1..=values.len() {
        if end < values.len() && !ends[end % ends.len()] {
            continue;
        }
        let errants = sink.put("t", records(&values[start..end])).unwrap();
        refused.extend(errants.iter().map(|errant| start + errant.row as usize));
        start = end;
    }
    let columns = match database.table("t") {
        Some(_) => columns(&database),
        None => Vec::new(),
    };
    // To columns without a default, null is as good as nothing.
    let mut rows = database.rows("t");
    for row in &mut rows {
        row.retain(|_, cell| !cell.is_null());
    }
    let rows = rows
        .into_iter()
        .map(|row| Value::from_iter(row).to_string());
    (columns, rows.collect(), refused)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn where_batches_end_does_not_matter(
        values in prop::collection::vec(value(), 1..9),
        ends in prop::collection::vec(any::<bool>(), 1..9),
        mode in 0..4,
        evolves in any::<bool>(),
    ) {
        let mut more = match mode {
            0 => Vec::new(),
            1 => UPSERT.to_vec(),
            2 => vec![("insert.mode", "update"), UPSERT[1], UPSERT[2]],
            _ => vec![UPSERT[0], UPSERT[1]],
        };
        more.push(("auto.evolve", if evolves { "true" } else { "false" }));
        let alone = outcome(&more, &values, &[true]);
        let all = outcome(&more, &values, &[false]);
        prop_assert_eq!(&all, &alone);
        prop_assert_eq!(&outcome(&more, &values, &ends), &alone);
    }
}
