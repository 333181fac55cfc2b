//! A column of keys or values that came from Kafka.

use std::{
    borrow::Cow,
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

use tidegate_model::columns::{ByteColumn, Encoding};

use crate::{
    converter::RowError,
    encoded::NO_SCHEMA,
    error::ConvertError,
    forms,
    json::{
        cursor::Cursor,
        node::{Node, unescaped},
        write as json,
    },
    payload::read::{self, Nulls},
    schema::Schema,
    value::{SchemaAndValue, Value},
};

/// Rows that a converter has accepted. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct DecodedColumn {
    form: Form,
    schemas: Vec<Arc<Schema>>,
    /// As in [`crate::EncodedColumn`].
    index: Vec<u16>,
    /// Where each row begins, for those who ask for single rows.
    starts: Arc<OnceLock<Vec<usize>>>,
}

/// How the rows are kept: as little unpacked as can be.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// UTF-8 text that is each row's string.
    Text(Arc<ByteColumn>),
    /// The bytes that are each row's value.
    Bytes(Arc<ByteColumn>),
    /// RFC 8259 text of each row's schemaless value, never `null`.
    Json(Arc<ByteColumn>),
    /// Values.
    Values(Arc<Vec<Value>>),
}

impl DecodedColumn {
    /// A column that was not unpacked, all rows with `schema`.
    pub(crate) fn packed(form: Form, schema: Option<Arc<Schema>>) -> Self {
        Self {
            form,
            schemas: schema.into_iter().collect(),
            index: Vec::new(),
            starts: Arc::default(),
        }
    }

    /// A column of values, as they come out of transforms. Only as many different schemas as the
    /// guest's index can count have a place: rows with further ones become null and are listed.
    pub fn from_rows(rows: impl IntoIterator<Item = SchemaAndValue>) -> (Self, Vec<RowError>) {
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        let mut numbers: HashMap<*const Schema, u16> = HashMap::new();
        let rows = rows.into_iter();
        let mut values = Vec::with_capacity(rows.size_hint().0);
        let mut index = Vec::with_capacity(rows.size_hint().0);
        let mut errors = Vec::new();
        // Rows mostly have the schema of the row before.
        let mut last: Option<(*const Schema, u16)> = None;
        for (row, SchemaAndValue { schema, mut value }) in rows.enumerate() {
            let number = match (schema, last) {
                (None, _) => NO_SCHEMA,
                (Some(schema), Some((known, number))) if Arc::as_ptr(&schema) == known => number,
                (Some(schema), _) => match numbers.get(&Arc::as_ptr(&schema)) {
                    Some(number) => *number,
                    None => match u16::try_from(schemas.len()) {
                        Ok(number) if number < NO_SCHEMA => {
                            // The column holds the schema, so that the address stays its own.
                            numbers.insert(Arc::as_ptr(&schema), number);
                            last = Some((Arc::as_ptr(&schema), number));
                            schemas.push(schema);
                            number
                        }
                        _ => {
                            errors.push(RowError::new(row, ConvertError::TooManySchemas));
                            value = Value::Null;
                            NO_SCHEMA
                        }
                    },
                },
            };
            values.push(value);
            index.push(number);
        }
        if schemas.is_empty() || (schemas.len() == 1 && index.iter().all(|number| *number == 0)) {
            index = Vec::new();
        }
        let form = Form::Values(Arc::new(values));
        (
            Self {
                form,
                schemas,
                index,
                starts: Arc::default(),
            },
            errors,
        )
    }

