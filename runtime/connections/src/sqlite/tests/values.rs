//! What becomes of values.

use std::sync::Arc;

use num_bigint::BigInt;
use rusqlite::types::Value as Stored;
use tidegate_convert::{Decimal, Field, Schema, Struct, Type, Value, schema};
use tidegate_sandbox::{SqlError, ValueSource};

use super::harness::{Files, batch, commit, field, insert, insert_v, strings};

fn text(text: &str) -> Stored {
    Stored::Text(text.into())
}

fn field_of(name: &str, schema: Schema) -> Field {
    Field {
        name: name.into(),
        schema: Arc::new(schema.optional()),
    }
}

#[tokio::test]
async fn every_kind_of_value_is_stored() {
    let date = |name| Schema::new(Type::Int64).named(name, 1);
    let inner = Arc::new(Schema::structure(vec![
        field_of("d", date(schema::DATE)),
        field_of("f", Schema::new(Type::Float64)),
    ]));
    let inner_value = Value::Struct(Struct::new(
        Arc::clone(&inner),
        vec![Value::Date(0), Value::Float64(f64::NAN)],
    ));
    let map = Value::Map(vec![(Value::String("k".into()), Value::Int8(1))]);
    let decimal = Decimal::new(BigInt::from(1250), 2);
    let int = |kind| Schema::new(kind);
    let cases: Vec<(Schema, Value, Stored)> = vec![
        (int(Type::Int8), Value::Null, Stored::Null),
        (int(Type::Boolean), Value::Boolean(true), Stored::Integer(1)),
        (
            int(Type::Boolean),
            Value::Boolean(false),
            Stored::Integer(0),
        ),
        (int(Type::Int8), Value::Int8(-8), Stored::Integer(-8)),
        (int(Type::Int16), Value::Int16(-16), Stored::Integer(-16)),
        (int(Type::Int32), Value::Int32(-32), Stored::Integer(-32)),
        (
            int(Type::Int64),
            Value::Int64(i64::MIN),
            Stored::Integer(i64::MIN),
        ),
        (int(Type::Float32), Value::Float32(0.5), Stored::Real(0.5)),
        (int(Type::Float64), Value::Float64(0.1), Stored::Real(0.1)),
        (
            int(Type::Float64),
            Value::Float64(f64::INFINITY),
            Stored::Real(f64::INFINITY),
        ),
        (
            int(Type::String),
            Value::String("a\0'é\"".into()),
            text("a\0'é\""),
        ),
        (
            int(Type::Bytes),
            Value::Bytes(vec![0, 255]),
            Stored::Blob(vec![0, 255]),
        ),
        (Schema::decimal(2), Value::Decimal(decimal), text("12.50")),
        (date(schema::DATE), Value::Date(0), text("1970-01-01")),
        (date(schema::TIME), Value::Date(1), text("00:00:00.001")),
        (
            date(schema::TIMESTAMP),
            Value::Date(0),
            text("1970-01-01T00:00:00.000Z"),
        ),
        (
            Schema::array(None),
            Value::Array(vec![Value::Null, Value::String("x".into())]),
            text(r#"[null,"x"]"#),
        ),
        (Schema::map(None, None), map, text(r#"{"k":1}"#)),
        (
            (*inner).clone(),
            inner_value,
            text(r#"{"d":"1970-01-01","f":"NaN"}"#),
        ),
    ];
    let names: Vec<String> = (0..cases.len()).map(|case| format!("c{case}")).collect();
    let fields = names.iter().zip(&cases);
    let schema = Arc::new(Schema::structure(
        fields
            .map(|(n, case)| field_of(n, case.0.clone()))
            .collect(),
    ));
    let row = Struct::new(
        Arc::clone(&schema),
        cases.iter().map(|case| case.1.clone()).collect(),
    );

    let files = Files::new();
    let (session, connection) = files.connect().await;
    // No type: SQLite stores what it is given.
    files.execute(&format!("CREATE TABLE t ({})", names.join(",")));
    let columns: Vec<_> = names.iter().map(|n| (n.as_str(), field(n))).collect();
    let how = insert("t", &columns);
    let rows = batch(Some(schema), vec![Value::Struct(row)]);
    assert_eq!(connection.write(rows, None, how).await, Ok(vec![]));
    commit(&session).await.unwrap();
    for (name, case) in names.iter().zip(cases) {
        assert_eq!(files.query(&format!("SELECT {name} FROM t")), [case.2]);
    }
}

#[tokio::test]
async fn sources_beside_the_value() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (k, v, topic, partition, offset, at)");
    let how = insert(
        "t",
        &[
            ("k", ValueSource::Key),
            ("v", ValueSource::Value),
            ("topic", ValueSource::Topic),
            ("partition", ValueSource::Partition),
            ("offset", ValueSource::Offset),
            ("at", ValueSource::Timestamp),
        ],
    );
    let rows = strings(&["none", "some", "more"]);
    let written = connection.write(rows, Some(vec![0, 2]), how).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await.unwrap();
    assert_eq!(
        files.query(
            "SELECT concat_ws('|', hex(k), typeof(k), v, topic, partition, offset, \
             coalesce(at, 'null')) FROM t"
        ),
        [
            text("00|blob|none|t|3|100|null"),
            text("02|blob|more|t|3|102|1970-01-01T00:00:00.001Z")
        ]
    );
}

#[tokio::test]
async fn fields_descend_and_missing_ones_are_null() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute("CREATE TABLE t (a, b)");
    let inner = Value::Map(vec![(Value::String("x".into()), Value::Int8(7))]);
    let outer = Value::Map(vec![(Value::String("in".into()), inner)]);
    let how = insert("t", &[("a", field("in.x")), ("b", field("in.none"))]);
    let rows = batch(None, vec![outer, Value::Null, Value::Int8(1)]);
    let errants = connection.write(rows, None, how).await.unwrap();
    commit(&session).await.unwrap();
    assert_eq!(files.query("SELECT a || typeof(b) FROM t"), [text("7null")]);
    let reasons: Vec<_> = errants.iter().map(|e| (e.row, e.reason.as_str())).collect();
    assert!(
        matches!(
            reasons.as_slice(),
            [(1, one), (2, two)] if one.contains("is null") && two.contains("is int8")
        ),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn refused_rows_are_named_and_the_others_written() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    files.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT NOT NULL CHECK (v < 10)); \
         CREATE TRIGGER g BEFORE INSERT ON t WHEN new.v = 5 \
         BEGIN SELECT raise(ABORT, 'no fives'); END",
    );
    let row = |id: Value, v: Value| {
        Value::Map(vec![
            (Value::String("id".into()), id),
            (Value::String("v".into()), v),
        ])
    };
    let rows = batch(
        None,
        vec![
            row(Value::Int8(0), Value::Int8(1)),
            row(Value::Int8(1), Value::Null),
            row(Value::Int8(2), Value::Float64(f64::NAN)),
            row(Value::Int8(0), Value::Int8(1)),
            row(Value::String("x".into()), Value::Int8(1)),
            row(Value::Int8(5), Value::Int8(11)),
            row(Value::Int8(6), Value::Int8(5)),
            row(Value::Int8(7), Value::Int8(2)),
        ],
    );
    let how = insert("t", &[("id", field("id")), ("v", field("v"))]);
    let errants = connection.write(rows, None, how).await.unwrap();
    commit(&session).await.unwrap();
    let expected = [
        (
            1,
            "SQLITE_CONSTRAINT_NOTNULL: NOT NULL constraint failed: t.v",
        ),
        (
            2,
            "column \"v\" of type INT cannot take a value of type float64: SQLite cannot store NaN",
        ),
        (
            3,
            "SQLITE_CONSTRAINT_PRIMARYKEY: UNIQUE constraint failed: t.id",
        ),
        (
            4,
            "SQLITE_MISMATCH: datatype mismatch: column \"id\" of type INTEGER cannot take a \
             value of type string",
        ),
        (
            5,
            "SQLITE_CONSTRAINT_CHECK: CHECK constraint failed: v < 10",
        ),
        (6, "SQLITE_CONSTRAINT_TRIGGER: no fives"),
    ];
    let found: Vec<_> = errants.iter().map(|e| (e.row, e.reason.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(
        files.query("SELECT id FROM t"),
        [Stored::Integer(0), Stored::Integer(7)]
    );
}

#[tokio::test]
async fn a_missing_table_is_no_row_s_fault() {
    let files = Files::new();
    let (session, connection) = files.connect().await;
    let error = connection.write(strings(&["x"]), None, insert_v()).await;
    assert!(
        matches!(
            &error,
            Err(SqlError::Rejected { code, message })
                if code == "SQLITE_ERROR" && message.contains("no such table: main.t")
        ),
        "{error:?}"
    );
    // The write lock is free again, and the put not lost.
    files.execute("CREATE TABLE t (v)");
    let written = connection.write(strings(&["x"]), None, insert_v()).await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await.unwrap();
    assert_eq!(files.query("SELECT v FROM t"), [text("x")]);
}
