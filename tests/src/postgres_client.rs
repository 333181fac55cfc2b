//! A blocking client of PostgreSQL, to look from beside at what a connector writes.

use std::sync::Mutex;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls, Row};

/// A client that connects when it has to, and again after the server was away.
pub struct PostgresClient {
    config: Config,
    runtime: Runtime,
    client: Mutex<Option<Client>>,
}

impl std::fmt::Debug for PostgresClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresClient")
    }
}

impl PostgresClient {
    /// Not connected yet.
    pub fn new(port: u16, database: &str, user: &str, password: &str) -> Self {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .dbname(database)
            .user(user)
            .password(password);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            config,
            runtime,
            client: Mutex::default(),
        }
    }

    /// The rows of a query; none while the server is away, or if it refuses.
    pub fn try_rows(&self, sql: &str) -> Option<Vec<Row>> {
        let mut client = self.client.lock().unwrap();
        self.runtime.block_on(async {
            let connected = match client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => {
                    let (client, connection) = self.config.connect(NoTls).await.ok()?;
                    tokio::spawn(connection);
                    client
                }
            };
            let rows = connected.query(sql, &[]).await.ok();
            *client = Some(connected);
            rows
        })
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        self.try_rows("SELECT 1").expect("a server");
        let client = self.client.lock().unwrap();
        let client = client.as_ref().expect("a connected client");
        self.runtime.block_on(client.batch_execute(sql)).unwrap();
    }
}
