//! A PostgreSQL database as a database of a task, and the transaction of its current put.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join;
use tidegate_model::failpoint;
use tokio::sync::Semaphore;

use tidegate_sandbox::{
    Errant, LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart,
    SinkBatch, SqlConnection, SqlCursor, SqlError, SqlFuture, SqlValue, Table, Write,
};

use super::{
    error::Fault,
    ledger,
    link::{Link, ServerPool},
    query, table,
    write::{self, Seen},
};
use crate::database::{Database, LedgerMark};

/// A database, through the worker's links to its server.
pub(crate) struct PostgresDatabase {
    pool: Arc<ServerPool>,
    put: Mutex<Put>,
    /// Whether deferred constraints refused the last put, when no row could be named any more: the
    /// next looks for them in time.
    careful: AtomicBool,
    /// The links of queries that are not read to their end are nobody else's.
    queries: Arc<Semaphore>,
}

/// How far the current put is.
#[derive(Default)]
enum Put {
    /// It has written nothing.
    #[default]
    Nothing,
    /// It has written, and a transaction is open.
    Open(Box<Transaction>),
    /// Part of what it wrote is lost or unknown, so only a rollback helps.
    Lost(String),
    /// COMMIT was sent and not answered: only opening the ledger tells what is stored.
    Unsettled,
}

/// The transaction of a put.
struct Transaction {
    link: Link,
    /// None: its BEGIN goes out with the first write.
    seen: Option<Seen>,
}

/// Queries of a task that may be open at a time: the worker's links to a server are few.
const MAX_QUERIES: usize = 4;
const CUT_OFF: &str = "a call to the database was cut off";

impl PostgresDatabase {
    pub(crate) fn new(pool: Arc<ServerPool>) -> Self {
        Self {
            pool,
            put: Mutex::default(),
            careful: AtomicBool::new(false),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
        }
    }

    fn put(&self) -> MutexGuard<'_, Put> {
        self.put.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the transaction out, if there is one. Unless it is put back the put is lost: so a
    /// call that is dropped half-way dooms it.
    fn take(&self) -> Result<Option<Box<Transaction>>, SqlError> {
        let mut put = self.put();
        match std::mem::replace(&mut *put, Put::Lost(CUT_OFF.to_owned())) {
            Put::Nothing => Ok(None),
            Put::Open(transaction) => Ok(Some(transaction)),
            Put::Lost(reason) => {
                *put = Put::Lost(reason.clone());
                Err(lost(&reason))
            }
            Put::Unsettled => {
                *put = Put::Unsettled;
                Err(SqlError::Unavailable(UNSETTLED.to_owned()))
            }
        }
    }

    fn doom(&self, error: &SqlError) {
        *self.put() = Put::Lost(error.to_string());
    }

    /// A transaction that only stores marks. BEGIN is answered before anything follows: without
    /// it the marks would be stored at once.
    async fn begin(&self) -> Result<Link, SqlError> {
        let link = self.pool.link().await?;
        if !link.is_begun() {
            let begin = link.client()?.batch_execute(write::BEGIN);
            begin.await.map_err(Fault::from)?;
        }
        Ok(link)
    }

    /// Stores the marks and commits.
    async fn settle(
        &self,
        link: Link,
        owner: &LedgerOwner,
        marks: &[LedgerMark],
    ) -> Result<(), LedgerError> {
        let client = client(&link)?;
        // Deferred constraints speak up now, while it is known that nothing is stored. The marks
        // travel with the checks; if one fails, so do the marks, and its error is the one told.
        // (Savepoints are released by COMMIT.)
        let checks = client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE");
        let (checked, stored) = join(checks, ledger::store(client, owner, marks)).await;
        checked.map_err(|error| self.too_late(error.into()))?;
        stored?;
        failpoint::reached("offsets-written");
        *self.put() = Put::Unsettled;
        let committed = link.commit().await;
        committed.map_err(|fault| LedgerError::Unknown(SqlError::from(fault).to_string()))?;
        self.careful.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// What a constraint says that was deferred. The same put, written again, can tell of which rows.
    fn too_late(&self, fault: Fault) -> LedgerError {
        if matches!(fault, Fault::Rows { .. }) {
            self.careful.store(true, Ordering::Relaxed);
        }
        LedgerError::RolledBack(fault.into())
    }
}

const UNSETTLED: &str = "whether the last commit took place is unknown; the partitions have to be \
                         opened again";

fn lost(reason: &str) -> SqlError {
    SqlError::Unavailable(format!("the put has to be rolled back: {reason}"))
}

impl SqlConnection for PostgresDatabase {
    fn dialect(&self) -> &'static str {
        "postgresql"
    }

