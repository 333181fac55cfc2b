//! Columns that were read from a batch, seen as rows.

use serde::de::DeserializeOwned;

use crate::bindings::records::Columns;
use crate::columns::Cursor;
use crate::failure::{Failure, Result};

/// What was read from a batch. Iterate over a reference to it.
#[derive(Debug)]
pub struct Rows {
    columns: Columns,
    topic: String,
}

/// One record. A part that was not read, or that the record does not have, is `None`.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Its number in the batch, for [`Errant`](crate::Errant).
    pub index: u32,
    /// The topic it came from.
    pub topic: &'a str,
    /// Its Kafka partition.
    pub partition: Option<i32>,
    /// Its Kafka offset.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
    /// The schema of the key, in Connect's JSON form.
    pub key_schema: Option<&'a str>,
    /// The schema of the value, in Connect's JSON form.
    pub value_schema: Option<&'a str>,
}

impl Row<'_> {
    /// The value as a Rust type, from JSON: read the batch with
    /// [`values_json`](crate::Batch::values_json). Null is JSON's `null`.
    pub fn value_as<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.value.unwrap_or(b"null"))
            .map_err(|error| Failure::from(error).context("read the value"))
    }

    /// The value as text; an error names the row.
    pub fn value_str(&self) -> Result<Option<&str>> {
        let text = self.value.map(std::str::from_utf8).transpose();
        text.map_err(|error| {
            Failure::from(error).context(format!("read row {} as text", self.index))
        })
    }
}

/// The headers of one record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: u16,
    keys: Option<Cursor<'a>>,
    values: Option<Cursor<'a>>,
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let key = self
            .keys
            .as_mut()
            .and_then(Cursor::step)
            .unwrap_or_default();
        let value = self.values.as_mut().and_then(Cursor::step);
        Some(Header {
            key: std::str::from_utf8(key).unwrap_or_default(),
            value,
        })
    }
}

impl Rows {
    pub(crate) fn new(columns: Columns, topic: String) -> Self {
        Self { columns, topic }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        usize::try_from(self.columns.rows).unwrap_or(usize::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.columns.rows == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> Iter<'_> {
        let headers = self.columns.headers.as_ref();
        Iter {
            rows: self,
            index: 0,
            keys: Cursor::new(&self.columns.keys),
            values: Cursor::new(&self.columns.values),
            headers: Headers {
                left: 0,
                keys: headers.map(|h| Cursor::new(&h.keys)),
                values: headers.map(|h| Cursor::new(&h.values)),
            },
        }
    }

    /// The values in order, without anything else; the fastest way.
    pub fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut cursor = Cursor::new(&self.columns.values);
        (0..self.columns.rows).map(move |_| cursor.step())
    }

    /// Bytes of all values together.
    pub fn value_bytes(&self) -> usize {
        self.columns.values.data.len()
    }

    fn schema(&self, indexes: &[u16], row: usize, everyone: bool) -> Option<&str> {
        let index = if indexes.is_empty() && everyone {
            Some(&0)
        } else {
            indexes.get(row)
        };
        self.columns
            .schemas
            .get(usize::from(*index?))
            .map(String::as_str)
    }

    fn topic(&self, row: usize) -> &str {
        let index = self.columns.topic.get(row).copied().unwrap_or(0);
        self.columns
            .topics
            .get(usize::from(index))
            .map_or(&self.topic, |topic| topic)
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = Row<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The rows of a batch, one after the other.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rows: &'a Rows,
    index: u32,
    keys: Cursor<'a>,
    values: Cursor<'a>,
    headers: Headers<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let columns = &self.rows.columns;
        if self.index >= columns.rows {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let row = usize::try_from(index).ok()?;
        Some(Row {
            index,
            topic: self.rows.topic(row),
            partition: columns.partitions.get(row).copied(),
            offset: columns.offsets.get(row).copied(),
            timestamp: columns
                .timestamps
                .get(row)
                .copied()
                .filter(|millis| *millis >= 0),
            key: self.keys.step(),
            value: self.values.step(),
            headers: self.take_headers(row),
            key_schema: self.rows.schema(&columns.key_schema, row, false),
            value_schema: self.rows.schema(&columns.value_schema, row, true),
        })
    }
}

impl<'a> Iter<'a> {
    /// The headers of row `row`; the shared cursors move past them.
    fn take_headers(&mut self, row: usize) -> Headers<'a> {
        let counts = self
            .rows
            .columns
            .headers
            .as_ref()
            .map(|headers| &headers.counts);
        self.headers.left = counts
            .and_then(|counts| counts.get(row))
            .copied()
            .unwrap_or(0);
        let mine = self.headers.clone();
        if mine.left > 0 {
            self.headers.by_ref().for_each(drop);
        }
        mine
    }
}
