//! What a write asks for, checked before a server is asked.

use tidegate_sandbox::{SqlError, ValueSource, Write};

use super::super::identifier;

/// Longer paths would be copied into every message.
const MAX_PATH_BYTES: usize = 1_000;

/// How rows become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Insert,
    Upsert,
    Update,
    Delete,
}

/// A checked write.
pub(in crate::postgres) struct Request {
    pub(super) mode: Mode,
    /// Quoted.
    pub(super) table: String,
    pub(super) columns: Vec<Wanted>,
    pub(super) delete_tombstones: bool,
}

/// A column that takes part.
pub(super) struct Wanted {
    /// Its place in [`Write::columns`].
    pub(super) place: usize,
    /// Quoted.
    pub(super) name: String,
    pub(super) is_identity: bool,
}

impl Request {
    /// # Errors
    /// If it can never work.
    pub(in crate::postgres) fn new(how: &Write) -> Result<Self, SqlError> {
        let mode = match how.mode.as_str() {
            "insert" => Mode::Insert,
            "upsert" => Mode::Upsert,
            "update" => Mode::Update,
            "delete" => Mode::Delete,
            other => {
                return denied(format!(
                    "insert.mode {other:?} is not known; use insert, upsert, update or delete"
                ));
            }
        };
        let mut columns: Vec<Wanted> = Vec::with_capacity(how.columns.len());
        for (place, (name, source)) in how.columns.iter().enumerate() {
            let quoted = identifier::quoted(name)?;
            if columns.iter().any(|other| other.name == quoted) {
                return denied(format!("column {name:?} is written twice; name it once"));
            }
            if let ValueSource::ValueField(path) | ValueSource::KeyField(path) = source
                && path.len() > MAX_PATH_BYTES
            {
                return denied(format!(
                    "the field for column {name:?} has a path longer than {MAX_PATH_BYTES} bytes"
                ));
            }
            columns.push(Wanted {
                place,
                name: quoted,
                is_identity: how.identity.contains(name),
            });
        }
        let table = identifier::table(&how.table)?;
        check_identity(how, mode)?;
        if mode == Mode::Delete {
            columns.retain(|column| column.is_identity);
        }
        if columns.is_empty() {
            return denied(format!(
                "nothing is written to table {:?}; name at least one column",
                how.table
            ));
        }
        if mode == Mode::Update && columns.iter().all(|column| column.is_identity) {
            return denied(format!(
                "an update of table {:?} changes nothing: all columns identify its rows; name \
                 another one, or use insert.mode=upsert",
                how.table
            ));
        }
        Ok(Self {
            mode,
            table,
            columns,
            delete_tombstones: how.delete_tombstones,
        })
    }
}

fn check_identity(how: &Write, mode: Mode) -> Result<(), SqlError> {
    let written = |name: &&String| how.columns.iter().any(|(column, _)| column == *name);
    if let Some(name) = how.identity.iter().find(|name| !written(name)) {
        return denied(format!(
            "column {name:?} identifies rows but is not written; name where its value comes from"
        ));
    }
    if how.identity.is_empty() && (mode != Mode::Insert || how.delete_tombstones) {
        let what = match mode {
            Mode::Insert => "to delete by tombstones",
            _ => &how.mode,
        };
        return denied(format!(
            "{what} takes columns that identify a row of table {:?}; set pk.mode and pk.fields",
            how.table
        ));
    }
    Ok(())
}

fn denied<T>(reason: String) -> Result<T, SqlError> {
    Err(SqlError::Denied(reason))
}
