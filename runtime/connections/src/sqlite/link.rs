//! One open database file of one session.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, limits::Limit};
use tidegate_sandbox::SqlError;

use super::{authorizer::HostStatement, error};

/// The largest value or row.
const MAX_ROW_BYTES: i32 = 256 << 20;
/// Triggers that call triggers.
const MAX_TRIGGER_DEPTH: i32 = 50;
/// No wait is longer; SQLite counts milliseconds in 32 bits.
pub(super) const MAX_BUSY_TIMEOUT: Duration = Duration::from_secs(3_600);
/// SQLite's instructions between looks at whether to stop: well below a millisecond.
const STOP_CHECK_STEPS: i32 = 10_000;

/// A file and the way to stop what runs on it.
pub(crate) struct Link {
    db: Mutex<Db>,
    stop: Arc<AtomicBool>,
}

impl Link {
    /// Opens `file`, a canonical path, and makes it if there is none.
    pub(crate) fn open(file: &Path, busy_timeout: Duration) -> Result<Self, SqlError> {
        let db = Db::open(file, busy_timeout)?;
        let stop = Arc::<AtomicBool>::default();
        stop_when(&db.connection, &stop);
        Ok(Self {
            db: Mutex::new(db),
            stop,
        })
    }

    /// Waits for the call at work, which may be one that was cut off.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Db> {
        let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        // It was meant for the one before.
        self.stop.store(false, Ordering::SeqCst);
        db
    }

    /// Stops the call at work, for good: the next one begins after it.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Statements of `connection` fail soon after `stop` is set.
pub(super) fn stop_when(connection: &Connection, stop: &Arc<AtomicBool>) {
    // Not sqlite3_interrupt: it forgets a call that is just about to run its statement.
    let stopped = Arc::clone(stop);
    let handler = move || stopped.load(Ordering::SeqCst);
    connection.progress_handler(STOP_CHECK_STEPS, Some(handler));
}

/// The file may come from anywhere, and lead nowhere else.
pub(super) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, MAX_TRIGGER_DEPTH)?;
    Ok(())
}

/// An open file.
pub(crate) struct Db {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    host: HostStatement,
}

impl Db {
    fn open(file: &Path, busy_timeout: Duration) -> Result<Self, SqlError> {
        let failed = |error: rusqlite::Error| error::whole(file, &error);
        // The path was checked: a link that takes the place of one of its directories now shall
        // lead nowhere.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
        connection.busy_timeout(busy_timeout).map_err(failed)?;
        let deadline = Instant::now() + busy_timeout;
        let mode = loop {
            match connection
                .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
            {
                // SQLite does not wait here for the other who is changing the mode.
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(5));
                }
                mode => break mode.map_err(failed)?,
            }
        };
        if mode != "wal" {
            return Err(SqlError::Denied(format!(
                "database {} cannot use a write-ahead log (its journal mode stays {mode}); \
                 put it on a local disk",
                file.display()
            )));
        }
        Self::restrict(connection, file).map_err(failed)
    }

    fn restrict(connection: Connection, file: &Path) -> rusqlite::Result<Self> {
        // FULL: a commit that was answered survives a loss of power (D2, D8).
        connection.pragma_update(None, "synchronous", "full")?;
        harden(&connection)?;
        let host = HostStatement::default();
        host.install(&connection);
        Ok(Self {
            connection,
            file: file.to_owned(),
            host,
        })
    }

    /// Runs a statement about transactions or tables.
    pub(super) fn host(&self, sql: &str) -> Result<(), SqlError> {
        self.host
            .execute(&self.connection, sql)
            .map_err(|error| self.failed(&error))
    }

    /// Runs `work`, whose statements may write the ledger.
    pub(super) fn as_host<T>(&self, work: impl FnOnce() -> T) -> T {
        self.host.with(work)
    }

    /// Makes SQLite notice what others have changed about tables and indexes: reading does.
    pub(super) fn reload(&self) -> rusqlite::Result<()> {
        let read = "SELECT count(*) FROM sqlite_schema";
        self.connection.query_row(read, [], |_| Ok(()))
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> SqlError {
        error::whole(&self.file, error)
    }

    /// Whether the current put has written something that is not committed.
    pub(super) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Takes the write lock at once, so that no later statement of the transaction is refused for
    /// it.
    pub(super) fn begin(&self) -> Result<(), SqlError> {
        self.host("BEGIN IMMEDIATE")
    }

    /// Commits, if there is something.
    pub(crate) fn commit(&self) -> Result<(), SqlError> {
        if self.in_transaction() {
            self.host("COMMIT")?;
        }
        Ok(())
    }

    /// Rolls back, if there is something.
    pub(crate) fn rollback(&self) -> Result<(), SqlError> {
        if self.in_transaction() {
            self.host("ROLLBACK")?;
        }
        Ok(())
    }
}
