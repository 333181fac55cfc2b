//! From what a guest wants written to SQL.

use std::collections::BTreeSet;

use tidegate_sandbox::{SqlError, ValueSource, Write};

use super::identifier;

/// The statements of one `write`.
pub(super) struct Plan<'a> {
    how: &'a Write,
    table: String,
    columns: Vec<Parameter<'a>>,
    /// What becomes of a row.
    pub(super) write: Operation<'a>,
    /// What becomes of a row without a value, if that is something else.
    pub(super) delete: Option<Operation<'a>>,
}

/// A statement and what its parameters take their values from.
pub(super) struct Operation<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// One parameter.
#[derive(Clone, Copy)]
pub(super) struct Parameter<'a> {
    pub(super) column: &'a str,
    pub(super) source: &'a ValueSource,
    /// Whether it is part of what identifies a row.
    pub(super) identifies: bool,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// If `how` makes no sense or names what must not be written.
    pub(super) fn new(how: &'a Write) -> Result<Self, SqlError> {
        let table = identifier::table(&how.table)?;
        let columns = columns(how)?;
        check_identity(how)?;
        let write = operation(how, &table, &columns)?;
        let delete = match how.delete_tombstones {
            true => Some(delete(&table, &columns)?),
            false => None,
        };
        Ok(Self {
            how,
            table,
            columns,
            write,
            delete,
        })
    }

    /// What becomes of a row that has values only for the columns that are `there`; none: nothing
    /// can, since too few are.
    ///
    /// # Errors
    /// None that [`Self::new`] has not had.
    pub(super) fn partial(
        &self,
        there: impl Fn(&Parameter<'_>) -> bool,
    ) -> Result<Option<Operation<'a>>, SqlError> {
        let columns: Vec<_> = self.columns.iter().copied().filter(there).collect();
        let has_all_identity = self.how.identity.len() <= split(&columns).0.len();
        let is_enough = match self.how.mode.as_str() {
            "update" => columns.len() > self.how.identity.len(),
            _ => !columns.is_empty(),
        };
        if !has_all_identity || !is_enough {
            return Ok(None);
        }
        operation(self.how, &self.table, &columns).map(Some)
    }
}

fn operation<'a>(
    how: &Write,
    table: &str,
    columns: &[Parameter<'a>],
) -> Result<Operation<'a>, SqlError> {
    Ok(match how.mode.as_str() {
        "insert" => Operation {
            sql: insert(table, columns)?,
            parameters: columns.to_vec(),
        },
        "upsert" => Operation {
            sql: format!("{} {}", insert(table, columns)?, on_conflict(columns)?),
            parameters: columns.to_vec(),
        },
        "update" => update(how, table, columns)?,
        "delete" => delete(table, columns)?,
        other => {
            return Err(SqlError::Denied(format!(
                "insert.mode {other:?} is not known to sqlite; use insert, upsert, update or \
                 delete"
            )));
        }
    })
}

fn columns(how: &Write) -> Result<Vec<Parameter<'_>>, SqlError> {
    let mut names = BTreeSet::new();
    let mut columns = Vec::with_capacity(how.columns.len());
    for (column, source) in &how.columns {
        if !names.insert(column.to_ascii_lowercase()) {
            return Err(SqlError::Denied(format!(
                "column {column:?} is written twice; name it once"
            )));
        }
        if let ValueSource::ValueField(path) | ValueSource::KeyField(path) = source
            && path.len() > identifier::MAX_NAME_BYTES
        {
            return Err(SqlError::Denied(format!(
                "the field for column {column:?} has a path longer than {} bytes",
                identifier::MAX_NAME_BYTES
            )));
        }
        columns.push(Parameter {
            column,
            source,
            identifies: how.identity.iter().any(|name| same(name, column)),
        });
    }
    if columns.is_empty() {
        return Err(SqlError::Denied(format!(
            "nothing is written to table {:?}; name at least one column",
            how.table
        )));
    }
    Ok(columns)
}

fn check_identity(how: &Write) -> Result<(), SqlError> {
    let mut names = BTreeSet::new();
    for name in &how.identity {
        if !how.columns.iter().any(|(column, _)| same(column, name)) {
            return Err(SqlError::Denied(format!(
                "identity {name:?} is not among the columns that are written; add it to them"
            )));
        }
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(SqlError::Denied(format!(
                "identity {name:?} is named twice; name it once"
            )));
        }
    }
    if how.identity.is_empty() && (how.mode != "insert" || how.delete_tombstones) {
        return Err(SqlError::Denied(format!(
            "writing table {:?} needs the columns that identify a row, since it does more than \
             insert; name them",
            how.table
        )));
    }
    Ok(())
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn insert(table: &str, columns: &[Parameter<'_>]) -> Result<String, SqlError> {
    let marks = vec!["?"; columns.len()].join(", ");
    let names = names(columns.iter(), "")?.join(", ");
    Ok(format!("INSERT INTO {table} ({names}) VALUES ({marks})"))
}

fn on_conflict(columns: &[Parameter<'_>]) -> Result<String, SqlError> {
    let (identity, others) = split(columns);
    let target = names(identity.iter(), "")?.join(", ");
    if others.is_empty() {
        return Ok(format!("ON CONFLICT ({target}) DO NOTHING"));
    }
    let mut changes = Vec::with_capacity(others.len());
    for column in others {
        let name = identifier::quoted(column.column)?;
        changes.push(format!("{name} = excluded.{name}"));
    }
    let changes = changes.join(", ");
    Ok(format!("ON CONFLICT ({target}) DO UPDATE SET {changes}"))
}

fn update<'a>(
    how: &Write,
    table: &str,
    columns: &[Parameter<'a>],
) -> Result<Operation<'a>, SqlError> {
    let (identity, others) = split(columns);
    if others.is_empty() {
        return Err(SqlError::Denied(format!(
            "an update of table {:?} needs a column besides those that identify the row",
            how.table
        )));
    }
    let changes = names(others.iter(), " = ?")?.join(", ");
    let these = names(identity.iter(), " = ?")?.join(" AND ");
    Ok(Operation {
        sql: format!("UPDATE {table} SET {changes} WHERE {these}"),
        parameters: others.into_iter().chain(identity).collect(),
    })
}

fn delete<'a>(table: &str, columns: &[Parameter<'a>]) -> Result<Operation<'a>, SqlError> {
    let (identity, _) = split(columns);
    let these = names(identity.iter(), " = ?")?.join(" AND ");
    Ok(Operation {
        sql: format!("DELETE FROM {table} WHERE {these}"),
        parameters: identity,
    })
}

fn split<'a>(columns: &[Parameter<'a>]) -> (Vec<Parameter<'a>>, Vec<Parameter<'a>>) {
    columns.iter().partition(|column| column.identifies)
}

fn names<'a>(
    columns: impl Iterator<Item = &'a Parameter<'a>>,
    behind: &str,
) -> Result<Vec<String>, SqlError> {
    let name = |column: &Parameter<'_>| {
        identifier::quoted(column.column).map(|quoted| format!("{quoted}{behind}"))
    };
    columns.map(name).collect()
}
