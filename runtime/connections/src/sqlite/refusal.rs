//! What SQLite's refusals say to somebody who knows the table but not the statement.

use std::cell::OnceCell;

use rusqlite::ErrorCode;
use tidegate_sandbox::{SqlError, Table, Write};

use super::{bind::Problem, error::Failure, link::Db, plan::Parameter, table};
use crate::row_values::{Found, Row};

/// Whether an upsert found no index to find rows by.
pub(super) fn lacks_index(error: &rusqlite::Error) -> bool {
    let message = error.to_string();
    message.contains("ON CONFLICT clause does not match")
}

/// Why a statement for `how` could not be prepared.
pub(super) fn of_statement(db: &Db, how: &Write, error: &rusqlite::Error) -> SqlError {
    if !lacks_index(error) {
        return db.failed(error);
    }
    let columns = how.identity.join(", ");
    SqlError::Rejected {
        code: "SQLITE_ERROR".to_owned(),
        message: format!(
            "table {table:?} has no primary key and no unique index on ({columns}), and upsert \
             finds rows by one; create it with CREATE UNIQUE INDEX {index} ON {table} ({columns})",
            table = how.table,
            index = ["by", &how.identity.join("_")].join("_"),
        ),
    }
}

/// The columns of a table, looked up when a message needs them.
pub(super) struct Columns<'a> {
    db: &'a Db,
    table: &'a str,
    found: OnceCell<Option<Table>>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(db: &'a Db, table: &'a str) -> Self {
        Self {
            db,
            table,
            found: OnceCell::new(),
        }
    }

    /// A value that SQLite cannot hold, or would not hold as it is.
    pub(super) fn refused(&self, column: &str, found: &Found<'_>, problem: Problem) -> Failure {
        match problem {
            Problem::Value(problem) => Failure::Row(format!(
                "{} cannot take a value of type {}: {problem}",
                self.named(column),
                kind(found)
            )),
            Problem::Statement(failure) => failure,
        }
    }

    /// SQLite does not say which column has another type than the value.
    pub(super) fn explained(
        &self,
        failure: Failure,
        error: &rusqlite::Error,
        parameters: &[Parameter<'_>],
        row: &Row<'_>,
    ) -> Failure {
        let Failure::Row(reason) = failure else {
            return failure;
        };
        if error.sqlite_error_code() != Some(ErrorCode::TypeMismatch) {
            return Failure::Row(reason);
        }
        // Only the number of a row is so strict.
        let key = self.table().map(|table| table.primary_key.as_slice());
        let Some([number]) = key else {
            return Failure::Row(reason);
        };
        let is_number = |parameter: &&Parameter<'_>| parameter.column.eq_ignore_ascii_case(number);
        match parameters
            .iter()
            .find(is_number)
            .map(|parameter| row.get(parameter.source))
        {
            Some(Ok(Some(found))) => Failure::Row(format!(
                "{reason}: {} cannot take a value of type {}",
                self.named(number),
                kind(&found)
            )),
            _ => Failure::Row(reason),
        }
    }

    fn named(&self, name: &str) -> String {
        let columns = self.table().map(|table| table.columns.as_slice());
        let column = columns
            .unwrap_or_default()
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name));
        match column {
            Some(column) if !column.kind.is_empty() => {
                format!("column {name:?} of type {}", column.kind)
            }
            _ => format!("column {name:?}"),
        }
    }

    fn table(&self) -> Option<&Table> {
        // A message without the type is better than none.
        let look = || table::describe(self.db, self.table).ok().flatten();
        self.found.get_or_init(look).as_ref()
    }
}

fn kind(found: &Found<'_>) -> &'static str {
    match found.schema {
        Some(schema) => schema.kind_name(),
        None => found.value.type_name(),
    }
}
