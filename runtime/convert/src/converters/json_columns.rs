//! JsonConverter over whole columns: the same bytes as record by record, with less work.

use std::sync::Arc;

use tidegate_model::columns::{ByteColumn, Encoding};

use crate::{
    converter::{Converter, RowError},
    converters::{
        envelope::{self, Beginning},
        json::JsonConverter,
    },
    decoded::{DecodedColumn, Form},
    encoded::EncodedColumn,
    error::ConvertError,
    forms,
    json::{
        node::Node,
        scan::{self, Scan},
        write as json,
    },
    payload::{read, write},
    schema::{Schema, Type},
    value::SchemaAndValue,
};

/// Without an envelope a record is passed on as it is, once it is known to be JSON; and, unless
/// they may be bent later, that its numbers can be taken for what they are.
pub(crate) fn decode_plain(kafka: ByteColumn, coerce: bool) -> (DecodedColumn, Vec<RowError>) {
    let mut stack = Vec::new();
    let mut errors = Vec::new();
    // Rows that cannot stay as they are, and what becomes of them.
    let mut changed: Vec<(usize, Option<Vec<u8>>)> = Vec::new();
    for (row, bytes) in kafka.iter().enumerate() {
        let Some(bytes) = bytes else { continue };
        let mut is_wide = false;
        let scanned = scan::scan(bytes, &mut stack, &mut is_wide);
        if is_wide
            && !coerce
            && let Err(error) = Node::parse(bytes).and_then(|node| read::check_numbers(&node))
        {
            errors.push(RowError::new(row, error));
            changed.push((row, None));
            continue;
        }
        match scanned {
            Ok(Scan::Strict) => {}
            Ok(Scan::Null) => changed.push((row, None)),
            Ok(Scan::Lenient) => changed.push((row, strict(bytes).ok())),
            Err(error) => {
                errors.push(RowError::new(row, error));
                changed.push((row, None));
            }
        }
    }
    let column = if changed.is_empty() {
        kafka
    } else {
        replaced(&kafka, changed)
    };
    (
        DecodedColumn::packed(Form::Json(Arc::new(column)), None),
        errors,
    )
}

fn strict(bytes: &[u8]) -> Result<Vec<u8>, ConvertError> {
    let mut out = Vec::with_capacity(bytes.len());
    json::node(&mut out, &Node::parse(bytes)?);
    Ok(out)
}

fn replaced(column: &ByteColumn, changed: Vec<(usize, Option<Vec<u8>>)>) -> ByteColumn {
    let mut out = ByteColumn::with_capacity(column.len(), column.bytes());
    let mut changed = changed.into_iter().peekable();
    for (row, bytes) in column.iter().enumerate() {
        match changed.next_if(|(changed, _)| *changed == row) {
            Some((_, new)) => out.push(new.as_deref()),
            None => out.push(bytes),
        }
    }
    out
}

/// Records whose schema has the same text as the one before share it without a look-up.
pub(crate) fn decode_envelopes(
    converter: &JsonConverter,
    kafka: &ByteColumn,
) -> (DecodedColumn, Vec<RowError>) {
    let mut stack = Vec::new();
    let mut last: Option<(&str, Option<Arc<Schema>>)> = None;
    let mut beginning: Option<Beginning<'_>> = None;
    // The lifetime of the rows is that of the column, so the last text can be kept as it is.
    let mut rows = kafka.iter();
    DecodedColumn::convert(kafka, |bytes| {
        let row = rows.next().flatten();
        let (Some(row), None) = (row, &converter.fixed_schema) else {
            return converter.to_connect(bytes);
        };
        if let (Some(beginning), Some((_, schema))) = (&beginning, &last)
            && let Some(value) = beginning.value(row, schema.as_ref(), converter.nulls)
        {
            let schema = schema.clone();
            return value.map(|value| SchemaAndValue { schema, value });
        }
        let (text, payload) = envelope::split(row, &mut stack)?;
        let schema = match &last {
            Some((known, schema)) if *known == text => schema.clone(),
            _ => {
                let schema = converter.cache.get(text)?;
                last = Some((text, schema.clone()));
                schema
            }
        };
        beginning = Beginning::of(row, text, payload);
        let value = converter.read(schema.as_ref(), &Node::parse_span(payload)?)?;
        Ok(SchemaAndValue { schema, value })
    })
}

