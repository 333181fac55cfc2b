//! Values as deep as is allowed must not overflow the stack that a worker's threads have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may fail.

use std::{collections::BTreeMap, sync::Arc, thread};

use tidegate_convert::{
    ConvertError, Converter, EncodedColumn, Schema, SchemaError, Side, converter,
};
use tidegate_model::columns::{ByteColumn, Encoding};

/// Half of a thread's default; unoptimised code has much larger frames.
const STACK_BYTES: usize = if cfg!(debug_assertions) {
    16 << 20
} else {
    1 << 20
};

fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap();
}

fn json(schemas: bool) -> Arc<dyn Converter> {
    let settings = BTreeMap::from([("schemas.enable".to_owned(), schemas.to_string())]);
    converter("JsonConverter", &settings, Side::Value).unwrap()
}

#[test]
fn the_deepest_json_goes_all_ways() {
    on_small_stack(|| {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(1000), close.repeat(1000));
            let plain = json(false);
            let record = plain.to_connect(Some(text.as_bytes())).unwrap();
            let back = plain.from_connect(None, &record.value).unwrap().unwrap();
            assert_eq!(back, text.as_bytes());
            let column: ByteColumn = [Some(text.as_bytes())].into_iter().collect();
            let (column, errors) = plain.decode_column(column);
            assert_eq!(errors, []);
            let value = column.value(0).unwrap().into_owned();
            drop(value);
            let cbor = column.read(Encoding::Cbor).unwrap().into_owned();
            let input = EncodedColumn {
                encoding: Encoding::Cbor,
                bytes: cbor,
                schemas: Vec::new(),
                schema_index: Vec::new(),
            };
            let (kafka, errors) = plain.encode_column(input);
            assert_eq!(errors, []);
            assert_eq!(kafka.iter().next().unwrap().unwrap(), text.as_bytes());
        }
    });
}

#[test]
fn the_deepest_schema_goes_all_ways() {
    on_small_stack(|| {
        let depth = 100;
        let open = "{\"type\":\"array\",\"items\":".repeat(depth);
        let schema = format!("{open}{{\"type\":\"int32\"}}{}", "}".repeat(depth));
        let payload = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let text = format!("{{\"schema\":{schema},\"payload\":{payload}}}");
        let envelope = json(true);
        let record = envelope.to_connect(Some(text.as_bytes())).unwrap();
        let back = envelope
            .from_connect(record.schema.as_deref(), &record.value)
            .unwrap();
        assert_eq!(envelope.to_connect(back.as_deref()).unwrap(), record);
        let column: ByteColumn = [Some(text.as_bytes())].into_iter().collect();
        let (column, errors) = envelope.decode_column(column);
        assert_eq!(errors, []);
        let read = column.read(Encoding::Json).unwrap();
        assert_eq!(read.iter().next().unwrap().unwrap(), payload.as_bytes());
        assert!(column.read(Encoding::Cbor).is_ok());
    });
}

#[test]
fn deeper_is_refused() {
    on_small_stack(|| {
        let schema = "{\"type\":\"array\",\"items\":".repeat(101);
        let schema = format!("{schema}{{\"type\":\"int32\"}}{}", "}".repeat(101));
        let error = Schema::from_json(&schema).unwrap_err();
        assert_eq!(error, ConvertError::Schema(SchemaError::Depth));
        let plain = json(false);
        for open in ["[", "{\"a\":"] {
            let error = plain.to_connect(Some(open.repeat(1_000_000).as_bytes()));
            assert_eq!(error.unwrap_err(), ConvertError::Depth);
        }
        let bytes: ByteColumn = [Some(&[0x81; 100_000][..])].into_iter().collect();
        let input = EncodedColumn {
            encoding: Encoding::Cbor,
            bytes,
            schemas: Vec::new(),
            schema_index: Vec::new(),
        };
        let (_, errors) = plain.encode_column(input);
        assert_eq!(errors[0].error, ConvertError::Depth);
        let headers = "[".repeat(100_000);
        let value = tidegate_convert::to_connect_header(Some(headers.as_bytes()))
            .unwrap()
            .value;
        assert_eq!(value, tidegate_convert::Value::String(headers));
    });
}
