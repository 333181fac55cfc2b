//! What becomes of values.

use std::sync::Arc;

use tidegate_convert::{Decimal, Field, Schema, Struct, Type, Value, schema};
use tidegate_sandbox::{SqlValue, ValueSource};

use super::harness::*;

type Case = (
    &'static str,
    Option<Schema>,
    Value,
    Result<&'static str, &'static str>,
);

fn of(kind: Type) -> Option<Schema> {
    Some(Schema::new(kind))
}

fn named(kind: Type, name: &str) -> Option<Schema> {
    Some(Schema::new(kind).named(name, 1))
}

fn decimal(text: &str) -> Value {
    Value::Decimal(Decimal::parse(text).unwrap())
}

fn array(items: Vec<Value>) -> Value {
    Value::Array(items)
}

fn numbers() -> Vec<Case> {
    vec![
        ("bool", None, Value::Boolean(true), Ok("t")),
        ("bool", None, text("False"), Ok("f")),
        ("bool", None, Value::Int64(1), Err("takes true or false")),
        ("int2", of(Type::Int8), Value::Int8(-8), Ok("-8")),
        (
            "int2",
            None,
            Value::Int64(40_000),
            Err("40000 is out of its range"),
        ),
        ("int4", None, Value::Float64(3.0), Ok("3")),
        ("int4", None, Value::Float64(3.5), Err("whole numbers")),
        (
            "int4",
            None,
            Value::Boolean(true),
            Err("the value, boolean, does not fit the type int4"),
        ),
        (
            "int8",
            None,
            Value::Int64(i64::MIN),
            Ok("-9223372036854775808"),
        ),
        ("int8", None, Value::Float64(9.3e18), Err("whole numbers")),
        ("int8", None, decimal("12.00"), Ok("12")),
        ("int8", None, decimal("12.01"), Err("whole numbers")),
        ("int8", None, text("-7"), Ok("-7")),
        ("int8", None, text("1e3"), Ok("1000")),
        (
            "int8",
            None,
            text("x"),
            Err("the value, string, does not fit the type int8"),
        ),
        ("float4", None, Value::Float32(0.1), Ok("0.1")),
        ("float4", None, Value::Float64(0.1), Ok("0.1")),
        ("float4", None, Value::Float64(1e300), Err("too large")),
        (
            "float4",
            None,
            Value::Int32(16_777_217),
            Err("would be rounded"),
        ),
        ("float8", None, Value::Float64(f64::NAN), Ok("NaN")),
        (
            "float8",
            None,
            Value::Float64(f64::NEG_INFINITY),
            Ok("-Infinity"),
        ),
        ("float8", None, Value::Int64(0), Ok("0")),
        ("float4", None, Value::Int64(i64::MIN), Ok("-9.223372e+18")),
        (
            "float8",
            None,
            Value::Int64(1 << 60),
            Ok("1.152921504606847e+18"),
        ),
        (
            "float8",
            None,
            Value::Int64((1 << 60) + 1),
            Err("would be rounded"),
        ),
        ("float8", None, decimal("0.1"), Ok("0.1")),
        ("float8", None, text("2.5e-3"), Ok("0.0025")),
        ("float8", None, text("1e999"), Err("too large")),
        ("numeric", None, Value::Int64(-120_000), Ok("-120000")),
        ("numeric", None, Value::Int64(0), Ok("0")),
        ("numeric", None, decimal("0.00"), Ok("0.00")),
        ("numeric", None, decimal("-0.00012300"), Ok("-0.00012300")),
        (
            "numeric",
            None,
            decimal("123456789012345678901234567890.5"),
            Ok("123456789012345678901234567890.5"),
        ),
        ("numeric", None, decimal("10000"), Ok("10000")),
        ("numeric", None, decimal("1E+9"), Ok("1000000000")),
        ("numeric", None, Value::Float64(0.1), Ok("0.1")),
        ("numeric", None, Value::Float64(1e-7), Ok("0.0000001")),
        ("numeric", None, Value::Float32(0.1), Ok("0.1")),
        ("numeric", None, Value::Float64(f64::NAN), Ok("NaN")),
        (
            "numeric",
            None,
            Value::Float64(f64::INFINITY),
            Err("finite"),
        ),
        ("numeric", None, decimal("1E+1000000"), Err("more digits")),
        ("numeric", None, text("12.50"), Ok("12.50")),
        ("numeric(10,2)", None, decimal("1.005"), Ok("1.01")),
        ("numeric(4,2)", None, decimal("123"), Err("22003: ")),
    ]
}

