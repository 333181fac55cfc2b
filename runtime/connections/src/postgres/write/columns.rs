//! Rows as columns of encoded fields, in the form that both COPY and array parameters have: a
//! length (-1: NULL) and as many bytes.

use std::collections::HashMap;

use tidegate_convert::{Schema, Value};
use tidegate_sandbox::{Errant, SinkBatch, SqlValue, ValueSource, Write};
use tokio::task::yield_now;

use super::{
    super::encode::{self, Misfit},
    plan::{Column, Plan, Transport},
    request::Mode,
};
use crate::row_values::{Row, RowValues};

/// Bytes that are encoded in one go: others wait for the thread.
const YIELD_BYTES: usize = 256 * 1024;

/// Encoded rows.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Fields>,
    /// Which row of the batch each is.
    numbers: Vec<u32>,
    /// Whether each deletes.
    tombstones: Vec<bool>,
    shapes: Shapes,
}

/// Which columns rows have no field for. Nearly always all rows are alike.
#[derive(Debug)]
struct Shapes {
    /// The shape of each row.
    of_rows: Vec<u32>,
    /// The columns that each shape lacks; the first lacks none.
    lacking: Vec<Vec<usize>>,
    numbers: HashMap<Vec<usize>, u32>,
}

impl Shapes {
    fn with_capacity(rows: usize) -> Self {
        Self {
            of_rows: Vec::with_capacity(rows),
            lacking: vec![Vec::new()],
            numbers: HashMap::new(),
        }
    }

    fn push(&mut self, lacking: &[usize]) {
        let shape = self.number(lacking);
        self.of_rows.push(shape);
    }

    fn number(&mut self, lacking: &[usize]) -> u32 {
        if lacking.is_empty() {
            return 0;
        }
        if let Some(known) = self.numbers.get(lacking) {
            return *known;
        }
        let number = u32::try_from(self.lacking.len()).unwrap_or(u32::MAX);
        self.lacking.push(lacking.to_vec());
        self.numbers.insert(lacking.to_vec(), number);
        number
    }
}

#[derive(Debug, Default)]
struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    /// Appends what `write` writes, or NULL if it answers that there is nothing.
    fn push(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, Misfit>,
    ) -> Result<bool, Misfit> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        let is_there = write(&mut self.bytes)?;
        if is_there {
            let length = self.bytes.len() - start - 4;
            let length = i32::try_from(length).map_err(|_| Misfit::new("it is too long"))?;
            if let Some(place) = self.bytes.get_mut(start..start + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        self.ends.push(self.bytes.len());
        Ok(is_there)
    }

    /// Takes back all fields after the first `rows`.
    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = match row.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        let end = self.ends.get(row).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The field in `row`, its length in front.
    pub(super) fn field(&self, column: usize, row: u32) -> &[u8] {
        let fields = self.columns.get(column);
        fields.map_or(&[], |fields| fields.get(row as usize))
    }

    /// Bytes of all fields.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(|fields| fields.bytes.len()).sum()
    }

    pub(super) fn is_tombstone(&self, row: u32) -> bool {
        self.tombstones.get(row as usize).copied().unwrap_or(false)
    }

    /// Whether some rows have no field for some columns.
    pub(super) fn have_gaps(&self) -> bool {
        self.shapes.lacking.len() > 1
    }

    /// Which rows lack the same columns.
    pub(super) fn shape(&self, row: u32) -> u32 {
        self.shapes.of_rows.get(row as usize).copied().unwrap_or(0)
    }

    /// The columns that rows of `shape` have no field for.
    pub(super) fn lacking(&self, shape: u32) -> &[usize] {
        let lacking = self.shapes.lacking.get(shape as usize);
        lacking.map_or(&[], Vec::as_slice)
    }

    /// Lets rows have NULL in the columns that they lack and that are not `kept`.
    pub(super) fn fill_gaps(&mut self, kept: impl Fn(usize) -> bool) {
        let mut shapes = Shapes::with_capacity(self.len());
        let mut renumbered = Vec::with_capacity(self.shapes.lacking.len());
        for lacking in &self.shapes.lacking {
            let lacking: Vec<_> = lacking.iter().copied().filter(|c| kept(*c)).collect();
            renumbered.push(shapes.number(&lacking));
        }
        let new = |old: &u32| renumbered.get(*old as usize).copied().unwrap_or(0);
        shapes.of_rows = self.shapes.of_rows.iter().map(new).collect();
        self.shapes = shapes;
    }

    /// Which row of the batch it is.
    pub(super) fn number(&self, row: u32) -> u32 {
        self.numbers.get(row as usize).copied().unwrap_or(0)
    }
}

