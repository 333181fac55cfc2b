//! Making a link: TCP, TLS, logging in, and the settings that every statement relies on.

use std::{pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::Connect;
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{Client, Config, Error, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::server::Server;

/// A put whose worker was stopped in the middle must not hold its locks for ever.
const IDLE_IN_TRANSACTION_LIMIT: Duration = Duration::from_secs(30);

/// What a link came from and how it is set up.
pub(super) struct Connector {
    pub(super) server: Arc<Server>,
    pub(super) tls: MakeRustlsConnect,
    /// Where links live: not on the threads of guests, who could keep them waiting.
    pub(super) runtime: Handle,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let (config, tls) = (config.clone(), self.tls.clone());
        let runtime = self.runtime.clone();
        let made = self.runtime.spawn(async move {
            let (client, connection) = config.connect(tls).await?;
            let driver = runtime.spawn(async move {
                // Whoever waits for an answer on the link hears of it too.
                if let Err(error) = connection.await {
                    tracing::debug!("a link to PostgreSQL ended: {error}");
                }
            });
            Ok((client, driver))
        });
        Box::pin(async move {
            let (client, driver) = match made.await {
                Ok(made) => made?,
                // The worker is stopping; the pool's time limit ends the wait.
                Err(_) => std::future::pending().await,
            };
            set_up(&client, &self.server).await?;
            Ok((client, driver))
        })
    }
}

/// The settings of a session, or of a transaction if `scope` is LOCAL.
fn settings(server: &Server, scope: &str) -> String {
    // 0 would be no limit.
    let millis = |duration: Duration| duration.as_millis().clamp(1, i32::MAX as u128);
    format!(
        "SET {scope} statement_timeout = {}; SET {scope} lock_timeout = {}; \
         SET {scope} idle_in_transaction_session_timeout = {}; SET {scope} TimeZone = 'UTC'; \
         SET {scope} DateStyle = 'ISO, YMD'; SET {scope} IntervalStyle = 'postgres'; \
         SET {scope} standard_conforming_strings = on",
        millis(server.statement_timeout()),
        millis(server.lock_timeout()),
        millis(IDLE_IN_TRANSACTION_LIMIT),
    )
}

async fn set_up(client: &Client, server: &Server) -> Result<(), Error> {
    // What is set here would be another client's, or lost.
    if server.pools_transactions() {
        return Ok(());
    }
    client.batch_execute(&settings(server, "SESSION")).await?;
    if let Some(schemas) = server.schemas() {
        client
            .query_typed(
                "SELECT pg_catalog.set_config('search_path', $1, false)",
                &[(&schemas, Type::TEXT)],
            )
            .await?;
    }
    Ok(())
}

/// `begin` with what [`set_up`] sets otherwise, as one message, which reaches one server process.
/// Statements that somebody left behind in there can have the names of ours, so they go.
pub(super) fn begin_pooled(server: &Server, begin: &str) -> String {
    let mut words = format!("{begin}; {}; DEALLOCATE ALL", settings(server, "LOCAL"));
    if let Some(schemas) = server.schemas() {
        // In this form alone a quote and a backslash mean the same whatever the server is set to.
        let escaped = schemas.replace('\\', "\\\\").replace('\'', "''");
        words = format!("{words}; SELECT pg_catalog.set_config('search_path', E'{escaped}', true)");
    }
    words
}
