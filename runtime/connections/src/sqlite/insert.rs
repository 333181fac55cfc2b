//! Rows into a table.

use std::{borrow::Cow, collections::BTreeSet};

use tidegate_sandbox::{Errant, SinkBatch, SqlError, ValueSource, Write};

use super::{
    bind::Parameters,
    doomed::Doomed,
    error::{self, Failure},
    identifier,
    link::Db,
};
use crate::{cut_off::CutOff, row_values::RowValues};

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
    if how.mode != "insert" {
        return Err(SqlError::Denied(format!(
            "insert.mode {:?} is not available; use insert",
            how.mode
        )));
    }
    let rows = rows(batch, selection)?;
    let sql = statement(how)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let begins = !db.in_transaction();
    if begins {
        db.begin()?;
    }
    let written = db.host("SAVEPOINT tidegate").and_then(|()| {
        let errants = insert(db, cut_off, batch, &rows, how, &sql)?;
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
    // What a retry may cure, it cures with a transaction of its own.
    if !taken_back || (!begins && matches!(error, SqlError::Unavailable(_))) {
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

fn statement(how: &Write) -> Result<String, SqlError> {
    let mut names = BTreeSet::new();
    let mut columns = Vec::with_capacity(how.columns.len());
    for (column, source) in &how.columns {
        columns.push(identifier::quoted(column)?);
        if !names.insert(column.to_ascii_lowercase()) {
            return Err(SqlError::Denied(format!(
                "column {column:?} is written twice; name it once"
            )));
        }
        if let ValueSource::ValueField(path) = source
            && path.len() > identifier::MAX_NAME_BYTES
        {
            return Err(SqlError::Denied(format!(
                "the field for column {column:?} has a path longer than {} bytes",
                identifier::MAX_NAME_BYTES
            )));
        }
    }
    let table = identifier::table(&how.table)?;
    if columns.is_empty() {
        return Err(SqlError::Denied(format!(
            "nothing is written to table {:?}; name at least one column",
            how.table
        )));
    }
    let marks = vec!["?"; columns.len()].join(", ");
    Ok(format!(
        "INSERT INTO {table} ({}) VALUES ({marks})",
        columns.join(", ")
    ))
}

fn insert(
    db: &Db,
    cut_off: &CutOff,
    batch: &SinkBatch,
    rows: &[u32],
    how: &Write,
    sql: &str,
) -> Result<Vec<Errant>, SqlError> {
    let mut statement = db
        .connection
        .prepare_cached(sql)
        .map_err(|error| db.failed(&error))?;
    let mut errants = Vec::new();
    let mut parameters = Parameters {
        statement: &mut statement,
        file: &db.file,
        scratch: Vec::new(),
    };
    let values = RowValues::new(batch, how);
    for row in rows {
        cut_off.check()?;
        let bound = bind_row(&mut parameters, &values, *row as usize, how);
        let done = bound.and_then(|()| {
            let executed = parameters.statement.raw_execute();
            executed.map_err(|error| error::failure(&db.file, &error))
        });
        match done {
            Ok(_) => {}
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

fn bind_row(
    parameters: &mut Parameters<'_, '_>,
    values: &RowValues<'_>,
    row: usize,
    how: &Write,
) -> Result<(), Failure> {
    let row = values
        .row(row)
        .ok_or_else(|| Failure::Row("the batch has no such row".to_owned()))?;
    for (index, (column, source)) in how.columns.iter().enumerate() {
        let found = row
            .get(source)
            .map_err(|reason| Failure::Row(format!("column {column:?}: {reason}")))?;
        parameters.value(index + 1, column, (found.schema, &found.value))?;
    }
    Ok(())
}
