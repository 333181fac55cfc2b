//! Links to one server: a bounded number, lent one at a time.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tidegate_sandbox::SqlError;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    connect::{self, Connector},
    error::{self, Fault},
    server::Server,
    tls,
};

/// Links of one worker to one server as one user. A server takes 100 in all unless told otherwise.
const MAX_LINKS: usize = 16;
/// TLS and logging in, on top of connecting.
const LOG_IN_LIMIT: Duration = Duration::from_secs(5);
/// Telling a server to stop a statement.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// What most links are lent for.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Prepared statements that a link keeps; more than the tables of a connector need.
const MAX_STATEMENTS: usize = 200;

/// The links to a server.
pub(crate) struct ServerPool {
    server: Arc<Server>,
    pool: Pool,
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl std::fmt::Debug for ServerPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerPool")
    }
}

impl ServerPool {
    /// A pool without links; they live on `runtime`.
    ///
    /// # Errors
    /// If the trusted certificates are of no use.
    pub(crate) fn new(server: Server, runtime: Handle) -> Result<Self, SqlError> {
        let tls = tls::connector(&server).map_err(SqlError::Denied)?;
        let server = Arc::new(server);
        let connector = Connector {
            server: Arc::clone(&server),
            tls: tls.clone(),
            runtime: runtime.clone(),
        };
        // Links come back only from calls that went well, so there is nothing to clean up.
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_connect(server.config(), connector, recycling);
        let pool = Pool::builder(manager)
            .max_size(MAX_LINKS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(server.lock_timeout()))
            .create_timeout(Some(server.connect_timeout() + LOG_IN_LIMIT))
            .build()
            .map_err(|error| SqlError::Denied(format!("no links can be made: {error}")))?;
        Ok(Self {
            server,
            pool,
            tls,
            runtime,
        })
    }

    /// A link that nobody else has until it is given back or dropped.
    ///
    /// Behind a pooler of transactions it is in one from here until it is given back, and has no
    /// statements or settings that outlast it.
    pub(super) async fn link(&self) -> Result<Link, SqlError> {
        self.link_for(BEGIN).await
    }

    /// The same for what `begin` begins.
    pub(super) async fn link_for(&self, begin: &str) -> Result<Link, SqlError> {
        let place = || self.server.place();
        let client = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error::connecting(&self.server, &error),
            PoolError::Timeout(TimeoutType::Wait) => SqlError::Unavailable(format!(
                "all {MAX_LINKS} links to {} are in use; run fewer tasks or more workers",
                place()
            )),
            PoolError::Timeout(_) => SqlError::Unavailable(format!(
                "{} did not answer in time; check host, port and firewalls",
                place()
            )),
            error => SqlError::Unavailable(format!("no link to {}: {error}", place())),
        })?;
        if client.statement_cache.size() > MAX_STATEMENTS {
            client.statement_cache.clear();
        }
        let link = Link {
            client: Some(client),
            is_pooled: self.server.pools_transactions(),
            tls: self.tls.clone(),
            runtime: self.runtime.clone(),
        };
        if link.is_pooled {
            let begin = connect::begin_pooled(&self.server, begin);
            let begun = link.client()?.batch_execute(&begin);
            begun.await.map_err(Fault::from)?;
        }
        Ok(link)
    }
}

/// A link on loan. Dropped instead of given back, it is closed, and the server told to stop what
/// runs on it: nobody knows any more what state it is in.
pub(super) struct Link {
    client: Option<Client>,
    /// Whether a pooler hands each transaction to another server process.
    is_pooled: bool,
    tls: MakeRustlsConnect,
    runtime: Handle,
}

impl Link {
    /// # Errors
    /// None but for a link that was given back.
    pub(super) fn client(&self) -> Result<&Client, Fault> {
        let gone = || Fault::Lost("the link is closed".to_owned());
        self.client.as_ref().ok_or_else(gone)
    }

    /// Whether a transaction was begun with the loan.
    pub(super) fn is_begun(&self) -> bool {
        self.is_pooled
    }

    /// For whoever is next. It must be in no transaction but the one begun with the loan, which is
    /// committed.
    pub(super) async fn give_back(self) -> Result<(), Fault> {
        match self.is_pooled {
            true => self.end("COMMIT").await,
            false => {
                self.release();
                Ok(())
            }
        }
    }

    /// Commits the transaction and gives the link back.
    pub(super) async fn commit(self) -> Result<(), Fault> {
        self.end("COMMIT").await
    }

    /// Rolls the transaction back and gives the link back.
    pub(super) async fn roll_back(self) -> Result<(), Fault> {
        self.end("ROLLBACK").await
    }

    async fn end(self, end: &str) -> Result<(), Fault> {
        match self.is_pooled {
            // In one message: what follows it may reach another server process.
            true => {
                let end = format!("{end}; DEALLOCATE ALL");
                self.client()?.batch_execute(&end).await?;
            }
            false => self.client()?.batch_execute(end).await?,
        }
        self.release();
        Ok(())
    }

    fn release(mut self) {
        let client = self.client.take();
        if self.is_pooled {
            // The library keeps statements of its own by link, so each transaction takes another.
            drop(client.map(Client::take));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let Some(client) = self.client.take().map(Client::take) else {
            return;
        };
        if client.is_closed() {
            return;
        }
        let tls = self.tls.clone();
        self.runtime.spawn(async move {
            // A server that is busy does not notice a closed link before it is done.
            let token = client.cancel_token();
            let cancelled = timeout(CANCEL_LIMIT, token.cancel_query(tls)).await;
            if !matches!(cancelled, Ok(Ok(()))) {
                tracing::debug!("a server was not told to stop a statement");
            }
            drop(client);
        });
    }
}
