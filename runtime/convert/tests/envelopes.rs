//! Envelopes in a column take short cuts; record by record is the long way. Both agree on records
//! made at random, also on odd ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test may fail.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};
use tidegate_convert::{Side, converter};
use tidegate_model::columns::ByteColumn;

/// Schemas without their bracket, and texts that are values of them.
const KINDS: &[(&str, &[&str])] = &[
    (r#""type":"int8""#, &["1", "-7", "300"]),
    (r#""type":"int32""#, &["1", "-2147483648"]),
    (r#""type":"int64","default":5"#, &["1", "9e3"]),
    (r#""type":"float""#, &["1.5", "1e39"]),
    (r#""type":"double""#, &["0.1", "-3"]),
    (r#""type":"boolean""#, &["true", "false"]),
    (
        r#""type":"string","default":"d""#,
        &[r#""x""#, r#""\u00e4\n""#],
    ),
    (r#""type":"bytes""#, &[r#""AQI=""#, r#""""#]),
    (
        r#""type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}"#,
        &[r#""AQI=""#, "12.50"],
    ),
    (
        r#""type":"int32","name":"org.apache.kafka.connect.data.Date""#,
        &["19000"],
    ),
    (
        r#""type":"int32","name":"org.apache.kafka.connect.data.Time""#,
        &["1000", "86400001"],
    ),
    (
        r#""type":"int64","name":"org.apache.kafka.connect.data.Timestamp""#,
        &["1700000000123"],
    ),
    (
        r#""type":"struct","fields":[],"name":"org.apache.kafka.connect.data.Date""#,
        &["19000", "{}"],
    ),
    (
        r#""type":"array","items":{"type":"int32","optional":true}"#,
        &["[1,2]", "[]", "[null]", r#"{"a":1,"a":2}"#],
    ),
    (
        r#""type":"map","keys":{"type":"string"},"values":{"type":"int32"}"#,
        &[r#"{"k":1,"l":2}"#, r#"{"k":1,"k":2}"#],
    ),
    (
        r#""type":"struct","fields":[{"field":"x","type":"int32"},{"field":"y","type":"string","optional":true}]"#,
        &[
            r#"{"x":1,"y":"z"}"#,
            r#"{ "x" : 1 , "y" : null }"#,
            r#"{"y":"z","x":1}"#,
            r#"{"x":1,"x":2,"y":"z"}"#,
            r#"{"x":1}"#,
            r#"{"x":1,"y":"z","z":2}"#,
        ],
    ),
];

/// What may stand in any place, and what may not.
const ODD: &[&str] = &[
    "null",
    "007",
    "-0",
    "1.5",
    "1e400",
    "99999999999999999999",
    "true",
    r#""x""#,
    r#""%""#,
    "[]",
    "[[1]]",
    "{}",
    r#"{"x":{"x":1}}"#,
    "",
    "nope",
    r#""open"#,
    "[1",
    "{",
    "1x",
    "\u{feff}1",
];
const NAMES: &[&str] = &["a", "b", "c.d", "ä", "payload"];
/// The same, spelled otherwise.
const ESCAPED: &[&str] = &[
    r"\u0061",
    r"\u0062",
    r"c\u002ed",
    r"\u00e4",
    r"p\u0061yload",
];

type Fields = Vec<(usize, bool)>;

fn schema(fields: &Fields) -> String {
    let field = |((kind, optional), name): (&(usize, bool), &&str)| {
        format!(
            r#"{{"field":"{name}","optional":{optional},{}}}"#,
            KINDS[*kind].0
        )
    };
    let fields: Vec<_> = fields.iter().zip(NAMES).map(field).collect();
    format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(","))
}

/// A payload with a value a field, and perhaps members that come out of order, are missing, twice,
/// unknown or spelled otherwise.
fn payload(fields: &Fields) -> BoxedStrategy<String> {
    let values: Vec<_> = fields
        .iter()
        .map(|(kind, _)| prop_oneof![6 => select(KINDS[*kind].1), 1 => select(ODD)])
        .collect();
    let places = || any::<prop::sample::Index>();
    let odds = vec((0..7, places(), places(), select(ODD)), 0..3);
    let odds = prop_oneof![2 => Just(Vec::new()), 1 => odds];
    (values, odds, select(&["", " ", "\n\t"][..]))
        .prop_map(|(values, odds, space)| {
            let member = |(value, name): (&str, &&str)| format!("\"{name}\":{space}{value}");
            let mut members: Vec<_> = values.into_iter().zip(NAMES).map(member).collect();
            for (what, one, other, value) in odds {
                if members.is_empty() {
                    break;
                }
                let (one, other) = (one.index(members.len()), other.index(members.len()));
                match what {
                    0 => members.swap(one, other),
                    1 => drop(members.remove(one)),
                    2 => members.insert(other, members[one].clone()),
                    3 => members.insert(one, format!("\"unknown\":{value}")),
                    4 => {
                        let name = one.min(NAMES.len() - 1);
                        let escaped = format!("\"{}\"", ESCAPED[name]);
                        members[one] =
                            members[one].replacen(&format!("\"{}\"", NAMES[name]), &escaped, 1);
                    }
                    5 => members[one] = format!("\"{}\":{value}", ESCAPED[one.min(4)]),
                    _ => members[one] = members[one].replace(':', ""),
                }
            }
            format!(
                "{{{space}{}{space}}}",
                members.join(&format!("{space},{space}"))
            )
        })
        .boxed()
}

fn records() -> BoxedStrategy<Vec<String>> {
    vec((0..KINDS.len(), any::<bool>()), 0..5)
        .prop_flat_map(|fields| {
            let text = schema(&fields);
            let end = || {
                select(
                    &[
                        "}",
                        "} junk",
                        " }",
                        "",
                        "x}",
                        ",\"payload\":1}",
                        ",\"o\":1}",
                    ][..],
                )
            };
            let end = prop_oneof![8 => Just("}"), 1 => end()];
            let payload =
                prop_oneof![12 => payload(&fields), 1 => select(ODD).prop_map(str::to_owned)];
            vec((payload, end), 1..6).prop_map(move |rows| {
                let row = |(payload, end): &(String, &str)| {
                    format!(r#"{{"schema":{text},"payload":{payload}{end}"#)
                };
                rows.iter().map(row).collect()
            })
        })
        .boxed()
}

/// Debug text: there NaN equals NaN.
fn debug(what: &impl std::fmt::Debug) -> String {
    format!("{what:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn columns_of_envelopes_equal_the_long_way(
        records in records(),
        replace in any::<bool>(),
    ) {
        let key = "replace.null.with.default".to_owned();
        let settings = BTreeMap::from([(key, replace.to_string())]);
        let json = converter("JsonConverter", &settings, Side::Value).unwrap();
        let column: ByteColumn = records.iter().map(|row| Some(row.as_bytes())).collect();
        let (decoded, errors) = json.decode_column(column);
        for (row, record) in records.iter().enumerate() {
            let told = errors.iter().find(|error| error.row as usize == row);
            match json.to_connect(Some(record.as_bytes())) {
                Ok(long) => {
                    prop_assert_eq!(debug(&told), "None", "{}", record);
                    let value = decoded.value(row).unwrap();
                    prop_assert_eq!(debug(&*value), debug(&long.value), "{}", record);
                    prop_assert_eq!(decoded.schema(row), long.schema.as_ref());
                }
                Err(error) => prop_assert_eq!(told.map(|told| &told.error), Some(&error)),
            }
        }
    }
}
