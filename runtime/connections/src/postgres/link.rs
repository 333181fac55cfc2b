//! Links to one server: a bounded number, lent one at a time.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tidegate_sandbox::SqlError;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    connect::Connector,
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
    pub(super) async fn link(&self) -> Result<Link, SqlError> {
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
        Ok(Link {
            client: Some(client),
            tls: self.tls.clone(),
            runtime: self.runtime.clone(),
        })
    }
}

/// A link on loan. Dropped instead of given back, it is closed, and the server told to stop what
/// runs on it: nobody knows any more what state it is in.
pub(super) struct Link {
    client: Option<Client>,
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

    /// For whoever is next. It must be in no transaction.
    pub(super) fn give_back(mut self) {
        drop(self.client.take());
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
