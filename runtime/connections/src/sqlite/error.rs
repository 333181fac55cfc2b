//! SQLite's errors as the guest sees them.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};
use tidegate_sandbox::SqlError;

/// Why a row was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// The row is at fault; the others can be written.
    Row(String),
    /// Nothing can be written.
    Whole(SqlError),
}

/// Whether the row or everything failed.
pub(super) fn failure(file: &Path, error: &Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            Failure::Row(format!("{}: {}", code(error), message(error)))
        }
        _ => Failure::Whole(whole(file, error)),
    }
}

/// The error of a call.
pub(super) fn whole(file: &Path, error: &Error) -> SqlError {
    let (code, message, file) = (code(error), message(error), file.display());
    let unavailable =
        |what: &str| SqlError::Unavailable(format!("database {file} {what} ({code}: {message})"));
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            unavailable("is busy with another writer")
        }
        Some(ErrorCode::DiskFull) => unavailable("has no space left; free some on its disk"),
        Some(ErrorCode::SystemIoFailure) => unavailable("cannot be read or written"),
        Some(ErrorCode::CannotOpen) => unavailable("cannot be opened; check its permissions"),
        Some(ErrorCode::OutOfMemory) => unavailable("takes more memory than there is"),
        Some(ErrorCode::OperationInterrupted) => unavailable("was interrupted"),
        Some(ErrorCode::FileLockingProtocolFailed) => unavailable("cannot be locked"),
        _ => SqlError::Rejected {
            code: code.into_owned(),
            message: format!("database {file}: {message}"),
        },
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// SQLite's name of the extended code.
fn code(error: &Error) -> std::borrow::Cow<'static, str> {
    let (Error::SqliteFailure(error, _) | Error::SqlInputError { error, .. }) = error else {
        return "SQLITE".into();
    };
    match error.extended_code {
        ffi::SQLITE_CONSTRAINT_CHECK => "SQLITE_CONSTRAINT_CHECK",
        ffi::SQLITE_CONSTRAINT_DATATYPE => "SQLITE_CONSTRAINT_DATATYPE",
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "SQLITE_CONSTRAINT_FOREIGNKEY",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "SQLITE_CONSTRAINT_NOTNULL",
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "SQLITE_CONSTRAINT_PRIMARYKEY",
        ffi::SQLITE_CONSTRAINT_ROWID => "SQLITE_CONSTRAINT_ROWID",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "SQLITE_CONSTRAINT_TRIGGER",
        ffi::SQLITE_CONSTRAINT_UNIQUE => "SQLITE_CONSTRAINT_UNIQUE",
        ffi::SQLITE_BUSY_SNAPSHOT => "SQLITE_BUSY_SNAPSHOT",
        other => match other & 0xff {
            ffi::SQLITE_ERROR => "SQLITE_ERROR",
            ffi::SQLITE_AUTH => "SQLITE_AUTH",
            ffi::SQLITE_BUSY => "SQLITE_BUSY",
            ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
            ffi::SQLITE_NOMEM => "SQLITE_NOMEM",
            ffi::SQLITE_READONLY => "SQLITE_READONLY",
            ffi::SQLITE_INTERRUPT => "SQLITE_INTERRUPT",
            ffi::SQLITE_IOERR => "SQLITE_IOERR",
            ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
            ffi::SQLITE_FULL => "SQLITE_FULL",
            ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
            ffi::SQLITE_SCHEMA => "SQLITE_SCHEMA",
            ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
            ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
            _ => return format!("SQLITE_{other}").into(),
        },
    }
    .into()
}
