//! Whole columns: the short cuts give what record by record gives, and bad rows stay alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test may fail.
#![allow(clippy::single_range_in_vec_init)] // One run of rows is one range.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use tidegate_convert::{Converter, EncodedColumn, NO_SCHEMA, Schema, Side, Value, converter};
use tidegate_model::columns::{ByteColumn, Encoding};

fn make(class: &str, settings: &[(&str, &str)]) -> Arc<dyn Converter> {
    let settings: BTreeMap<String, String> = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    converter(class, &settings, Side::Value).unwrap()
}

fn column(rows: &[&str]) -> ByteColumn {
    rows.iter().map(|row| Some(row.as_bytes())).collect()
}

fn texts(column: &ByteColumn) -> Vec<Option<String>> {
    column
        .iter()
        .map(|row| row.map(|row| String::from_utf8_lossy(row).into_owned()))
        .collect()
}

fn some(rows: &[&str]) -> Vec<Option<String>> {
    rows.iter().map(|row| Some((*row).to_owned())).collect()
}

fn encoded(encoding: Encoding, bytes: ByteColumn, schemas: &[&str]) -> EncodedColumn {
    let schemas = schemas
        .iter()
        .map(|text| Arc::new(Schema::from_json(text).unwrap()))
        .collect();
    EncodedColumn {
        encoding,
        bytes,
        schemas,
        schema_index: Vec::new(),
    }
}

const STRING: &str = r#"{"type":"string","optional":false}"#;

#[test]
fn text_and_bytes_pass_through() {
    for (class, schema) in [
        ("StringConverter", STRING),
        ("ByteArrayConverter", r#"{"type":"bytes"}"#),
    ] {
        let converter = make(class, &[]);
        let rows: ByteColumn = [Some(&b"a"[..]), None, Some(b"")].into_iter().collect();
        for schemas in [&[schema][..], &[]] {
            let (kafka, errors) =
                converter.encode_column(encoded(Encoding::Raw, rows.clone(), schemas));
            assert_eq!((kafka, errors), (rows.clone(), Vec::new()));
        }
        let (decoded, errors) = converter.decode_column(rows.clone());
        assert_eq!(errors, []);
        assert!(
            matches!(decoded.read(Encoding::Raw).unwrap(), Cow::Borrowed(same) if *same == rows)
        );
        assert_eq!(decoded.schema_runs(), [0..3]);
        assert!(decoded.schema(1).unwrap().optional);
        assert!(decoded.is_null(1) && decoded.value(1).unwrap().is_null());
        assert!(decoded.value(3).is_none());
        assert!(decoded.fields().is_err());
    }
}

#[test]
fn invalid_text_is_repaired_like_in_java() {
    let rows: ByteColumn = [Some(&b"a\xff"[..]), Some(b"b")].into_iter().collect();
    let (decoded, _) = make("StringConverter", &[]).decode_column(rows);
    assert_eq!(
        texts(&decoded.read(Encoding::Raw).unwrap()),
        some(&["a\u{fffd}", "b"])
    );
    assert_eq!(
        texts(&decoded.read(Encoding::Json).unwrap()),
        some(&["\"a\u{fffd}\"", "\"b\""])
    );
    assert_eq!(
        decoded
            .read(Encoding::Cbor)
            .unwrap()
            .iter()
            .last()
            .unwrap()
            .unwrap(),
        b"\x61b"
    );
}

#[test]
fn plain_json_is_checked_and_kept() {
    let converter = make("JsonConverter", &[("schemas.enable", "false")]);
    let rows = column(&[
        "{\"a\": 1}",
        "nope",
        "007",
        "null",
        "\"q\\\"\"",
        "[1] x",
        "",
    ]);
    let (decoded, errors) = converter.decode_column(rows);
    assert_eq!(
        errors.iter().map(|error| error.row).collect::<Vec<_>>(),
        [1]
    );
    let json = texts(&decoded.read(Encoding::Json).unwrap());
    let kept = |text: &str| Some(text.to_owned());
    let expected = [
        kept("{\"a\": 1}"),
        None,
        kept("7"),
        None,
        kept("\"q\\\"\""),
        kept("[1]"),
        None,
    ];
    assert_eq!(json, expected);
    let raw = texts(&decoded.read(Encoding::Raw).unwrap());
    assert_eq!(raw[4], kept("q\""));
    assert_eq!(*decoded.value(2).unwrap(), Value::Int64(7));
    assert_eq!(decoded.filtered(|row| row == 4).len(), 1);
    assert_eq!(decoded.schemas(), (Vec::new(), Vec::new()));
    let strict = column(&["{\"a\": 1}", "[2]"]);
    let (decoded, _) = converter.decode_column(strict.clone());
    assert!(matches!(decoded.read(Encoding::Raw).unwrap(), Cow::Borrowed(same) if *same == strict));
}

#[test]
fn fields_come_from_schemas_or_from_what_is_there() {
    let rows = column(&[
        r#"{"a":1,"b":"x","c":null}"#,
        r#"{"b":2,"a":1.5,"d":[{}]}"#,
        r#"{"a":2,"b":"y","d":[]}"#,
    ]);
    let converter = make("Json", &[("schemas.enable", "false")]);
    let (decoded, _) = converter.decode_column(rows.clone());
    let listed = |decoded: &tidegate_convert::DecodedColumn| -> Vec<String> {
        let fields = decoded.fields().unwrap();
        fields
            .iter()
            .map(|f| format!("{} {} {}", f.name, f.kind, f.optional))
            .collect()
    };
    let expected = [
        "a float64 true",
        "b string true",
        "c string true",
        "d array true",
    ];
    assert_eq!(listed(&decoded), expected);
    let values = rows.iter().map(|row| converter.to_connect(row).unwrap());
    let (values, _) = tidegate_convert::DecodedColumn::from_rows(values);
    assert_eq!(listed(&values), expected);
    let (scalars, _) = converter.decode_column(column(&["1"]));
    assert!(scalars.fields().is_err());

    let record = r#"{"schema":{"type":"struct","fields":[{"type":"double","field":"f"},
        {"type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Date","field":"d"}]},
        "payload":{"f":1,"d":19000}}"#;
    let (decoded, errors) = make("Json", &[]).decode_column(column(&[record]));
    assert_eq!(errors, []);
    assert_eq!(listed(&decoded), ["f float64 false", "d Date true"]);
    let expected = some(&["{\"f\":1.0,\"d\":\"2022-01-08\"}"]);
    assert_eq!(texts(&decoded.read(Encoding::Json).unwrap()), expected);
}

