//! Rows into a table, one after the other.

use std::borrow::Cow;

use rusqlite::CachedStatement;
use tidegate_sandbox::{Errant, SinkBatch, SqlError, Write};

use super::{
    bind::Parameters,
    doomed::Doomed,
    error::{self, Failure},
    link::Db,
    plan::{Operation, Parameter, Plan},
    refusal::{self, Columns},
};
use crate::{
    cut_off::CutOff,
    row_values::{Row, RowValues},
};

/// Writes the selected rows of `batch` (none: all) in the put's transaction, which it begins if
/// need be: all but those it answers, or none.
pub(super) fn write(
    db: &Db,
    doomed: &Doomed,
    cut_off: &CutOff,
    batch: &SinkBatch,
    selection: Option<&[u32]>,
    how: &Write,
) -> Result<Vec<Errant>, SqlError> {
    let rows = rows(batch, selection)?;
    let plan = Plan::new(how)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let begins = !db.in_transaction();
    if begins {
        db.begin().inspect_err(|_| doomed.doom())?;
    }
    let written = db.host("SAVEPOINT tidegate").and_then(|()| {
        let errants = write_rows(db, cut_off, batch, &rows, how, &plan)?;
        db.host("RELEASE tidegate")?;
        Ok(errants)
    });
    let Err(error) = written else {
        return written;
    };
    let taken_back = if !db.in_transaction() {
        // SQLite has rolled everything back by itself, earlier writes too.
        begins
    } else if begins {
        db.rollback().is_ok()
    } else {
        db.host("ROLLBACK TO tidegate; RELEASE tidegate").is_ok()
    };
    // What a retry may cure, it cures with a put of its own: whatever the guest makes of the answer,
    // offsets must not be stored without these rows.
    if !taken_back || matches!(error, SqlError::Unavailable(_)) {
        doomed.doom();
    }
    Err(error)
}

fn rows<'a>(batch: &SinkBatch, selection: Option<&'a [u32]>) -> Result<Cow<'a, [u32]>, SqlError> {
    let count = batch.len();
    let Some(selection) = selection else {
        let all = 0..u32::try_from(count).unwrap_or(u32::MAX);
        return Ok(all.collect::<Vec<_>>().into());
    };
    match selection.iter().find(|row| **row as usize >= count) {
        Some(row) => Err(SqlError::Denied(format!(
            "row {row} is not in the batch of {count} rows"
        ))),
        None => Ok(selection.into()),
    }
}

fn write_rows(
    db: &Db,
    cut_off: &CutOff,
    batch: &SinkBatch,
    rows: &[u32],
    how: &Write,
    plan: &Plan<'_>,
) -> Result<Vec<Errant>, SqlError> {
    let mut write = Prepared::new(db, how, &plan.write)?;
    let mut delete = match &plan.delete {
        Some(operation) => Some(Prepared::new(db, how, operation)?),
        None => None,
    };
    let columns = Columns::new(db, &how.table);
    let values = RowValues::new(batch, how);
    let mut errants = Vec::new();
    for row in rows {
        cut_off.check()?;
        let index = *row as usize;
        let operation = match &mut delete {
            Some(delete) if batch.values.is_null(index) => delete,
            _ => &mut write,
        };
        let done = match values.row(index) {
            Some(values) => match operation.run(db, &values, &columns) {
                Ok(Done::Lacking) => partial(db, how, plan, &values, &columns),
                Ok(Done::Written) => Ok(()),
                Err(failure) => Err(failure),
            },
            None => Err(Failure::Row("the batch has no such row".to_owned())),
        };
        match done {
            Ok(()) => {}
            Err(Failure::Row(reason)) if db.in_transaction() => {
                errants.push(Errant { row: *row, reason });
            }
            // RAISE(ROLLBACK) and ON CONFLICT ROLLBACK end the transaction: without it the
            // next rows would be committed one by one.
            Err(Failure::Row(reason)) => {
                return Err(SqlError::Rejected {
                    code: "SQLITE_CONSTRAINT".to_owned(),
                    message: format!(
                        "table {:?} rolls the whole put back for row {row}; use ABORT instead of \
                         ROLLBACK in its constraints and triggers ({reason})",
                        how.table
                    ),
                });
            }
            Err(Failure::Whole(error)) => return Err(error),
        }
    }
    Ok(errants)
}

/// A row without some of the fields: what it does not have is not written.
fn partial(
    db: &Db,
    how: &Write,
    plan: &Plan<'_>,
    row: &Row<'_>,
    columns: &Columns<'_>,
) -> Result<(), Failure> {
    let is_there = |column: &Parameter<'_>| !matches!(row.get(column.source), Ok(None));
    let Some(operation) = plan.partial(is_there).map_err(Failure::Whole)? else {
        let reason = "the record has none of the fields that are written";
        return Err(Failure::Row(reason.to_owned()));
    };
    let mut prepared = Prepared::new(db, how, &operation).map_err(Failure::Whole)?;
    prepared.run(db, row, columns).map(drop)
}

/// What became of a row.
enum Done {
    Written,
    /// Nothing: it has no such field.
    Lacking,
}

/// An operation ready to take rows.
struct Prepared<'a> {
    statement: CachedStatement<'a>,
    parameters: &'a [Parameter<'a>],
    /// Space for texts.
    scratch: Vec<u8>,
}

impl<'a> Prepared<'a> {
    fn new(db: &'a Db, how: &Write, operation: &'a Operation<'a>) -> Result<Self, SqlError> {
        let prepare = || db.connection.prepare_cached(&operation.sql);
        let prepared = match prepare() {
            // SQLite looks for it in the tables as it knows them; somebody may have made it since.
            Err(error) if refusal::lacks_index(&error) => db.reload().and_then(|()| prepare()),
            prepared => prepared,
        };
        Ok(Self {
            statement: prepared.map_err(|error| refusal::of_statement(db, how, &error))?,
            parameters: &operation.parameters,
            scratch: Vec::new(),
        })
    }

    fn run(&mut self, db: &Db, row: &Row<'_>, columns: &Columns<'_>) -> Result<Done, Failure> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            let column = parameter.column;
            let found = row
                .get(parameter.source)
                .map_err(|reason| Failure::Row(format!("column {column:?}: {reason}")))?;
            let is_null = found.as_ref().is_none_or(|found| found.value.is_null());
            if parameter.identifies && is_null {
                return Err(Failure::Row(format!(
                    "column {column:?} is null, and rows are told apart by it"
                )));
            }
            let Some(found) = found else {
                return Ok(Done::Lacking);
            };
            let mut parameters = Parameters {
                statement: &mut self.statement,
                file: &db.file,
                scratch: &mut self.scratch,
            };
            parameters
                .value(index + 1, (found.schema, &found.value))
                .map_err(|problem| columns.refused(column, &found, problem))?;
        }
        match self.statement.raw_execute() {
            Ok(_) => Ok(Done::Written),
            Err(error) => Err(columns.explained(
                error::failure(&db.file, &error),
                &error,
                self.parameters,
                row,
            )),
        }
    }
}
