//! Every recorded result of the real classes, compared with ours; all mismatches are listed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may fail.

mod common;

use std::collections::BTreeMap;

use common::{bytes_of, schema_of, typed, value_of};
use serde_json::Value as Json;
use tidegate_convert::{SchemaAndValue, Side, converter, from_connect_header, to_connect_header};

/// The address of a Java object in the text: no program can give the same.
const NOT_REPRODUCIBLE: [&str; 1] = ["StringConverter/from-bytes"];

#[test]
fn converters_do_what_the_java_classes_did() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in include_str!("vectors/converters.jsonl").lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if NOT_REPRODUCIBLE.contains(&id) {
            continue;
        }
        cases += 1;
        if let Err(problem) = check(&case) {
            wrong.push(format!("{id}: {problem}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cases} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(cases > 250);
}

fn check(case: &Json) -> Result<(), String> {
    let found = run(case);
    match (&case["error"], found) {
        (Json::Null, Ok(found)) => same(case, &found),
        (Json::Null, Err(error)) => Err(format!("unexpected error: {error}")),
        (error, Ok(found)) => Err(format!("{found} instead of {error}")),
        (error, Err(text)) => {
            let phase = if text.starts_with("configure") {
                "configure"
            } else {
                "convert"
            };
            let right = error["phase"] == phase;
            if right {
                Ok(())
            } else {
                Err(format!("error in the wrong phase: {text}"))
            }
        }
    }
}

/// What we make of it: for bytes `{"bytes": [...]}`, for values `{"schema": ..., "typed": ...}`.
fn run(case: &Json) -> Result<Json, String> {
    let input = &case["input"];
    let mut config: BTreeMap<String, String> =
        serde_json::from_value(case["config"].clone()).unwrap_or_default();
    // What Connect bends is bent only by those who ask for it.
    config.insert("tidegate.json.coercion".to_owned(), "kafka".to_owned());
    let key = case["is_key"].as_bool().unwrap_or_default();
    let side = if key { Side::Key } else { Side::Value };
    let make = || {
        converter(case["class"].as_str().unwrap(), &config, side)
            .map_err(|error| format!("configure: {error}"))
    };
    let bytes = |bytes: Option<Vec<u8>>| serde_json::json!({ "bytes": bytes });
    let value = |found: SchemaAndValue| {
        let schema = found.schema.map(|schema| schema.to_json().unwrap());
        let schema: Json = schema.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap());
        serde_json::json!({ "schema": schema, "typed": typed(&found.value) })
    };
    let text = |error: tidegate_convert::ConvertError| error.to_string();
    match case["kind"].as_str().unwrap() {
        "to_connect" => make()?
            .to_connect(bytes_of(input).as_deref())
            .map(value)
            .map_err(text),
        "from_connect" => {
            let schema = schema_of(&input["schema"]);
            let converter = make()?;
            let value = value_of(schema.as_ref(), &input["typed"]);
            converter
                .from_connect(schema.as_deref(), &value)
                .map(bytes)
                .map_err(text)
        }
        "to_connect_header" => to_connect_header(bytes_of(input).as_deref())
            .map(value)
            .map_err(text),
        "from_connect_header" => {
            let schema = schema_of(&input["schema"]);
            let value = value_of(schema.as_ref(), &input["typed"]);
            from_connect_header(schema.as_deref(), &value)
                .map(bytes)
                .map_err(text)
        }
        other => Err(format!("unknown kind {other}")),
    }
}

fn same(case: &Json, found: &Json) -> Result<(), String> {
    let expected = &case["output"];
    let equal = if case["kind"].as_str().unwrap().starts_with("to_") {
        found["schema"] == expected["schema"] && found["typed"] == expected["typed"]
    } else {
        // Byte for byte, except for the order of maps, which the vectors do not keep.
        let expected = serde_json::json!(bytes_of(expected));
        let map = case["input"]["typed"]["map"].is_array();
        found["bytes"] == expected || (map && sorted(&found["bytes"]) == sorted(&expected))
    };
    if equal {
        return Ok(());
    }
    let text = |json: &Json| {
        let bytes: Option<Vec<u8>> = serde_json::from_value(json["bytes"].clone()).ok();
        bytes.map_or(json.to_string(), |bytes| {
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    Err(format!("found {}\n    expected {expected}", text(found)))
}

/// The bytes in order: equal for texts that differ in the order of their parts only.
fn sorted(bytes: &Json) -> Vec<u8> {
    let mut bytes: Vec<u8> = serde_json::from_value(bytes.clone()).unwrap_or_default();
    bytes.sort_unstable();
    bytes
}