/// What a guest built, as JSON; envelopes are made of text prepared once a schema.
pub(crate) fn encode(
    converter: &JsonConverter,
    input: EncodedColumn,
) -> (ByteColumn, Vec<RowError>) {
    let schemaless_json = input.encoding == Encoding::Json && input.all_schemas(|s| s.is_none());
    if schemaless_json && !converter.envelope {
        // Decoding checks and mends the rows just as they have to be here.
        let (column, errors) = decode_plain(input.bytes, true);
        return (column.into_packed(), errors);
    }
    let prefixes = Prefixes::new(converter, &input.schemas);
    let mut out = ByteColumn::with_capacity(input.bytes.len(), input.bytes.bytes());
    let mut errors = Vec::new();
    let mut record = Vec::new();
    let mut stack = Vec::new();
    for (row, bytes) in input.bytes.iter().enumerate() {
        let Some(bytes) = bytes else {
            out.push(None);
            continue;
        };
        record.clear();
        let written = input.schema_number(row).and_then(|number| {
            let schema = number.and_then(|number| input.schemas.get(number));
            record.extend_from_slice(prefixes.get(number)?);
            let some = payload(
                converter,
                input.encoding,
                schema,
                bytes,
                &mut record,
                &mut stack,
            )?;
            if converter.envelope {
                record.push(b'}');
            }
            Ok(some)
        });
        match written {
            Ok(some) => out.push(some.then_some(&record)),
            Err(error) => {
                out.push(None);
                errors.push(RowError::new(row, error));
            }
        }
    }
    (out, errors)
}

/// Appends one row's payload; false if the record is Kafka's null instead.
fn payload(
    converter: &JsonConverter,
    encoding: Encoding,
    schema: Option<&Arc<Schema>>,
    bytes: &[u8],
    out: &mut Vec<u8>,
    stack: &mut Vec<bool>,
) -> Result<bool, ConvertError> {
    match (encoding, schema) {
        (Encoding::Raw, Some(schema))
            if schema.kind == Type::String && schema.logical().is_none() =>
        {
            json::string(out, forms::read::utf8(bytes)?);
        }
        (Encoding::Json, None) => match scan::scan(bytes, stack, &mut false)? {
            Scan::Strict => out.extend_from_slice(bytes.trim_ascii()),
            Scan::Lenient => json::node(out, &Node::parse(bytes)?),
            Scan::Null => return Ok(false),
        },
        _ => {
            let value = forms::read::read(encoding, schema, bytes)?;
            if schema.is_none() && value.is_null() {
                return Ok(false);
            }
            write::write(out, schema.map(AsRef::as_ref), &value, converter.format)?;
        }
    }
    Ok(true)
}

/// What comes before the payload, for each schema and for none.
struct Prefixes {
    none: Vec<u8>,
    some: Vec<Result<Vec<u8>, ConvertError>>,
}

impl Prefixes {
    fn new(converter: &JsonConverter, schemas: &[Arc<Schema>]) -> Self {
        let prefix = |schema: Option<&Schema>| {
            if converter.envelope {
                envelope::prefix(schema, converter.format)
            } else {
                Ok(Vec::new())
            }
        };
        Self {
            none: prefix(None).unwrap_or_default(),
            some: schemas.iter().map(|schema| prefix(Some(schema))).collect(),
        }
    }

    fn get(&self, number: Option<usize>) -> Result<&[u8], ConvertError> {
        match number.and_then(|number| self.some.get(number)) {
            None => Ok(&self.none),
            Some(Ok(prefix)) => Ok(prefix),
            Some(Err(error)) => Err(error.clone()),
        }
    }
}
