//! Columns, good ones and spoilt ones.

use tidegate_sdk::bindings::records::{ByteColumn, Columns, Encoding, HeaderColumn};

/// Rows with these values.
pub fn of(topic: &str, values: &[String]) -> Columns {
    Columns {
        rows: values.len() as u32,
        topics: vec![topic.to_owned()],
        topic: Vec::new(),
        partitions: Vec::new(),
        offsets: Vec::new(),
        timestamps: Vec::new(),
        key_encoding: Encoding::Raw,
        keys: empty(),
        value_encoding: Encoding::Raw,
        values: ByteColumn {
            lengths: values.iter().map(|value| value.len() as i32).collect(),
            data: values.concat().into_bytes(),
        },
        headers: None,
        schemas: vec![r#"{"type":"string","optional":false}"#.to_owned()],
        key_schema: Vec::new(),
        value_schema: Vec::new(),
    }
}

/// What the word makes of good columns.
pub fn spoil(word: &str, mut columns: Columns) -> Columns {
    let rows = columns.rows as usize;
    match word {
        "rows-mismatch" => columns.rows += 2,
        "rows-huge" => columns.rows = u32::MAX,
        "lying-lengths" => last(&mut columns.values.lengths, 1000),
        "short-lengths" => columns.values.data.push(b'x'),
        "negative-length" => last(&mut columns.values.lengths, -2),
        "overflowing-lengths" => columns.values.lengths.fill(i32::MAX),
        "short-column" => columns.timestamps = vec![1],
        "no-topics" => columns.topics.clear(),
        "bad-topic-name" => columns.topics = vec!["no/such topic".to_owned()],
        "empty-topic-name" => columns.topics = vec![String::new()],
        "topic-out-of-range" => columns.topic = vec![9; rows],
        "schema-out-of-range" => columns.value_schema = vec![9; rows],
        "bad-schema" => columns.schemas = vec!["{\"type\":\"nonsense\"}".to_owned()],
        "bad-schema-json" => columns.schemas = vec!["{".to_owned()],
        "value-not-of-schema" => columns.schemas = vec![r#"{"type":"int32"}"#.to_owned()],
        "bad-json" => columns.value_encoding = Encoding::Json,
        "bad-cbor" => {
            columns.value_encoding = Encoding::Cbor;
            columns.values.data.fill(0xff);
        }
        "bad-utf8" => columns.values.data.fill(0xff),
        "negative-partition" => columns.partitions = vec![-7; rows],
        "partition-out-of-range" => columns.partitions = vec![i32::MAX; rows],
        "negative-timestamp" => columns.timestamps = vec![i64::MIN; rows],
        "header-counts" => {
            columns.headers = Some(HeaderColumn {
                counts: vec![u16::MAX; rows],
                keys: empty(),
                values: empty(),
            });
        }
        "null-header-key" => {
            let column = ByteColumn {
                lengths: vec![-1; rows],
                data: Vec::new(),
            };
            columns.headers = Some(HeaderColumn {
                counts: vec![1; rows],
                keys: column.clone(),
                values: column,
            });
        }
        "huge-record" => columns.values = same(rows, 8 << 20),
        "huge-batch" => columns = of("hostile", &vec!["x".repeat(100); 400_000]),
        _ => {}
    }
    columns
}

fn same(rows: usize, length: usize) -> ByteColumn {
    ByteColumn {
        lengths: vec![length as i32; rows],
        data: vec![b'x'; rows * length],
    }
}

fn last(lengths: &mut [i32], value: i32) {
    if let Some(last) = lengths.last_mut() {
        *last = value;
    }
}

fn empty() -> ByteColumn {
    ByteColumn {
        lengths: Vec::new(),
        data: Vec::new(),
    }
}
