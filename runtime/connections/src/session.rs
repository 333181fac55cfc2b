//! The database side of one task.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tidegate_sandbox::{
    Errant, LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerSpan,
    LedgerStart, SinkBatch, SqlConnection, SqlCursor, SqlError, SqlFuture, SqlSession, SqlValue,
    Table, TopicPartition, Write,
};

use crate::{
    database::{Database, LedgerMark},
    grant,
    pools::Pools,
    postgres::{PostgresDatabase, Server},
    settings::{ConnectionSettings, SessionSettings},
    sqlite::SqliteDatabase,
    url::{self, Target},
};

/// The session of one task. Nothing is opened before [`SqlSession::connect`] or the ledger is
/// needed. Dropping it takes back what was not committed; its connections then refuse.
pub fn session(pools: &Arc<Pools>, settings: SessionSettings) -> Arc<dyn SqlSession> {
    Arc::new(Session::new(Arc::clone(pools), settings))
}

/// Checks a connection without opening it.
///
/// # Errors
/// What is wrong with the settings of the key `name`, without repeating a value.
pub fn check(
    name: &str,
    connection: &ConnectionSettings,
    settings: &SessionSettings,
) -> Result<(), SqlError> {
    match url::parse(name, &connection.url)? {
        Target::Sqlite(path) => grant::database_file(&path, &settings.directories).map(drop),
        Target::Postgres(url) => Server::new(name, *url, connection, settings).map(drop),
    }
}

pub(crate) struct Session {
    pools: Arc<Pools>,
    settings: SessionSettings,
    databases: Mutex<BTreeMap<String, Arc<dyn Database>>>,
    opened: Mutex<Opened>,
    in_put: Arc<AtomicBool>,
}

/// What was opened in the ledger, and in whose name.
#[derive(Default)]
struct Opened {
    owner: Option<LedgerOwner>,
    fences: BTreeMap<TopicPartition, i64>,
}

impl Session {
    pub(crate) fn new(pools: Arc<Pools>, settings: SessionSettings) -> Self {
        Self {
            pools,
            settings,
            databases: Mutex::default(),
            opened: Mutex::default(),
            in_put: Arc::default(),
        }
    }

    /// The database of a key, opened with the first call.
    pub(crate) async fn database(&self, name: &str) -> Result<Arc<dyn Database>, SqlError> {
        let Some(connection) = self.settings.connections.get(name) else {
            return Err(SqlError::Denied(format!(
                "the plugin has no connection {name:?}: it has to name the key in its wants, \
                 and the configuration has to set it"
            )));
        };
        if let Some(database) = lock(&self.databases).get(name) {
            return Ok(Arc::clone(database));
        }
        let database: Arc<dyn Database> = match url::parse(name, &connection.url)? {
            Target::Sqlite(path) => Arc::new(SqliteDatabase::open(path, &self.settings).await?),
            Target::Postgres(url) => {
                let server = Server::new(name, *url, connection, &self.settings)?;
                Arc::new(PostgresDatabase::new(self.pools.server(server)?))
            }
        };
        let mut databases = lock(&self.databases);
        let known = databases.entry(name.to_owned()).or_insert(database);
        Ok(Arc::clone(known))
    }

    async fn ledger(&self) -> Result<Arc<dyn Database>, LedgerError> {
        match &self.settings.ledger {
            Some(name) => self.database(name).await.map_err(LedgerError::RolledBack),
            None => Err(LedgerError::RolledBack(SqlError::Denied(
                "the task has no ledger".to_owned(),
            ))),
        }
    }

    fn remember(&self, owner: LedgerOwner, opened: &[(TopicPartition, LedgerStart)]) {
        let mut known = lock(&self.opened);
        known.owner = Some(owner);
        let fences = opened.iter().map(|(at, start)| (at.clone(), start.fence));
        known.fences.extend(fences);
    }