fn texts() -> Vec<Case> {
    let uuid = "123e4567-e89b-12d3-a456-426614174000";
    vec![
        ("text", None, text("é'\"\\\n"), Ok("é'\"\\\n")),
        ("text", None, text(""), Ok("")),
        ("text", None, text("a\0b"), Err("NUL")),
        ("text", None, Value::Int64(5), Ok("5")),
        ("text", None, Value::Boolean(true), Ok("true")),
        ("text", None, decimal("12.50"), Ok("12.50")),
        (
            "text",
            named(Type::Int64, schema::TIMESTAMP),
            Value::Date(0),
            Ok("1970-01-01T00:00:00.000Z"),
        ),
        (
            "text",
            None,
            array(vec![Value::Int8(1), Value::Null]),
            Ok("[1,null]"),
        ),
        ("text", None, Value::Bytes(vec![1]), Err("bytea")),
        ("varchar(3)", None, text("abcd"), Err("22001: ")),
        ("char(3)", None, text("a"), Ok("a  ")),
        ("mood", None, text("sad"), Ok("sad")),
        ("mood", None, text("bad"), Err("22P02: ")),
        ("small", None, text("abc"), Ok("abc")),
        ("bytea", None, Value::Bytes(vec![0, 255]), Ok("\\x00ff")),
        ("bytea", None, text("AAEC"), Err("not guessed")),
        ("uuid", None, text(uuid), Ok(uuid)),
        (
            "uuid",
            None,
            text("{123E4567E89B12D3A456426614174000}"),
            Ok(uuid),
        ),
        (
            "uuid",
            None,
            Value::Bytes(vec![1; 16]),
            Ok("01010101-0101-0101-0101-010101010101"),
        ),
        ("timestamp", None, text("infinity"), Ok("infinity")),
        ("timestamptz", None, text("-Infinity"), Ok("-infinity")),
        ("date", None, text("infinity"), Ok("infinity")),
        ("time", None, text("infinity"), Err("time")),
        (
            "timestamp",
            None,
            text("2024-05-01T10:00:00.123456789Z"),
            Ok("2024-05-01 10:00:00.123457"),
        ),
        ("uuid", None, text("123e4567-e89b"), Err("16 bytes")),
        ("json", None, text(r#"{"a": 1}"#), Ok(r#"{"a": 1}"#)),
        ("json", None, text("no json"), Ok("\"no json\"")),
        ("json", None, text("{\"a\": 1"), Err("no valid JSON")),
        ("jsonb", None, text(" [1,"), Err("no valid JSON")),
        ("jsonb", None, text("\"half"), Err("no valid JSON")),
        ("jsonb", None, text("[1, 2]"), Ok("[1, 2]")),
        ("jsonb", None, decimal("12.50"), Ok("12.50")),
        ("jsonb", None, Value::Boolean(true), Ok("true")),
        (
            "jsonb",
            named(Type::Int32, schema::DATE),
            Value::Date(0),
            Ok("\"1970-01-01\""),
        ),
        (
            "jsonb",
            None,
            Value::Map(vec![(text("a"), Value::Float64(f64::NAN))]),
            Ok(r#"{"a": "NaN"}"#),
        ),
        ("inet", None, text("10.0.0.1"), Ok("10.0.0.1")),
        ("inet", None, text("x"), Err("22P02: ")),
        ("interval", None, text("1 day"), Ok("1 day")),
        ("money", None, text("12.50"), Ok("$12.50")),
        ("xml", None, text("<a/>"), Ok("<a/>")),
        ("bit(3)", None, text("101"), Ok("101")),
        ("bit(3)", None, text("1010"), Err("22026: ")),
        ("int4range", None, text("[1,3)"), Ok("[1,3)")),
        ("pair", None, text("(1,x)"), Ok("(1,x)")),
    ]
}

fn times() -> Vec<Case> {
    let date = || named(Type::Int32, schema::DATE);
    let time = || named(Type::Int32, schema::TIME);
    let timestamp = || named(Type::Int64, schema::TIMESTAMP);
    let debezium = |name: &str| named(Type::Int64, &format!("io.debezium.time.{name}"));
    vec![
        ("date", date(), Value::Date(-86_400_000), Ok("1969-12-31")),
        (
            "date",
            timestamp(),
            Value::Date(86_400_000),
            Ok("1970-01-02"),
        ),
        (
            "date",
            timestamp(),
            Value::Date(1),
            Err("the value, Timestamp, does not fit the type date: it takes dates"),
        ),
        ("date", None, text("2024-02-29"), Ok("2024-02-29")),
        ("date", None, text("2023-02-29"), Err("2026-01-31")),
        (
            "date",
            debezium("Date"),
            Value::Int32(19_000),
            Ok("2022-01-08"),
        ),
        ("date", None, Value::Int32(19_000), Err("without a schema")),
        (
            "date",
            date(),
            Value::Date(i64::MAX),
            Err("out of its range"),
        ),
        ("time", time(), Value::Date(1), Ok("00:00:00.001")),
        (
            "time",
            debezium("MicroTime"),
            Value::Int64(1),
            Ok("00:00:00.000001"),
        ),
        (
            "time",
            debezium("Time"),
            Value::Int32(1_000),
            Ok("00:00:01"),
        ),
        ("time", text_only(), text("13:14"), Ok("13:14:00")),
        ("time", timestamp(), Value::Date(1), Err("this has a date")),
        (
            "timestamp",
            timestamp(),
            Value::Date(1_700_000_000_123),
            Ok("2023-11-14 22:13:20.123"),
        ),
        (
            "timestamp",
            None,
            text("2023-11-14T23:13:20.123456+01:00"),
            Ok("2023-11-14 22:13:20.123456"),
        ),
        (
            "timestamp",
            debezium("MicroTimestamp"),
            Value::Int64(-1),
            Ok("1969-12-31 23:59:59.999999"),
        ),
        (
            "timestamp",
            debezium("NanoTimestamp"),
            Value::Int64(1_000),
            Ok("1970-01-01 00:00:00.000001"),
        ),
        (
            "timestamp",
            debezium("NanoTimestamp"),
            Value::Int64(1),
            Err("nanoseconds"),
        ),
        (
            "timestamp",
            date(),
            Value::Date(0),
            Ok("1970-01-01 00:00:00"),
        ),
        (
            "timestamptz",
            timestamp(),
            Value::Date(0),
            Ok("1970-01-01 00:00:00+00"),
        ),
        (
            "timestamptz",
            timestamp(),
            Value::Int64(1),
            Ok("1970-01-01 00:00:00.001+00"),
        ),
        (
            "timestamptz",
            None,
            Value::Date(0),
            Ok("1970-01-01 00:00:00+00"),
        ),
        (
            "timestamptz",
            None,
            text("2023-11-14 22:13:20"),
            Ok("2023-11-14 22:13:20+00"),
        ),
        (
            "timestamptz",
            None,
            Value::Int64(1),
            Err("without a schema"),
        ),
        (
            "timestamptz",
            time(),
            Value::Date(1),
            Err("takes a date too"),
        ),
    ]
}

fn text_only() -> Option<Schema> {
    of(Type::String)
}

fn arrays() -> Vec<Case> {
    let list = |schema: Schema| Some(Schema::array(Some(Arc::new(schema))));
    let dates = list(Schema::new(Type::Int32).named(schema::DATE, 1));
    let stamps = list(Schema::new(Type::Int64).named(schema::TIMESTAMP, 1));
    let uuid = text("123e4567-e89b-12d3-a456-426614174000");
    vec![
        ("int4[]", None, array(vec![]), Ok("{}")),
        (
            "int4[]",
            None,
            array(vec![Value::Int64(1), Value::Null]),
            Ok("{1,NULL}"),
        ),
        ("int4[]", None, array(vec![text("x")]), Err("whole numbers")),
        (
            "int4[]",
            None,
            array(vec![array(vec![])]),
            Err("within arrays"),
        ),
        ("int4[]", None, Value::Int64(1), Err("takes an array")),
        (
            "text[]",
            None,
            array(vec![text("a,\"\\"), text(""), text("NULL")]),
            Ok(r#"{"a,\"\\","","NULL"}"#),
        ),
        (
            "numeric[]",
            None,
            array(vec![decimal("1.50"), Value::Float64(-0.001)]),
            Ok("{1.50,-0.001}"),
        ),
        (
            "float8[]",
            None,
            array(vec![Value::Float64(0.1), Value::Float64(f64::NAN)]),
            Ok("{0.1,NaN}"),
        ),
        ("bool[]", None, array(vec![Value::Boolean(true)]), Ok("{t}")),
        (
            "bytea[]",
            None,
            array(vec![Value::Bytes(vec![1, 2])]),
            Ok(r#"{"\\x0102"}"#),
        ),
        (
            "uuid[]",
            None,
            array(vec![uuid]),
            Ok("{123e4567-e89b-12d3-a456-426614174000}"),
        ),
        (
            "jsonb[]",
            None,
            array(vec![text("{\"a\": 1}")]),
            Ok(r#"{"{\"a\": 1}"}"#),
        ),
        (
            "date[]",
            dates,
            array(vec![Value::Date(0)]),
            Ok("{1970-01-01}"),
        ),
        (
            "timestamptz[]",
            stamps,
            array(vec![Value::Date(1)]),
            Ok("{\"1970-01-01 00:00:00.001+00\"}"),
        ),
        ("mood[]", None, array(vec![text("sad")]), Ok("{sad}")),
        ("small[]", None, array(vec![text("abc")]), Ok("{abc}")),
        ("ints", None, array(vec![Value::Int8(1)]), Ok("{1}")),
    ]
}

/// Each case is a column of its own, written on its own: by COPY and by arrays.
#[tokio::test]
async fn every_kind_of_value_is_stored_or_refused() {
    let database = Database::new();
    database.run_sql(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text); \
         CREATE DOMAIN small AS text CHECK (length(value) < 5); CREATE DOMAIN ints AS int4[]",
    );
    let cases: Vec<Case> = [numbers(), texts(), times(), arrays()].concat();
    let columns = cases.iter().enumerate();
    let columns: Vec<_> = columns
        .map(|(case, (kind, ..))| format!("c{case} {kind}"))
        .collect();
    database.run_sql(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, {})",
        columns.join(", ")
    ));
    let (session, connection) = database.put().await;
    for mode in ["insert", "upsert"] {
        for (case, (kind, schema, value, expected)) in cases.iter().enumerate() {
            let name = format!("c{case}");
            let wanted = Field {
                name: "f".into(),
                schema: Arc::new(schema.clone().unwrap_or_else(|| Schema::new(Type::String))),
            };
            let row = match schema {
                Some(_) => {
                    let schema = Arc::new(Schema::structure(vec![wanted]));
                    Value::Struct(Struct::new(schema, vec![value.clone()]))
                }
                None => Value::Map(vec![(text("f"), value.clone())]),
            };
            let id = ValueSource::Constant(SqlValue::Int64(case as i64));
            let how = how(mode, &[("id", id), (&name, field("f"))], &["id"]);
            session.begin();
            let errants = connection.write(batch(None, vec![row]), None, how).await;
            let errants =
                errants.unwrap_or_else(|error| panic!("{mode} {kind} {value:?}: {error}"));
            session.commit(vec![(at(3), 1)]).await.unwrap();
            let shown = format!("SELECT {name} FROM t WHERE id = {case}");
            match expected {
                Ok(stored) => {
                    assert_eq!(errants, vec![], "{mode} {kind} {value:?}");
                    assert_eq!(
                        database.rows(&shown).join("\n"),
                        *stored,
                        "{mode} {kind} {value:?}"
                    );
                }
                Err(says) => {
                    let [errant] = errants.as_slice() else {
                        panic!("{mode} {kind} {value:?}: {errants:?}");
                    };
                    assert!(
                        errant.reason.contains(says),
                        "{mode} {kind}: {}",
                        errant.reason
                    );
                }
            }
        }
        database.run_sql("TRUNCATE t");
    }
}

#[tokio::test]
async fn constants_are_read_by_the_server() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (id int PRIMARY KEY, a int[], u uuid, j jsonb, d timestamptz, x timestamp, \
         n numeric, b bytea, t text, nothing text)",
    );
    let constant = |value| ValueSource::Constant(value);
    let words = |text: &str| constant(SqlValue::Text(text.into()));
    let (session, connection) = database.put().await;
    let mut columns = vec![
        ("id", ValueSource::Value),
        ("a", words("{1,2}")),
        ("u", words("123e4567-e89b-12d3-a456-426614174000")),
        ("j", words("{\"a\":1}")),
        ("d", words("2024-01-01 00:00+01")),
        ("x", constant(SqlValue::TimestampMicros(1))),
        ("n", constant(SqlValue::Decimal("1.50".into()))),
        ("b", constant(SqlValue::Bytes(vec![1]))),
        ("t", words("text")),
        ("nothing", constant(SqlValue::Null)),
    ];
    let write = how("insert", &columns, &[]);
    let written = connection.write(integers([1, 2]), None, write).await;
    assert_eq!(written, Ok(vec![]));
    let by_copy = [0, 5, 6, 7, 8, 9].map(|place| columns[place].clone());
    let written = connection
        .write(integers([3]), None, how("insert", &by_copy, &[]))
        .await;
    assert_eq!(written, Ok(vec![]));
    columns[1].1 = words("no array");
    let errants = connection
        .write(integers([4]), None, how("insert", &columns, &[]))
        .await;
    assert!(errants.unwrap()[0].reason.starts_with("22P02: "));
    commit(&session).await;
    assert_eq!(
        database.rows("SELECT * FROM t ORDER BY id")[1..],
        [
            "2|{1,2}|123e4567-e89b-12d3-a456-426614174000|{\"a\": 1}|2023-12-31 23:00:00+00|1970-01-01 00:00:00.000001|1.50|\\x01|text|",
            "3|||||1970-01-01 00:00:00.000001|1.50|\\x01|text|",
        ]
    );
}

#[tokio::test]
async fn sources_beside_the_value() {
    let database = Database::new();
    database.run_sql(
        "CREATE TABLE t (k int, v text, topic text, part int, pos bigint, at timestamptz)",
    );
    let columns = [
        ("k", ValueSource::Key),
        ("v", ValueSource::Value),
        ("topic", ValueSource::Topic),
        ("part", ValueSource::Partition),
        ("pos", ValueSource::Offset),
        ("at", ValueSource::Timestamp),
    ];
    let (session, connection) = database.put().await;
    let rows = strings(&["none", "some", "more"]);
    let written = connection
        .write(rows, Some(vec![0, 2]), how("insert", &columns, &[]))
        .await;
    assert_eq!(written, Ok(vec![]));
    commit(&session).await;
    assert_eq!(
        database.rows("SELECT * FROM t ORDER BY k"),
        [
            "0|none|t|3|100|",
            "2|more|t|3|102|1970-01-01 00:00:00.001+00"
        ]
    );
}

/// More than one COPY message, more than one turn of the thread, and NULLs among them.
#[tokio::test]
async fn large_batches_arrive_whole() {
    let database = Database::new();
    database.run_sql("CREATE TABLE t (id bigint PRIMARY KEY, v text)");
    let long = "x".repeat(1_000);
    for (mode, first) in [("insert", 0), ("upsert", 2_000)] {
        let (session, connection) = database.put().await;
        let rows = (0..3_000_i64).map(|row| {
            let value = if row % 3 == 0 {
                Value::Null
            } else {
                text(&long)
            };
            vec![Value::Int64(first + row), value]
        });
        let batch = structs(&[("id", Type::Int64), ("v", Type::String)], rows.collect());
        let how = how(mode, &[("id", field("id")), ("v", field("v"))], &["id"]);
        assert_eq!(connection.write(batch, None, how).await, Ok(vec![]));
        commit(&session).await;
    }
    assert_eq!(
        database.rows("SELECT count(*), count(v), sum(length(v)), max(id) FROM t"),
        ["5000|3333|3333000|4999"]
    );
}
