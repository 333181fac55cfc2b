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

async fn set_up(client: &Client, server: &Server) -> Result<(), Error> {
    // 0 would be no limit.
    let millis = |duration: Duration| duration.as_millis().clamp(1, i32::MAX as u128);
    client
        .batch_execute(&format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET TimeZone = 'UTC'; \
             SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
             SET standard_conforming_strings = on",
            millis(server.statement_timeout()),
            millis(server.lock_timeout()),
            millis(IDLE_IN_TRANSACTION_LIMIT),
        ))
        .await?;
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
