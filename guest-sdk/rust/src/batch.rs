//! A batch of records that lives on the host.

use crate::bindings::records as wire;
use crate::failure::Result;
use crate::rows::Rows;

/// What a batch is made of: the host's handle, or in native tests its stand-in.
#[cfg(target_family = "wasm")]
pub type Held = wire::Batch;
/// What a batch is made of: the host's handle, or in native tests its stand-in.
#[cfg(not(target_family = "wasm"))]
pub type Held = crate::testing::TestBatch;

/// Records of one topic and one value schema. Nothing is copied before it is asked for.
#[derive(Debug)]
pub struct Batch(pub(crate) Held);

/// How the bytes of keys or values look; the table in `wit/records.wit` has the details.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Text and bytes as they are, everything else as JSON text.
    #[default]
    Raw,
    /// JSON.
    Json,
    /// CBOR.
    Cbor,
}

/// A top-level field of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Connect's type (`int64`, `string`, ...) or logical type name; where a schema says what an
    /// array holds, with that: `array<int32>`.
    pub kind: String,
    /// Whether it may be null or absent.
    pub optional: bool,
}

/// Which parts of a batch to copy, and how they shall look.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    parts: wire::Part,
    key: Encoding,
    value: Encoding,
}

impl Read {
    /// Values only.
    pub fn values(encoding: Encoding) -> Self {
        Self {
            parts: wire::Part::VALUES,
            key: Encoding::Raw,
            value: encoding,
        }
    }

    /// Keys only.
    pub fn keys(encoding: Encoding) -> Self {
        Self {
            parts: wire::Part::KEYS,
            key: encoding,
            value: Encoding::Raw,
        }
    }

    /// Schemas only.
    pub fn schemas() -> Self {
        Self {
            parts: wire::Part::SCHEMAS,
            key: Encoding::Raw,
            value: Encoding::Raw,
        }
    }

    /// Everything except schemas.
    pub fn all(encoding: Encoding) -> Self {
        let all = Self::values(encoding).and_keys(encoding).and_positions();
        all.and_timestamps().and_headers()
    }

    /// Keys too.
    #[must_use]
    pub fn and_keys(mut self, encoding: Encoding) -> Self {
        self.key = encoding;
        self.with(wire::Part::KEYS)
    }

    /// Partitions and offsets too.
    #[must_use]
    pub fn and_positions(self) -> Self {
        self.with(wire::Part::POSITIONS)
    }

    /// Timestamps too.
    #[must_use]
    pub fn and_timestamps(self) -> Self {
        self.with(wire::Part::TIMESTAMPS)
    }

    /// Headers too.
    #[must_use]
    pub fn and_headers(self) -> Self {
        self.with(wire::Part::HEADERS)
    }

    /// Schemas too.
    #[must_use]
    pub fn and_schemas(self) -> Self {
        self.with(wire::Part::SCHEMAS)
    }

    fn with(mut self, part: wire::Part) -> Self {
        self.parts |= part;
        self
    }
}

impl Batch {
    /// How many records it has.
    pub fn len(&self) -> usize {
        usize::try_from(self.0.length()).unwrap_or(usize::MAX)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The topic of all records.
    pub fn topic(&self) -> String {
        self.0.topic()
    }

    /// The rows whose value is null.
    pub fn tombstones(&self) -> Vec<u32> {
        self.0.tombstones()
    }

    /// The fields of the values, from their schema or from what is in them. Fails where values
    /// have no structure.
    pub fn fields(&self) -> Result<Vec<Field>> {
        let field = |f: wire::Field| Field {
            name: f.name,
            kind: f.kind,
            optional: f.optional,
        };
        Ok(self.0.fields()?.into_iter().map(field).collect())
    }

    /// Copies keys, values, positions, timestamps and headers, all raw.
    pub fn rows(&self) -> Result<Rows> {
        self.read(Read::all(Encoding::Raw))
    }

    /// Copies the values alone, raw.
    pub fn values_raw(&self) -> Result<Rows> {
        self.read(Read::values(Encoding::Raw))
    }

    /// Copies the values alone, as JSON texts for [`Row::value_as`](crate::Row::value_as).
    pub fn values_json(&self) -> Result<Rows> {
        self.read(Read::values(Encoding::Json))
    }

    /// Copies what `read` names.
    pub fn read(&self, read: Read) -> Result<Rows> {
        let columns = self.0.read(read.parts, read.key.into(), read.value.into());
        let mut columns = columns?;
        // Saves a call where the host says it with the columns.
        if columns.topics.is_empty() {
            columns.topics.push(self.topic());
        }
        Ok(Rows::new(columns))
    }
}

impl From<Encoding> for wire::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Raw => Self::Raw,
            Encoding::Json => Self::Json,
            Encoding::Cbor => Self::Cbor,
        }
    }
}