/// Encodes rows for the columns of `plan`; rows that have no place in them are answered instead.
pub(super) async fn encode(
    batch: &SinkBatch,
    rows: &[u32],
    how: &Write,
    plan: &Plan,
) -> (Columns, Vec<Errant>) {
    let values = RowValues::new(batch, how);
    let constants: Vec<_> = plan.columns.iter().map(|c| constant(how, c)).collect();
    let mut encoded = Columns {
        columns: plan.columns.iter().map(|_| Fields::default()).collect(),
        numbers: Vec::with_capacity(rows.len()),
        tombstones: Vec::with_capacity(rows.len()),
        shapes: Shapes::with_capacity(rows.len()),
    };
    let mut errants = Vec::new();
    let mut lacking = Vec::new();
    let mut yielded_bytes = 0;
    for number in rows {
        let tombstone = plan.delete_tombstones && batch.values.is_null(*number as usize);
        lacking.clear();
        let added = match values.row(*number as usize) {
            Some(row) => add(
                &mut encoded,
                plan,
                how,
                &constants,
                &row,
                tombstone,
                &mut lacking,
            ),
            None => Err("the batch has no such row".to_owned()),
        };
        match added {
            Ok(()) => {
                encoded.numbers.push(*number);
                encoded.tombstones.push(tombstone);
                encoded.shapes.push(&lacking);
            }
            Err(reason) => {
                let whole = encoded.numbers.len();
                for fields in &mut encoded.columns {
                    fields.truncate(whole);
                }
                errants.push(Errant {
                    row: *number,
                    reason,
                });
            }
        }
        let bytes = encoded.bytes();
        if bytes > yielded_bytes + YIELD_BYTES {
            yielded_bytes = bytes;
            yield_now().await;
        }
    }
    (encoded, errants)
}

fn add(
    encoded: &mut Columns,
    plan: &Plan,
    how: &Write,
    constants: &[Option<Constant>],
    row: &Row<'_>,
    tombstone: bool,
    lacking: &mut Vec<usize>,
) -> Result<(), String> {
    let columns = plan.columns.iter().zip(&mut encoded.columns);
    for ((column, fields), constant) in columns.zip(constants) {
        let problem = |reason: &str| format!("column {}: {reason}", column.name);
        if tombstone && !column.is_identity {
            fields.push(|_| Ok(false)).map_err(|m| problem(&m.reason))?;
            continue;
        }
        let is_there = match constant {
            Some(Ok(bytes)) => fields.push(|out| {
                out.extend_from_slice(bytes.as_deref().unwrap_or_default());
                Ok(bytes.is_some())
            }),
            Some(Err(misfit)) => Err(misfit.clone()),
            None => {
                let (_, source) = how.columns.get(column.place).ok_or("no such column")?;
                match row.get(source).map_err(|reason| problem(&reason))? {
                    Some(found) => {
                        let pushed =
                            fields.push(|out| value(out, column, found.schema, &found.value));
                        pushed.map_err(|misfit| {
                            misfit.of(found.schema, &found.value, &column.declared)
                        })
                    }
                    None => {
                        lacking.push(column.field);
                        fields.push(|_| Ok(false))
                    }
                }
            }
        };
        if !is_there.map_err(|misfit| problem(&misfit.reason))? && column.is_identity {
            return Err(problem("it identifies the row and is null"));
        }
    }
    if lacking.is_empty() || tombstone {
        return Ok(());
    }
    let needed = match plan.mode {
        Mode::Update => plan.identity().count() + 1,
        Mode::Insert | Mode::Upsert => 1,
        Mode::Delete => 0,
    };
    if plan.columns.len() - lacking.len() < needed {
        return Err("the record has none of the fields that are written".to_owned());
    }
    Ok(())
}

/// Writes a value as its column wants it; answers whether it is more than NULL.
fn value(
    out: &mut Vec<u8>,
    column: &Column,
    schema: Option<&Schema>,
    value: &Value,
) -> Result<bool, Misfit> {
    if value.is_null() {
        return Ok(false);
    }
    match column.transport {
        Transport::Native => encode::binary(&column.declared.kind, out, schema, value)?,
        Transport::Text => encode::text(&column.declared.kind, out, schema, value)?,
    }
    Ok(true)
}

/// The same field in every row; none: NULL.
type Constant = Result<Option<Vec<u8>>, Misfit>;

fn constant(how: &Write, column: &Column) -> Option<Constant> {
    let Some((_, ValueSource::Constant(constant))) = how.columns.get(column.place) else {
        return None;
    };
    let mut out = Vec::new();
    let written = match (constant, column.transport) {
        (SqlValue::TimestampMicros(micros), Transport::Native) => {
            encode::instant(&column.declared.kind, &mut out, *micros).map(|()| true)
        }
        (SqlValue::Text(text), Transport::Text) => {
            encode::plain_text(&mut out, text).map(|()| true)
        }
        _ => match crate::row_values::constant(constant) {
            Ok(plain) => value(&mut out, column, None, &plain)
                .map_err(|misfit| misfit.of(None, &plain, &column.declared)),
            Err(reason) => Err(Misfit::new(&reason)),
        },
    };
    Some(written.map(|is_there| is_there.then_some(out)))
}
