//! A batch that lives in a test.

use serde_json::Value;

use crate::bindings::records::{ByteColumn, Columns, Encoding, Field, HeaderColumn, Part};
use crate::bindings::types::Failure;
use crate::columns::ColumnBuilder;
use crate::testing::schema::{self, Schemas};
use crate::testing::{Content, TestRecord};

/// Stands in for the host's batch. It knows the encodings raw and JSON.
#[derive(Clone, Debug)]
pub struct TestBatch {
    topic: String,
    first_offset: i64,
    pub(crate) records: Vec<TestRecord>,
}

impl TestBatch {
    pub(crate) fn new(topic: &str, first_offset: i64, records: Vec<TestRecord>) -> Self {
        Self {
            topic: topic.to_owned(),
            first_offset,
            records,
        }
    }

    pub(crate) fn first_offset(&self) -> i64 {
        self.first_offset
    }

    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn topic(&self) -> String {
        self.topic.clone()
    }

    pub(crate) fn tombstones(&self) -> Vec<u32> {
        let rows = (0..).zip(&self.records);
        rows.filter(|(_, record)| record.value == Content::Null)
            .map(|(row, _)| row)
            .collect()
    }

    pub(crate) fn fields(&self) -> Result<Vec<Field>, Failure> {
        let mut schemas = self.records.iter().flat_map(|record| &record.value_schema);
        if let Some(fields) = schemas.next().and_then(|schema| schema::fields(schema)) {
            return Ok(fields);
        }
        let mut fields: Vec<Field> = Vec::new();
        for record in &self.records {
            match &record.value {
                Content::Null => {}
                Content::Json(Value::Object(object)) => {
                    for (name, value) in object {
                        let kind = kind(value).to_owned();
                        match fields.iter_mut().find(|known| known.name == *name) {
                            Some(known) if known.kind == "null" => known.kind = kind,
                            Some(_) => {}
                            None => fields.push(Field {
                                name: name.clone(),
                                kind,
                                optional: true,
                            }),
                        }
                    }
                }
                _ => return Err(Failure::Fatal("the values have no structure".to_owned())),
            }
        }
        Ok(fields)
    }

    pub(crate) fn read(
        &self,
        parts: Part,
        key: Encoding,
        value: Encoding,
    ) -> Result<Columns, Failure> {
        let column = |wanted, encoding, content: fn(&TestRecord) -> &Content| {
            if parts.contains(wanted) {
                self.column(encoding, content)
            } else {
                Ok(empty())
            }
        };
        let positions = parts.contains(Part::POSITIONS);
        let schemas = if parts.contains(Part::SCHEMAS) {
            Schemas::of(&self.records)
        } else {
            Schemas::default()
        };
        Ok(Columns {
            rows: self.length(),
            topics: vec![self.topic.clone()],
            topic: Vec::new(),
            partitions: self.list(positions, |_, record| record.partition.unwrap_or(0)),
            offsets: self.list(positions, |row, _| self.first_offset + row),
            timestamps: self.list(parts.contains(Part::TIMESTAMPS), |_, record| {
                record.timestamp.unwrap_or(-1)
            }),
            key_encoding: key,
            keys: column(Part::KEYS, key, |record| &record.key)?,
            value_encoding: value,
            values: column(Part::VALUES, value, |record| &record.value)?,
            headers: parts.contains(Part::HEADERS).then(|| self.headers()),
            schemas: schemas.all,
            key_schema: schemas.keys,
            value_schema: schemas.values,
        })
    }

    fn list<T>(&self, wanted: bool, entry: impl Fn(i64, &TestRecord) -> T) -> Vec<T> {
        let rows = (0..).zip(&self.records).filter(|_| wanted);
        rows.map(|(row, record)| entry(row, record)).collect()
    }

    fn column(
        &self,
        encoding: Encoding,
        content: fn(&TestRecord) -> &Content,
    ) -> Result<ByteColumn, Failure> {
        let mut column = ColumnBuilder::default();
        for (row, record) in self.records.iter().enumerate() {
            if let Some(bytes) = encode(content(record), encoding)? {
                column.set(row, &bytes);
            }
        }
        Ok(column.finish(self.records.len()))
    }

    fn headers(&self) -> HeaderColumn {
        let (mut keys, mut values) = (ColumnBuilder::default(), ColumnBuilder::default());
        let all = self.records.iter().flat_map(|record| &record.headers);
        let mut count = 0;
        for (row, (key, value)) in all.enumerate() {
            keys.set(row, key.as_bytes());
            if let Some(value) = value {
                values.set(row, value);
            }
            count = row + 1;
        }
        let length = |record: &TestRecord| u16::try_from(record.headers.len()).unwrap_or(u16::MAX);
        HeaderColumn {
            counts: self.records.iter().map(length).collect(),
            keys: keys.finish(count),
            values: values.finish(count),
        }
    }
}

fn encode(content: &Content, encoding: Encoding) -> Result<Option<Vec<u8>>, Failure> {
    let refuse = |what: &str| Failure::Fatal(format!("the test harness does not know {what}"));
    match (encoding, content) {
        (_, Content::Null) => Ok(None),
        (Encoding::Cbor, _) => Err(refuse("CBOR")),
        (_, Content::Json(value)) => Ok(Some(value.to_string().into_bytes())),
        (Encoding::Raw, Content::Bytes(bytes)) => Ok(Some(bytes.clone())),
        (Encoding::Raw, Content::Text(text)) => Ok(Some(text.clone().into_bytes())),
        (Encoding::Json, Content::Text(text)) => {
            Ok(Some(Value::from(text.as_str()).to_string().into_bytes()))
        }
        (Encoding::Json, Content::Bytes(_)) => Err(refuse("bytes as JSON")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::Array(_) => "array",
        Value::Object(_) => "struct",
    }
}

fn empty() -> ByteColumn {
    ByteColumn {
        lengths: Vec::new(),
        data: Vec::new(),
    }
}