    /// Row for row through `convert`; rows that fail become null.
    pub(crate) fn convert(
        kafka: &ByteColumn,
        mut convert: impl FnMut(Option<&[u8]>) -> Result<SchemaAndValue, ConvertError>,
    ) -> (Self, Vec<RowError>) {
        let mut errors = Vec::new();
        let mut last: Option<Arc<Schema>> = None;
        let address = |schema: &Option<Arc<Schema>>| schema.as_ref().map(Arc::as_ptr);
        let rows = kafka.iter().enumerate();
        let rows = rows.map(|(row, bytes)| match convert(bytes) {
            Ok(converted) => {
                if address(&last) != address(&converted.schema) {
                    last.clone_from(&converted.schema);
                }
                converted
            }
            Err(error) => {
                errors.push(RowError::new(row, error));
                // A bad row shall not split the batch, so it passes for its neighbour.
                SchemaAndValue {
                    schema: last.clone(),
                    value: Value::Null,
                }
            }
        });
        let (column, more) = Self::from_rows(rows);
        errors.extend(more);
        (column, errors)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Text(column) | Form::Bytes(column) | Form::Json(column) => column.len(),
            Form::Values(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `row` is null, for the guest a tombstone.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.form {
            Form::Text(column) | Form::Bytes(column) | Form::Json(column) => {
                column.lengths().get(row).is_none_or(|length| *length < 0)
            }
            Form::Values(values) => values.get(row).is_none_or(Value::is_null),
        }
    }

    /// All rows in the form of the table in `wit/records.wit`. Borrowed where the column has that
    /// form already: text and bytes in raw, schemaless JSON in json.
    ///
    /// # Errors
    /// If a row has no such form, such as a decimal with an exponent in the millions.
    pub fn read(&self, encoding: Encoding) -> Result<Cow<'_, ByteColumn>, ConvertError> {
        match (&self.form, encoding) {
            (Form::Text(column) | Form::Bytes(column), Encoding::Raw)
            | (Form::Json(column), Encoding::Json) => return Ok(Cow::Borrowed(column)),
            (Form::Json(column), Encoding::Raw) if !column.iter().flatten().any(is_string) => {
                return Ok(Cow::Borrowed(column));
            }
            _ => {}
        }
        let mut out = ByteColumn::with_capacity(self.len(), 0);
        let mut row_bytes = Vec::new();
        match &self.form {
            Form::Values(values) => {
                for (row, value) in values.iter().enumerate() {
                    row_bytes.clear();
                    if value.is_null() {
                        out.push(None);
                        continue;
                    }
                    let schema = self.schema(row).map(AsRef::as_ref);
                    forms::write::write(&mut row_bytes, encoding, schema, value)?;
                    out.push(Some(&row_bytes));
                }
            }
            Form::Json(column) if encoding == Encoding::Raw => {
                for bytes in column.iter() {
                    out.push(bytes.map(unquoted).as_deref());
                }
            }
            Form::Text(column) if encoding == Encoding::Json => {
                for bytes in column.iter() {
                    row_bytes.clear();
                    let text = bytes.map(String::from_utf8_lossy);
                    out.push(text.map(|text| {
                        json::string(&mut row_bytes, &text);
                        &*row_bytes
                    }));
                }
            }
            Form::Text(column) | Form::Bytes(column) | Form::Json(column) => {
                for bytes in column.iter() {
                    row_bytes.clear();
                    match bytes {
                        Some(bytes) => {
                            forms::write::write(
                                &mut row_bytes,
                                encoding,
                                None,
                                &self.unpack(bytes),
                            )?;
                            out.push(Some(&row_bytes));
                        }
                        None => out.push(None),
                    }
                }
            }
        }
        Ok(Cow::Owned(out))
    }

    fn unpack(&self, bytes: &[u8]) -> Value {
        match &self.form {
            Form::Text(_) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
            Form::Bytes(_) => Value::Bytes(bytes.to_vec()),
            // The text was checked when the column was made, and such values have no errors.
            Form::Json(_) => Node::parse(bytes)
                .and_then(|node| {
                    read::read(
                        None,
                        &node,
                        Nulls {
                            coerce: true,
                            replace: true,
                            strict: false,
                        },
                    )
                })
                .unwrap_or(Value::Null),
            Form::Values(_) => Value::Null,
        }
    }