    fn marks(
        &self,
        spans: Vec<LedgerSpan>,
    ) -> Result<Option<(LedgerOwner, Vec<LedgerMark>)>, LedgerError> {
        let opened = lock(&self.opened);
        let Some(owner) = opened.owner.clone() else {
            return Ok(None);
        };
        let mut marks = Vec::with_capacity(spans.len());
        for span in spans {
            let Some(fence) = opened.fences.get(&span.at).copied() else {
                return Err(LedgerError::Fenced(format!("{} was not opened", span.at)));
            };
            marks.push(LedgerMark { span, fence });
        }
        Ok(Some((owner, marks)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqlSession for Session {
    fn connect(&self, name: String) -> SqlFuture<'_, Arc<dyn SqlConnection>> {
        Box::pin(async move {
            let database = self.database(&name).await?;
            let is_ledger = self.settings.ledger.as_ref() == Some(&name);
            let connection = GuestConnection {
                name,
                database: Arc::downgrade(&database),
                dialect: database.dialect(),
                is_ledger,
                in_put: Arc::clone(&self.in_put),
            };
            Ok(Arc::new(connection) as Arc<dyn SqlConnection>)
        })
    }

    fn has_ledger(&self) -> bool {
        self.settings.ledger.is_some()
    }

    fn open_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async move {
            let names: Vec<TopicPartition> = partitions.iter().map(|p| p.at.clone()).collect();
            let ledger = self.ledger().await?;
            let starts = ledger.open_ledger(owner.clone(), partitions).await?;
            let opened: Vec<_> = names.into_iter().zip(starts.iter().copied()).collect();
            self.remember(owner, &opened);
            Ok(starts)
        })
    }

    fn begin(&self) {
        self.in_put.store(true, Ordering::SeqCst);
    }

    fn commit_spans(&self, spans: Vec<LedgerSpan>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.in_put.store(false, Ordering::SeqCst);
            if self.settings.ledger.is_none() {
                return Ok(());
            }
            match self.marks(spans)? {
                Some((owner, marks)) => self.ledger().await?.commit(owner, marks).await,
                None => Err(LedgerError::Fenced("nothing was opened".to_owned())),
            }
        })
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        Box::pin(async move {
            self.in_put.store(false, Ordering::SeqCst);
            let databases: Vec<_> = lock(&self.databases).values().cloned().collect();
            let mut result = Ok(());
            for database in databases {
                result = result.and(database.rollback().await);
            }
            result
        })
    }

    fn ledger_positions(&self, owner: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>> {
        Box::pin(async move {
            match &self.settings.ledger {
                Some(name) => self.database(name).await?.ledger_positions(owner).await,
                None => Ok(Vec::new()),
            }
        })
    }

    fn rewrite_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>> {
        Box::pin(async move { self.ledger().await?.rewrite_ledger(owner, partitions).await })
    }
}

/// A connection as the guest has it; weak, so that the session alone says how long the database
/// stays open.
struct GuestConnection {
    name: String,
    database: std::sync::Weak<dyn Database>,
    dialect: &'static str,
    is_ledger: bool,
    in_put: Arc<AtomicBool>,
}

impl GuestConnection {
    fn database(&self) -> Result<Arc<dyn Database>, SqlError> {
        self.database.upgrade().ok_or_else(|| {
            SqlError::Denied("the connection is closed: its task has stopped".to_owned())
        })
    }

    fn check_ledger(&self) -> Result<(), SqlError> {
        if self.is_ledger {
            return Ok(());
        }
        Err(SqlError::Denied(format!(
            "connection {} is not the one that keeps the task's offsets, so what is written there \
             could come twice; write through the first connection that the plugin wants",
            self.name
        )))
    }
}

impl SqlConnection for GuestConnection {
    fn dialect(&self) -> &'static str {
        self.dialect
    }

    fn describe(&self, table: String) -> SqlFuture<'_, Option<Table>> {
        Box::pin(async move { self.database()?.describe(table).await })
    }

    fn ensure_table(&self, table: String, wanted: Table) -> SqlFuture<'_, Table> {
        Box::pin(async move {
            self.check_ledger()?;
            self.database()?.ensure_table(table, wanted).await
        })
    }

    fn query(
        &self,
        statement: String,
        parameters: Vec<SqlValue>,
    ) -> SqlFuture<'_, Arc<dyn SqlCursor>> {
        Box::pin(async move { self.database()?.query(statement, parameters).await })
    }

    fn write(
        &self,
        batch: Arc<SinkBatch>,
        selection: Option<Vec<u32>>,
        how: Write,
    ) -> SqlFuture<'_, Vec<Errant>> {
        Box::pin(async move {
            self.check_ledger()?;
            if !self.in_put.load(Ordering::SeqCst) {
                return Err(SqlError::Denied(
                    "rows are written in put only, where their offsets are stored with them"
                        .to_owned(),
                ));
            }
            self.database()?.write(batch, selection, how).await
        })
    }
}
