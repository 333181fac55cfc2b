//! A SQLite file as a database of a task.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tidegate_sandbox::{
    Errant, LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart,
    SinkBatch, SqlConnection, SqlCursor, SqlError, SqlFuture, SqlValue, Table, Write,
};
use tokio::runtime::Handle;

use super::{
    insert,
    link::{Db, Link},
    table,
};
use crate::{
    cut_off::{CutOff, blocking},
    database::{Database, LedgerMark},
    grant,
    settings::SessionSettings,
};

/// An open file.
pub(crate) struct SqliteDatabase {
    link: Option<Arc<Link>>,
    doomed: Arc<Doomed>,
}

/// Whether only a rollback helps: part of what the put wrote is lost or unknown.
#[derive(Debug, Default)]
pub(super) struct Doomed(AtomicBool);

impl Doomed {
    pub(super) fn doom(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// # Errors
    /// If the put is doomed.
    pub(super) fn check(&self) -> Result<(), SqlError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(SqlError::Unavailable(
                "an earlier database call of this put failed or was cut off; \
                 the put has to be rolled back"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

impl SqliteDatabase {
    /// Opens the file, and makes it if there is none.
    pub(crate) async fn open(path: PathBuf, settings: &SessionSettings) -> Result<Self, SqlError> {
        let (directories, timeout) = (settings.directories.clone(), settings.lock_timeout);
        let open = move |_: &CutOff| {
            let file = grant::database_file(Path::new(&path), &directories)?;
            Link::open(&file, timeout)
        };
        Ok(Self {
            link: Some(Arc::new(blocking(|| (), open).await?)),
            doomed: Arc::default(),
        })
    }

    fn link(&self) -> Result<Arc<Link>, SqlError> {
        // It goes with the last reference only.
        let closed = || SqlError::Denied("the connection is closed".to_owned());
        self.link.clone().ok_or_else(closed)
    }

    /// Runs `work` on the open file. A call that is cut off dooms the put.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db, &Doomed, &CutOff) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let link = self.link()?;
        let doomed = Arc::clone(&self.doomed);
        let on_cut = {
            let (doomed, link) = (Arc::clone(&doomed), Arc::clone(&link));
            move || {
                doomed.doom();
                link.stop();
            }
        };
        blocking(on_cut, move |cut_off| {
            let db = link.lock();
            cut_off.check()?;
            doomed.check()?;
            work(&db, &doomed, cut_off)
        })
        .await
    }
}

/// Closing rolls back, and may write: not on the threads that drive the tasks.
impl Drop for SqliteDatabase {
    fn drop(&mut self) {
        if let (Some(link), Ok(runtime)) = (self.link.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(link));
        }
    }
}

impl SqlConnection for SqliteDatabase {
    fn dialect(&self) -> &'static str {
        "sqlite"
    }

    fn describe(&self, name: String) -> SqlFuture<'_, Option<Table>> {
        Box::pin(self.run(move |db, _, _| table::describe(db, &name)))
    }

    fn ensure_table(&self, name: String, wanted: Table) -> SqlFuture<'_, Table> {
        Box::pin(self.run(move |db, _, _| table::ensure(db, &name, &wanted)))
    }

    fn query(&self, _: String, _: Vec<SqlValue>) -> SqlFuture<'_, Arc<dyn SqlCursor>> {
        Box::pin(async { Err(SqlError::Denied("queries are not available yet".to_owned())) })
    }

    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>> {
        Box::pin(self.run(move |db, doomed, cut_off| {
            insert::write(db, doomed, cut_off, &batch, selection.as_deref(), &how)
        }))
    }
}

fn no_ledger() -> SqlError {
    SqlError::Denied("the ledger is not available yet".to_owned())
}

impl Database for SqliteDatabase {
    fn open_ledger(
        &self,
        _: LedgerOwner,
        _: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async { Err(LedgerError::RolledBack(no_ledger())) })
    }

    fn commit(&self, _: LedgerOwner, _: Vec<LedgerMark>) -> LedgerFuture<'_, ()> {
        Box::pin(async {
            let commit = self.run(|db, _, _| db.commit());
            commit.await.map_err(LedgerError::RolledBack)
        })
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        Box::pin(async {
            let (link, doomed) = (self.link()?, Arc::clone(&self.doomed));
            let on_cut = {
                let doomed = Arc::clone(&doomed);
                move || doomed.doom()
            };
            blocking(on_cut, move |_| {
                link.lock().rollback()?;
                doomed.0.store(false, Ordering::SeqCst);
                Ok(())
            })
            .await
        })
    }

    fn ledger_positions(&self, _: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>> {
        Box::pin(async { Err(no_ledger()) })
    }

    fn rewrite_ledger(
        &self,
        _: LedgerOwner,
        _: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async { Err(LedgerError::RolledBack(no_ledger())) })
    }
}
