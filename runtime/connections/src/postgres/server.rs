//! All that tells one pool of links from another: where to, as whom, how.

use std::{sync::Arc, time::Duration};

use tidegate_sandbox::SqlError;
use tokio_postgres::config::{ChannelBinding, Config, SslMode, TargetSessionAttrs};

use super::url::{Binding, PostgresUrl, Security};
use crate::settings::{ConnectionSettings, SessionSettings};

/// As pgjdbc has it.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A link whose other end is silent for so long is given up: below the time-out of host calls, so
/// that the task hears why.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// PostgreSQL cuts longer ones off.
const MAX_APPLICATION_NAME_BYTES: usize = 63;

/// A database, whom to log in as, and what links to it are like.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    url: PostgresUrl,
    user: String,
    password: Option<String>,
    trusted_certificates: Option<Arc<str>>,
    application_name: String,
    lock_timeout: Duration,
    statement_timeout: Duration,
}

/// Without the values: they can be passwords (D10).
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// What the configuration key `name` declares.
    ///
    /// # Errors
    /// If nobody to log in as is named.
    pub(crate) fn new(
        name: &str,
        url: PostgresUrl,
        connection: &ConnectionSettings,
        session: &SessionSettings,
    ) -> Result<Self, SqlError> {
        let filled = |text: &String| !text.is_empty();
        let user = url.user.clone().or_else(|| connection.user.clone());
        let user = user.filter(filled).ok_or_else(|| {
            SqlError::Denied(format!(
                "{name}: nobody to log in as is named; set connection.user, or user in the url"
            ))
        })?;
        let password = url.password.clone().or_else(|| connection.password.clone());
        let application_name = url.application_name.clone();
        Ok(Self {
            user,
            password: password.filter(filled),
            trusted_certificates: connection.trusted_certificates.clone().map(Into::into),
            application_name: application_name.unwrap_or_else(|| session.application_name.clone()),
            lock_timeout: session.lock_timeout,
            statement_timeout: session.statement_timeout,
            url,
        })
    }

    pub(super) fn security(&self) -> Security {
        self.url.security
    }

    pub(super) fn trusted_certificates(&self) -> Option<&str> {
        self.trusted_certificates.as_deref()
    }

    pub(super) fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// For `search_path`.
    pub(super) fn schemas(&self) -> Option<&str> {
        self.url.schemas.as_deref()
    }

    /// Whether nothing of a session outlasts a transaction.
    pub(super) fn pools_transactions(&self) -> bool {
        self.url.pools_transactions
    }

    /// How long connecting to one address may take, before TLS and logging in.
    pub(super) fn connect_timeout(&self) -> Duration {
        let wanted = self.url.connect_timeout;
        wanted.unwrap_or(DEFAULT_CONNECT_TIMEOUT).min(SILENCE_LIMIT)
    }

    /// Hosts and ports, for messages.
    pub(super) fn place(&self) -> String {
        let hosts = self.url.hosts.iter();
        let hosts: Vec<_> = hosts.map(|(host, port)| format!("{host}:{port}")).collect();
        hosts.join(" or ")
    }

    /// The same in the library's words.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::new();
        for (host, port) in &self.url.hosts {
            config.host(host.as_str()).port(*port);
        }
        config
            .user(self.user.as_str())
            .dbname(self.url.database.as_ref().unwrap_or(&self.user))
            .application_name(cut(&self.application_name))
            .connect_timeout(self.connect_timeout())
            .keepalives_idle(SILENCE_LIMIT)
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(SILENCE_LIMIT)
            .ssl_mode(match self.url.security {
                Security::Disable => SslMode::Disable,
                Security::Prefer => SslMode::Prefer,
                Security::Require | Security::Verify => SslMode::Require,
            })
            .channel_binding(match self.url.binding {
                Binding::Disable => ChannelBinding::Disable,
                Binding::Prefer => ChannelBinding::Prefer,
                Binding::Require => ChannelBinding::Require,
            });
        if self.url.writable_only {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if let Some(password) = &self.password {
            config.password(password);
        }
        config
    }
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_APPLICATION_NAME_BYTES))
        .unwrap_or(name)
}