#[test]
fn envelopes_are_decoded_with_one_schema_a_text() {
    let of = |kind: &str, payload: &str| {
        format!(r#"{{"schema":{{"type":"{kind}"}},"payload":{payload}}}"#)
    };
    let rows = [
        of("string", "\"a\""),
        of("string", "\"b\""),
        "{}".into(),
        of("int8", "1"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let (decoded, errors) = make("Json", &[]).decode_column(column(&rows));
    assert_eq!(
        errors.iter().map(|error| error.row).collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(decoded.schema_runs(), [0..3, 3..4]);
    let (schemas, index) = decoded.schemas();
    assert_eq!((schemas.len(), index), (2, vec![0, 0, 0, 1]));
    let raw = texts(&decoded.read(Encoding::Raw).unwrap());
    assert_eq!(
        raw,
        [Some("a".into()), Some("b".into()), None, Some("1".into())]
    );
    let good = decoded.filtered(|row| row == 3);
    assert_eq!(
        (good.schema_runs(), good.schema(0).unwrap().kind.name()),
        (vec![0..1], "int8")
    );
}

#[test]
fn short_cuts_of_encoding_equal_the_long_way() {
    let cases = [
        (Encoding::Raw, vec![STRING], vec!["a\"é😀", "", "\u{1}"]),
        (Encoding::Json, vec![STRING], vec!["\"a\"", "\"\\u00e9\""]),
        (
            Encoding::Json,
            vec![],
            vec!["1", "{\"a\":[1,\"x\"]}", "\"s\"", "null"],
        ),
        (Encoding::Raw, vec![], vec!["bytes"]),
        (
            Encoding::Raw,
            vec![r#"{"type":"int64"}"#],
            vec!["9007199254740993", "-1"],
        ),
    ];
    for (encoding, schemas, rows) in cases {
        for enable in ["true", "false"] {
            let converter = make("Json", &[("schemas.enable", enable)]);
            let input = encoded(encoding, column(&rows), &schemas);
            let long: Vec<Option<Vec<u8>>> = input
                .rows()
                .map(|row| {
                    let (schema, value) = row.unwrap();
                    converter
                        .from_connect(schema.map(AsRef::as_ref), &value)
                        .unwrap()
                })
                .collect();
            let long: ByteColumn = long.iter().map(Option::as_deref).collect();
            let (short, errors) = converter.encode_column(input);
            assert_eq!(errors, []);
            assert_eq!(
                texts(&short),
                texts(&long),
                "{encoding:?} {schemas:?} {enable}"
            );
        }
    }
}

#[test]
fn guests_mistakes_are_told_row_by_row() {
    let point = r#"{"type":"struct","fields":[{"type":"int8","field":"x"},
        {"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal",
         "parameters":{"scale":"2"},"field":"d"}]}"#;
    let rows = [
        r#"{"x":1,"d":"1.5"}"#,
        r#"{"x":300}"#,
        r#"{"x":1,"y":2}"#,
        r#"{"d":"1.5"}"#,
        r#"{"x":1,"d":"1.555"}"#,
        r#"{"x":"1"}"#,
        "{",
    ];
    let converter = make(
        "Json",
        &[("schemas.enable", "false"), ("decimal.format", "NUMERIC")],
    );
    let mut input = encoded(Encoding::Json, column(&rows), &[point]);
    let (kafka, errors) = converter.encode_column(input.clone());
    assert_eq!(texts(&kafka)[0].as_deref(), Some("{\"x\":1,\"d\":1.50}"));
    let told: Vec<String> = errors
        .iter()
        .map(|e| format!("{}: {}", e.row, e.error))
        .collect();
    assert_eq!(
        told,
        [
            "1: field x: 300 is out of the range of int8",
            "2: field y is not in the schema",
            "3: field x: null for a required int8; make the schema optional or give it a default",
            "4: field d: Decimal has scale 3 where the schema says 2",
            "5: field x: expected int8, found string",
            "6: not valid JSON at byte 1: expected a string",
        ]
    );
    input.schema_index = vec![9, NO_SCHEMA, 0, 0, 0, 0, 0];
    let (_, errors) = converter.encode_column(input);
    assert_eq!(
        errors[0].error.to_string(),
        "schema index 9 is out of range"
    );
    assert_eq!(errors[1].row, 2);
}
