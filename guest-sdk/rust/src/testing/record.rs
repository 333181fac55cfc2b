//! A record as a test writes or sees it.

use serde_json::Value;

/// A key or a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// Kafka's null.
    #[default]
    Null,
    /// Bytes of unknown meaning.
    Bytes(Vec<u8>),
    /// A string.
    Text(String),
    /// A structured value.
    Json(Value),
}

/// One record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestRecord {
    /// Its topic.
    pub topic: String,
    /// Its Kafka partition, if one is set.
    pub partition: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Content,
    /// The value.
    pub value: Content,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The schema of the key, in Connect's JSON form.
    pub key_schema: Option<String>,
    /// The schema of the value, in Connect's JSON form.
    pub value_schema: Option<String>,
}

impl TestRecord {
    /// A record whose value is a string.
    pub fn text(value: &str) -> Self {
        Self {
            value: Content::Text(value.to_owned()),
            ..Self::default()
        }
    }

    /// A record whose value is bytes.
    pub fn bytes(value: &[u8]) -> Self {
        Self {
            value: Content::Bytes(value.to_owned()),
            ..Self::default()
        }
    }

    /// A record with a structured value.
    pub fn json(value: Value) -> Self {
        Self {
            value: Content::Json(value),
            ..Self::default()
        }
    }

    /// A record without a value.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Content::Text(key.to_owned());
        self
    }

    /// With a structured key.
    #[must_use]
    pub fn json_key(mut self, key: Value) -> Self {
        self.key = Content::Json(key);
        self
    }

    /// With a schema of the key, in Connect's JSON form.
    #[must_use]
    pub fn key_schema(mut self, schema: &Value) -> Self {
        self.key_schema = Some(schema.to_string());
        self
    }

    /// With a schema of the value, in Connect's JSON form.
    #[must_use]
    pub fn value_schema(mut self, schema: &Value) -> Self {
        self.value_schema = Some(schema.to_string());
        self
    }

    /// With milliseconds since the epoch.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// In this Kafka partition; 0 if not set.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, key: &str, value: &[u8]) -> Self {
        self.headers.push((key.to_owned(), Some(value.to_owned())));
        self
    }
}

impl Content {
    /// Its raw form, as a string; empty for null.
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Text(text) => text.clone(),
            Self::Json(value) => value.to_string(),
        }
    }

    /// As JSON, for what a database stores.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Json(value) => value.clone(),
            Self::Bytes(_) | Self::Text(_) => Value::from(self.to_text()),
        }
    }
}
