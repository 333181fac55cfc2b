//! Values and schemas that were made at random come back the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may fail.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use tidegate_convert::{
    DecodedColumn, EncodedColumn, Field, Schema, SchemaAndValue, Side, Struct, Type, Value,
    converter, schema, to_connect_header,
};
use tidegate_model::columns::{ByteColumn, Encoding};

/// A schema together with values of it.
fn pair() -> BoxedStrategy<(Arc<Schema>, Value)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|v| (Schema::new(Type::Boolean), Value::Boolean(v))),
        any::<i8>().prop_map(|v| (Schema::new(Type::Int8), Value::Int8(v))),
        any::<i16>().prop_map(|v| (Schema::new(Type::Int16), Value::Int16(v))),
        any::<i32>().prop_map(|v| (Schema::new(Type::Int32), Value::Int32(v))),
        any::<i64>().prop_map(|v| (Schema::new(Type::Int64), Value::Int64(v))),
        any::<f32>().prop_map(|v| (Schema::new(Type::Float32), Value::Float32(v))),
        any::<f64>().prop_map(|v| (Schema::new(Type::Float64), Value::Float64(v))),
        ".*".prop_map(|v| (Schema::new(Type::String), Value::String(v))),
        any::<Vec<u8>>().prop_map(|v| (Schema::new(Type::Bytes), Value::Bytes(v))),
        (any::<i128>(), 0..40i32).prop_map(|(digits, scale)| {
            let decimal = tidegate_convert::Decimal::new(digits.into(), scale);
            (Schema::decimal(scale), Value::Decimal(decimal))
        }),
        any::<i32>().prop_map(|days| {
            let schema = Schema::new(Type::Int32).named(schema::DATE, 1);
            (schema, Value::Date(i64::from(days) * 86_400_000))
        }),
        (0..86_400_000i64).prop_map(|millis| {
            (
                Schema::new(Type::Int32).named(schema::TIME, 1),
                Value::Date(millis),
            )
        }),
        (-1i64 << 48..1 << 48).prop_map(|millis| {
            (
                Schema::new(Type::Int64).named(schema::TIMESTAMP, 1),
                Value::Date(millis),
            )
        }),
    ];
    let optional = (leaf, any::<bool>(), proptest::option::weighted(0.2, ".*")).prop_map(
        |((schema, value), optional, doc)| {
            let schema = Schema {
                optional,
                doc,
                ..schema
            };
            (Arc::new(schema), value)
        },
    );
    optional
        .prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                inner.clone().prop_map(|(schema, value)| {
                    let array = Value::Array(vec![value.clone(), value]);
                    (Arc::new(Schema::array(Some(schema))), array)
                }),
                (any::<i32>(), inner.clone()).prop_map(|(key, (schema, value))| {
                    let keys = Arc::new(Schema::new(Type::Int32));
                    let map = Value::Map(vec![(Value::Int32(key), value)]);
                    (Arc::new(Schema::map(Some(keys), Some(schema))), map)
                }),
                proptest::collection::btree_map(".{0,5}", inner, 0..5).prop_map(|members| {
                    let (fields, values) = members
                        .into_iter()
                        .map(|(name, (schema, value))| (Field { name, schema }, value))
                        .unzip();
                    let schema = Arc::new(Schema::structure(fields).named("s", 3));
                    (
                        Arc::clone(&schema),
                        Value::Struct(Struct::new(schema, values)),
                    )
                }),
            ]
        })
        .boxed()
}

/// Debug text: there NaN equals NaN.
fn same(one: &impl std::fmt::Debug, other: &impl std::fmt::Debug) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn has_nan_or_infinity(value: &Value) -> bool {
    ["NaN", "inf"]
        .iter()
        .any(|text| format!("{value:?}").contains(text))
}

proptest! {
    #[test]
    fn schemas_come_back((schema, value) in pair()) {
        let schema = Schema { default: Some(Box::new(value)), ..(*schema).clone() };
        // JsonConverter writes NaN as a string and reads that as zero.
        prop_assume!(!has_nan_or_infinity(schema.default.as_ref().unwrap()));
        let back = Schema::from_json(&schema.to_json().unwrap()).unwrap();
        prop_assert!(same(&back, &schema), "{back:?}\n{schema:?}");
    }

    #[test]
    fn records_come_back((schema, value) in pair(), numeric in any::<bool>()) {
        prop_assume!(!has_nan_or_infinity(&value));
        let format = if numeric { "numeric" } else { "base64" };
        let settings = BTreeMap::from([("decimal.format".to_owned(), format.to_owned())]);
        let json = converter("JsonConverter", &settings, Side::Value).unwrap();
        let bytes = json.from_connect(Some(&schema), &value).unwrap().unwrap();
        let back = json.to_connect(Some(&bytes)).unwrap();
        prop_assert_eq!(back.schema.as_ref(), Some(&schema));
        // Numbers in JSON may leave zeros out of a decimal, but not its value.
        if !numeric {
            prop_assert_eq!(back.value, value);
        }
    }

    #[test]
    fn guests_forms_come_back((schema, value) in pair()) {
        let row = SchemaAndValue { schema: Some(Arc::clone(&schema)), value };
        let (column, errors) = DecodedColumn::from_rows([row.clone()]);
        prop_assert!(errors.is_empty());
        for encoding in [Encoding::Raw, Encoding::Json, Encoding::Cbor] {
            let input = EncodedColumn {
                encoding,
                bytes: column.read(encoding).unwrap().into_owned(),
                schemas: vec![Arc::clone(&schema)],
                schema_index: Vec::new(),
            };
            let (_, back) = input.rows().next().unwrap().unwrap();
            prop_assert!(same(&back, &row.value), "{encoding:?}\n{back:?}\n{:?}", row.value);
        }
    }

    #[test]
    fn columns_come_back(rows in any::<Vec<Option<Vec<u8>>>>()) {
        let column: ByteColumn = rows.iter().map(Option::as_deref).collect();
        let count = column.len();
        let (lengths, data) = column.clone().into_parts();
        prop_assert_eq!(ByteColumn::checked("values", count, lengths, data).unwrap(), column);
    }

    #[test]
    fn no_bytes_do_harm(bytes in any::<Vec<u8>>(), text in "[\\[\\]{}:,\"\\\\0-9a-eE.+-]*") {
        for input in [&bytes[..], text.as_bytes()] {
            let column: ByteColumn = [Some(input)].into_iter().collect();
            for enable in ["true", "false"] {
                let settings = BTreeMap::from([("schemas.enable".to_owned(), enable.to_owned())]);
                let json = converter("JsonConverter", &settings, Side::Key).unwrap();
                let single = json.to_connect(Some(input));
                let (decoded, errors) = json.decode_column(column.clone());
                // Both ways agree on what is an error and on what the value is.
                match single {
                    Ok(record) => {
                        prop_assert!(errors.is_empty());
                        prop_assert!(same(&*decoded.value(0).unwrap(), &record.value));
                    }
                    Err(error) => prop_assert_eq!(&errors[0].error, &error),
                }
            }
            for encoding in [Encoding::Json, Encoding::Cbor] {
                let input = EncodedColumn {
                    encoding,
                    bytes: column.clone(),
                    schemas: Vec::new(),
                    schema_index: Vec::new(),
                };
                let _ = input.rows().next();
            }
            let _ = to_connect_header(Some(input));
        }
    }
}
