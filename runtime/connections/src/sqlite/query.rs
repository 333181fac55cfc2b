//! A running query on its thread, over a connection that cannot write.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{
    Batch, Connection, ErrorCode, OpenFlags, Rows, Statement, fallible_iterator::FallibleIterator,
};
use tidegate_sandbox::{SinkBatch, SqlError, SqlValue};
use tokio::sync::{mpsc, oneshot};

use super::{
    authorizer,
    bind::{Parameters, Problem},
    cursor::{Query, Request},
    error::{self, Failure},
    link, read_rows,
};
use crate::row_values;

/// Answers requests until the cursor is dropped or something fails.
pub(super) fn run(
    query: Query,
    stop: &Arc<AtomicBool>,
    opened: oneshot::Sender<Result<(), SqlError>>,
    requests: mpsc::Receiver<Request>,
) {
    let connection = match open(&query, stop) {
        Ok(connection) => connection,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    match prepare(&connection, &query) {
        Ok(mut statement) => {
            let _ = opened.send(Ok(()));
            answer(&query.file, &mut statement, stop, requests);
        }
        Err(error) => {
            let _ = opened.send(Err(error));
        }
    }
}

fn open(query: &Query, stop: &Arc<AtomicBool>) -> Result<Connection, SqlError> {
    let failed = |error: rusqlite::Error| error::whole(&query.file, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(&query.file, flags).map_err(failed)?;
    connection
        .busy_timeout(query.lock_timeout)
        .map_err(failed)?;
    link::harden(&connection).map_err(failed)?;
    authorizer::read_only(&connection);
    link::stop_when(&connection, stop);
    Ok(connection)
}

fn prepare<'a>(connection: &'a Connection, query: &'a Query) -> Result<Statement<'a>, SqlError> {
    let failed = |error: rusqlite::Error| match error {
        error if is_denied(&error) => SqlError::Denied(format!(
            "a query only reads tables and views of its database; take out what does more ({error})"
        )),
        error => error::whole(&query.file, &error),
    };
    let one = || SqlError::Denied("a query is one statement; run several as several".to_owned());
    let mut statements = Batch::new(connection, &query.statement);
    let mut statement = statements.next().map_err(failed)?.ok_or_else(one)?;
    // Whatever follows, even what is no statement at all, is one too many.
    if !matches!(statements.next(), Ok(None)) {
        return Err(one());
    }
    read_rows::check_columns(&statement)?;
    bind(&query.file, &mut statement, &query.parameters)?;
    Ok(statement)
}

fn is_denied(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied)
        // Of functions it says so in words only.
        || error.to_string().starts_with("not authorized")
}

fn bind(
    file: &Path,
    statement: &mut Statement<'_>,
    parameters: &[SqlValue],
) -> Result<(), SqlError> {
    let wanted = statement.parameter_count();
    if wanted != parameters.len() {
        return Err(SqlError::Denied(format!(
            "the statement has {wanted} parameters and was given {}; give as many",
            parameters.len()
        )));
    }
    let mut scratch = Vec::new();
    for (number, parameter) in (1..).zip(parameters) {
        let wrong = |problem| SqlError::Denied(format!("parameter {number}: {problem}"));
        let value = row_values::constant(parameter).map_err(wrong)?;
        let mut parameters = Parameters {
            statement: &mut *statement,
            file,
            scratch: &mut scratch,
        };
        parameters
            .value(number, (None, &value))
            .map_err(|problem| match problem {
                Problem::Value(problem) | Problem::Statement(Failure::Row(problem)) => {
                    wrong(problem)
                }
                Problem::Statement(Failure::Whole(error)) => error,
            })?;
    }
    Ok(())
}

fn answer(
    file: &Path,
    statement: &mut Statement<'_>,
    stop: &AtomicBool,
    mut requests: mpsc::Receiver<Request>,
) {
    let names = read_rows::names(statement);
    let mut rows: Rows<'_> = statement.raw_query();
    let mut first = 0;
    while let Some(Request { max, answer }) = requests.blocking_recv() {
        let read = match stop.load(Ordering::SeqCst) {
            true => return,
            false => read_rows::read(file, &names, &mut rows, first, max),
        };
        let failed = read.is_err();
        if let Ok(Some(batch)) = &read {
            first += SinkBatch::len(batch);
        }
        let _ = answer.send(read);
        // Asked again, SQLite would say that there are no more rows.
        if failed {
            return;
        }
    }
}
