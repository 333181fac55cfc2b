//! The database side of one task.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tidegate_sandbox::{SqlConnection, SqlError, SqlFuture, SqlSession};
use tokio::runtime::Handle;

use crate::{
    cut_off::blocking,
    grant,
    settings::SessionSettings,
    sqlite::{Link, SqliteConnection},
    url::{self, Target},
};

/// The session of one task. Nothing is opened before [`SqlSession::connect`]. Dropping it takes
/// back what was not committed; its connections then refuse.
pub fn session(settings: SessionSettings) -> Arc<dyn SqlSession> {
    Arc::new(Session(Shared::new(settings)))
}

pub(crate) struct Session(pub(crate) Arc<Shared>);

/// What the session and the calls of its connections share.
pub(crate) struct Shared {
    settings: SessionSettings,
    /// By file, not by name: two keys that name the same file share the transaction instead of
    /// waiting for each other.
    links: Mutex<BTreeMap<PathBuf, Arc<Link>>>,
    doomed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(settings: SessionSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            links: Mutex::default(),
            doomed: AtomicBool::new(false),
        })
    }

    /// From now on only a rollback helps: part of what the put wrote is lost or unknown.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::SeqCst);
    }

    /// # Errors
    /// If the put is doomed.
    pub(crate) fn check(&self) -> Result<(), SqlError> {
        if self.doomed.load(Ordering::SeqCst) {
            return Err(SqlError::Unavailable(
                "an earlier database call of this put failed or was cut off; \
                 the put has to be rolled back"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn open(&self, name: &str, url: &str) -> Result<Arc<Link>, SqlError> {
        let Target::Sqlite(path) = url::parse(name, url)?;
        let file = grant::database_file(&path, &self.settings.directories)?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(&file) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::open(&file, self.settings.busy_timeout)?);
        links.insert(file, Arc::clone(&link));
        Ok(link)
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.values().cloned().collect()
    }

    /// There is no transaction over several files: if a later one fails, the earlier ones stay
    /// committed and the records come again.
    fn commit(&self) -> Result<(), SqlError> {
        self.check()?;
        for link in self.links() {
            if let Err(error) = link.lock().commit() {
                self.rollback()?;
                return Err(error);
            }
        }
        Ok(())
    }

    fn rollback(&self) -> Result<(), SqlError> {
        let mut result = Ok(());
        for link in self.links() {
            result = result.and(link.lock().rollback());
        }
        if result.is_ok() {
            self.doomed.store(false, Ordering::SeqCst);
        }
        result
    }
}

/// Closing rolls back, and may write: not on the threads that drive the tasks.
impl Drop for Shared {
    fn drop(&mut self) {
        let links = self.links.get_mut().unwrap_or_else(PoisonError::into_inner);
        let links = std::mem::take(links);
        if let (false, Ok(runtime)) = (links.is_empty(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(links));
        }
    }
}

impl SqlSession for Session {
    fn connect(&self, name: String) -> SqlFuture<'_, Arc<dyn SqlConnection>> {
        Box::pin(async move {
            let Some(url) = self.0.settings.connections.get(&name).cloned() else {
                return Err(SqlError::Denied(format!(
                    "the plugin has no connection {name:?}: it has to name the key in its wants, \
                     and the configuration has to set it"
                )));
            };
            let shared = Arc::clone(&self.0);
            let link = blocking(|| (), move |_| shared.open(&name, &url)).await?;
            let connection = SqliteConnection::new(Arc::downgrade(&self.0), Arc::downgrade(&link));
            Ok(Arc::new(connection) as Arc<dyn SqlConnection>)
        })
    }

    fn commit(&self) -> SqlFuture<'_, ()> {
        let shared = Arc::clone(&self.0);
        Box::pin(blocking(|| self.0.doom(), move |_| shared.commit()))
    }

    fn rollback(&self) -> SqlFuture<'_, ()> {
        let shared = Arc::clone(&self.0);
        Box::pin(blocking(|| self.0.doom(), move |_| shared.rollback()))
    }
}