    /// Bytes of a row of a column that is not unpacked; `None` if it is null or there is no such
    /// row.
    pub(crate) fn packed_row(&self, row: usize) -> Option<&[u8]> {
        let (Form::Text(column) | Form::Bytes(column) | Form::Json(column)) = &self.form else {
            return None;
        };
        let starts = self.starts.get_or_init(|| {
            let mut next = 0;
            let start = |length: &i32| {
                let start = next;
                next += usize::try_from(*length).unwrap_or_default();
                start
            };
            column.lengths().iter().map(start).collect()
        });
        let length = usize::try_from(*column.lengths().get(row)?).ok()?;
        let start = *starts.get(row)?;
        column.data().get(start..start + length)
    }

    /// The value of `row`, unpacked if need be; `None` if there is no such row.
    pub fn value(&self, row: usize) -> Option<Cow<'_, Value>> {
        if let Form::Values(values) = &self.form {
            return values.get(row).map(Cow::Borrowed);
        }
        let value = match self.packed_row(row) {
            Some(bytes) => self.unpack(bytes),
            None if row < self.len() => Value::Null,
            None => return None,
        };
        Some(Cow::Owned(value))
    }

    /// The schema of `row`.
    pub fn schema(&self, row: usize) -> Option<&Arc<Schema>> {
        if self.index.is_empty() {
            return self.schemas.first();
        }
        self.schemas.get(usize::from(*self.index.get(row)?))
    }

    /// Distinct schemas, and the index into them a row, [`NO_SCHEMA`] for none. An empty index:
    /// all rows have the first schema, or none if there is none.
    pub fn schemas(&self) -> (Vec<Arc<Schema>>, Vec<u16>) {
        (self.schemas.clone(), self.index.clone())
    }

    /// Runs of rows with the same schema, as long as can be; none if there are no rows.
    pub fn schema_runs(&self) -> Vec<Range<usize>> {
        if self.index.is_empty() {
            let all = 0..self.len();
            return if all.is_empty() {
                Vec::new()
            } else {
                vec![all]
            };
        }
        let mut start = 0;
        self.index
            .chunk_by(|one, next| one == next)
            .map(|run| {
                let range = start..start + run.len();
                start = range.end;
                range
            })
            .collect()
    }

    /// A column of only the rows that `keep` accepts, in order.
    pub fn filtered(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let kept: Vec<bool> = (0..self.len()).map(&mut keep).collect();
        let keeps = |row: usize| kept.get(row).copied().unwrap_or_default();
        let packed = |column: &ByteColumn| Arc::new(column.filtered(keeps));
        let form = match &self.form {
            Form::Text(column) => Form::Text(packed(column)),
            Form::Bytes(column) => Form::Bytes(packed(column)),
            Form::Json(column) => Form::Json(packed(column)),
            Form::Values(values) => {
                let rows = values.iter().enumerate().filter(|(row, _)| keeps(*row));
                Form::Values(Arc::new(rows.map(|(_, value)| value.clone()).collect()))
            }
        };
        let rows = self.index.iter().enumerate().filter(|(row, _)| keeps(*row));
        let index: Vec<u16> = rows.map(|(_, number)| *number).collect();
        // An empty index would give all rows the first schema, but there are no rows then.
        Self {
            form,
            schemas: self.schemas.clone(),
            index,
            starts: Arc::default(),
        }
    }

    /// The column inside of one that was not unpacked; empty otherwise.
    pub(crate) fn into_packed(self) -> ByteColumn {
        match self.form {
            Form::Text(column) | Form::Bytes(column) | Form::Json(column) => {
                Arc::unwrap_or_clone(column)
            }
            Form::Values(_) => ByteColumn::default(),
        }
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }
}

fn is_string(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'"')
}

/// Raw of a JSON text: strings without quotes and escapes, anything else as it is.
fn unquoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut cursor = Cursor::new(bytes);
    cursor.skip_space();
    match cursor.string().map(unescaped) {
        Ok(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(bytes),
    }
}