    fn describe(&self, name: String) -> SqlFuture<'_, Option<Table>> {
        Box::pin(async move {
            let link = self.pool.link().await?;
            let found = table::describe(link.client()?, &name).await?;
            link.give_back().await?;
            Ok(found)
        })
    }

    fn ensure_table(&self, name: String, wanted: Table) -> SqlFuture<'_, Table> {
        Box::pin(async move {
            if !matches!(*self.put(), Put::Nothing) {
                return Err(SqlError::Denied(format!(
                    "ensure-table of {name:?} comes after a write of the same put; call it before"
                )));
            }
            let link = self.pool.link().await?;
            let table = table::ensure(link.client()?, &name, &wanted).await?;
            link.give_back().await?;
            Ok(table)
        })
    }

    fn query(
        &self,
        statement: String,
        parameters: Vec<SqlValue>,
    ) -> SqlFuture<'_, Arc<dyn SqlCursor>> {
        Box::pin(async move {
            let Ok(permit) = Arc::clone(&self.queries).try_acquire_owned() else {
                return Err(SqlError::Denied(format!(
                    "{MAX_QUERIES} queries are open; read them to their end or drop them"
                )));
            };
            let link = self.pool.link_for(query::BEGIN).await?;
            query::open(link, permit, &statement, &parameters).await
        })
    }

    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>> {
        Box::pin(async move {
            let rows = write::rows(&batch, selection)?;
            let request = write::Request::new(&how)?;
            let taken = self.take()?;
            if rows.is_empty() {
                *self.put() = taken.map_or(Put::Nothing, Put::Open);
                return Ok(Vec::new());
            }
            let begun = match taken {
                Some(transaction) => Ok(transaction),
                None => self.pool.link().await.map(|link| {
                    let seen = None;
                    Box::new(Transaction { link, seen })
                }),
            };
            // Lost even if nothing was written yet: the guest may go on as if this had worked,
            // and the offsets must not be stored then.
            let mut transaction = begun.inspect_err(|error| self.doom(error))?;
            let link = &transaction.link;
            let careful = self.careful.load(Ordering::Relaxed);
            let seen = &mut transaction.seen;
            let written = write::write(link, careful, seen, &batch, rows, &how, &request).await;
            match written {
                Ok(errants) => {
                    *self.put() = Put::Open(transaction);
                    Ok(errants)
                }
                Err(Fault::Lost(reason)) => {
                    let error = SqlError::Unavailable(reason);
                    self.doom(&error);
                    Err(error)
                }
                Err(fault) => {
                    *self.put() = Put::Open(transaction);
                    Err(fault.into())
                }
            }
        })
    }
}

impl Database for PostgresDatabase {
    fn open_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async move {
            let link = self.pool.link().await.map_err(LedgerError::RolledBack)?;
            ledger::make(client(&link)?)
                .await
                .map_err(LedgerError::RolledBack)?;
            give_back(link).await?;
            let link = self.pool.link().await.map_err(LedgerError::RolledBack)?;
            let starts = ledger::open(client(&link)?, &owner, &partitions).await?;
            give_back(link).await?;
            let mut put = self.put();
            if matches!(*put, Put::Unsettled) {
                *put = Put::Nothing;
            }
            Ok(starts)
        })
    }

    fn commit(&self, owner: LedgerOwner, marks: Vec<LedgerMark>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            if matches!(*self.put(), Put::Unsettled) {
                return Err(LedgerError::Unknown(UNSETTLED.to_owned()));
            }
            let settled = match self.take().map_err(LedgerError::RolledBack)? {
                Some(transaction) => self.settle(transaction.link, &owner, &marks).await,
                None if marks.is_empty() => Ok(()),
                None => match self.begin().await {
                    Ok(link) => self.settle(link, &owner, &marks).await,
                    Err(error) => Err(LedgerError::RolledBack(error)),
                },
            };
            *self.put() = match &settled {
                Ok(()) => Put::Nothing,
                Err(LedgerError::Unknown(_)) => Put::Unsettled,
                // Whoever commits the same again must not store offsets without their rows.
                Err(error) => Put::Lost(error.to_string()),
            };
            settled
        })
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        Box::pin(async move {
            let put = {
                let mut put = self.put();
                if matches!(*put, Put::Unsettled) {
                    return Err(SqlError::Unavailable(UNSETTLED.to_owned()));
                }
                std::mem::take(&mut *put)
            };
            if let Put::Open(transaction) = put {
                // A link that cannot roll back is closed, which does the same.
                if let Err(fault) = transaction.link.roll_back().await {
                    tracing::debug!("a put was rolled back by closing its link: {fault:?}");
                }
            }
            Ok(())
        })
    }

    fn ledger_positions(&self, owner: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>> {
        Box::pin(async move {
            let link = self.pool.link().await?;
            let found = ledger::read(link.client()?, &owner).await?;
            link.give_back().await?;
            Ok(found)
        })
    }

    fn rewrite_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async move {
            let link = self.pool.link().await.map_err(LedgerError::RolledBack)?;
            ledger::make(client(&link)?)
                .await
                .map_err(LedgerError::RolledBack)?;
            give_back(link).await?;
            let link = self.pool.link().await.map_err(LedgerError::RolledBack)?;
            let starts = ledger::rewrite(client(&link)?, &owner, &partitions).await?;
            give_back(link).await?;
            Ok(starts)
        })
    }
}

async fn give_back(link: Link) -> Result<(), LedgerError> {
    let given = link.give_back().await;
    given.map_err(|fault| LedgerError::RolledBack(fault.into()))
}

fn client(link: &Link) -> Result<&deadpool_postgres::Client, LedgerError> {
    link.client()
        .map_err(|fault| LedgerError::RolledBack(fault.into()))
}
