//! A SQLite file as a database of a task.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tidegate_sandbox::{
    Errant, LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart,
    SinkBatch, SqlConnection, SqlCursor, SqlError, SqlFuture, SqlValue, Table, Write,
};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    cursor::{self, Query},
    doomed::Doomed,
    ledger,
    ledger::Position,
    link::{self, Db, Link},
    table, write,
};
use crate::{
    cut_off::{CutOff, blocking},
    database::{Database, LedgerMark},
    grant,
    settings::SessionSettings,
};

/// An open file.
pub(crate) struct SqliteDatabase {
    file: PathBuf,
    lock_timeout: Duration,
    link: Option<Arc<Link>>,
    doomed: Arc<Doomed>,
    queries: Arc<Semaphore>,
}

impl SqliteDatabase {
    /// Opens the file, and makes it if there is none.
    pub(crate) async fn open(path: PathBuf, settings: &SessionSettings) -> Result<Self, SqlError> {
        let directories = settings.directories.clone();
        let lock_timeout = settings.lock_timeout.min(link::MAX_BUSY_TIMEOUT);
        let open = move |_: &CutOff| {
            let file = grant::database_file(Path::new(&path), &directories)?;
            let link = Link::open(&file, lock_timeout)?;
            Ok((file, link))
        };
        let (file, link) = blocking(|| (), open).await?;
        Ok(Self {
            file,
            lock_timeout,
            link: Some(Arc::new(link)),
            doomed: Arc::default(),
            queries: Arc::new(Semaphore::new(cursor::MAX_QUERIES)),
        })
    }

    pub(super) fn link(&self) -> Result<Arc<Link>, SqlError> {
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

    fn take_over(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Position)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        // Nothing of a put is lost with it, so a call that is cut off dooms none.
        Box::pin(self.ledger(
            |_| (),
            move |db, doomed, _| {
                let starts = ledger::take_over(db, &owner, &partitions)?;
                doomed.clear();
                Ok(starts)
            },
        ))
    }

    /// Runs `work`, which ends the transactions it begins.
    async fn ledger<T: Send + 'static>(
        &self,
        on_cut: fn(&Doomed),
        work: impl FnOnce(&Db, &Doomed, &CutOff) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let link = self.link().map_err(LedgerError::RolledBack)?;
        let doomed = Arc::clone(&self.doomed);
        let on_cut = {
            let (doomed, link) = (Arc::clone(&doomed), Arc::clone(&link));
            move || {
                on_cut(&doomed);
                link.stop();
            }
        };
        let done = blocking(on_cut, move |cut_off| {
            let db = link.lock();
            cut_off.check()?;
            Ok(work(&db, &doomed, cut_off))
        });
        // It broke off somewhere between the first statement and the last.
        let broken_off = |error: SqlError| LedgerError::Unknown(error.to_string());
        done.await.map_err(broken_off)?
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

    fn query(
        &self,
        statement: String,
        parameters: Vec<SqlValue>,
    ) -> SqlFuture<'_, Arc<dyn SqlCursor>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.queries).try_acquire_owned().map_err(|_| {
                SqlError::Denied(format!(
                    "{} queries are open; drop a cursor before the next",
                    cursor::MAX_QUERIES
                ))
            })?;
            let query = Query {
                file: self.file.clone(),
                lock_timeout: self.lock_timeout,
                statement,
                parameters,
                _permit: permit,
            };
            cursor::open(query).await
        })
    }

    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>> {
        Box::pin(self.run(move |db, doomed, cut_off| {
            write::write(db, doomed, cut_off, &batch, selection.as_deref(), &how)
        }))
    }
}

impl Database for SqliteDatabase {
    fn open_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        let position = |partition: LedgerPartition| match partition.reset_to {
            Some(next_offset) => (partition, Position::Set(Some(next_offset))),
            None => (partition, Position::Kept),
        };
        self.take_over(owner, partitions.into_iter().map(position).collect())
    }

    fn commit(&self, owner: LedgerOwner, marks: Vec<LedgerMark>) -> LedgerFuture<'_, ()> {
        Box::pin(
            self.ledger(Doomed::doom_commit, move |db, doomed, cut_off| {
                // In this order: a doom that comes with the cut-off must not be taken for an earlier
                // one, which this call ends.
                let put = doomed.end_put();
                if cut_off.check().is_err() {
                    doomed.doom_commit();
                }
                let done = put.and_then(|()| ledger::commit(db, &owner, &marks));
                if matches!(done, Err(LedgerError::RolledBack(_))) {
                    let _ = db.rollback();
                }
                if db.in_transaction() {
                    // The next put must not find these rows in its transaction.
                    doomed.doom();
                }
                done
            }),
        )
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
                doomed.clear();
                Ok(())
            })
            .await
        })
    }

    fn ledger_positions(&self, owner: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>> {
        Box::pin(async {
            let link = self.link()?;
            blocking(|| (), move |_| ledger::positions(&link.lock(), &owner)).await
        })
    }

    fn rewrite_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        let position = |(partition, next_offset)| (partition, Position::Set(next_offset));
        self.take_over(owner, partitions.into_iter().map(position).collect())
    }
}
