//! Databases that tests write into, seen from beside: through clients of their own.

use std::path::{Path, PathBuf};

use crate::postgres::{PASSWORD, Postgres, USER};
use crate::postgres_client::PostgresClient;
use crate::scratch::Scratch;

/// A database.
#[derive(Debug)]
pub enum Target {
    /// A file.
    Sqlite(PathBuf),
    /// A database of a server's.
    Postgres {
        /// For `connection.url`.
        url: String,
        /// The tests' own way to it.
        client: Box<PostgresClient>,
    },
}

impl Target {
    /// A new database of this server.
    pub fn postgres(server: &Postgres) -> Self {
        let database = server.create_database();
        Self::Postgres {
            url: server.url(&database),
            client: Box::new(PostgresClient::new(
                server.port(),
                &database,
                USER,
                PASSWORD,
            )),
        }
    }

    /// `connection.url` and what belongs to it.
    pub fn connection(&self) -> Vec<(String, String)> {
        match self {
            Self::Sqlite(file) => vec![(
                "connection.url".to_owned(),
                format!("jdbc:sqlite:{}", file.display()),
            )],
            Self::Postgres { url, .. } => [
                ("connection.url", url.as_str()),
                ("connection.user", USER),
                ("connection.password", PASSWORD),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        }
    }

    /// Whether a process that stands still can hold its lock for ever.
    pub fn is_a_file(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// What a refusal by a check is called.
    pub fn check_violation(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLITE_CONSTRAINT_CHECK",
            Self::Postgres { .. } => "23514",
        }
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(file) => sqlite(file).execute_batch(sql).unwrap(),
            Self::Postgres { client, .. } => client.execute(sql),
        }
    }

    /// The sum of all next offsets that are stored: how many records are done. None while the database
    /// is down, or before there is a ledger.
    pub fn progress(&self) -> Option<usize> {
        self.number("SELECT CAST(coalesce(sum(next_offset), 0) AS BIGINT) FROM tidegate_offsets")
            .map(|sum| sum as usize)
    }

    /// The one number that a query answers; none while the database is down.
    pub fn number(&self, sql: &str) -> Option<i64> {
        match self {
            Self::Sqlite(file) => sqlite(file).query_row(sql, [], |row| row.get(0)).ok(),
            Self::Postgres { client, .. } => Some(client.try_rows(sql)?.first()?.get(0)),
        }
    }

    /// Rows of a number and a text.
    pub fn rows(&self, sql: &str) -> Vec<(usize, Option<String>)> {
        match self {
            Self::Sqlite(file) => {
                let database = sqlite(file);
                let mut statement = database.prepare(sql).unwrap();
                let row =
                    |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?));
                let rows = statement.query_map([], row).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Self::Postgres { client, .. } => {
                let rows = client.try_rows(sql).expect("a server that answers");
                rows.iter()
                    .map(|row| (row.get::<_, i64>(0) as usize, row.get(1)))
                    .collect()
            }
        }
    }
}

fn sqlite(file: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(file).unwrap();
    database
        .busy_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    database
}

/// Which of the two a test is for.
#[derive(Clone, Copy, Debug)]
pub enum On {
    /// A file of its own.
    Sqlite,
    /// A database of its own of the shared server.
    Postgres,
}

impl On {
    /// An empty one; a file lies in `directory`.
    pub fn target(self, directory: &Scratch) -> Target {
        match self {
            Self::Sqlite => Target::Sqlite(directory.join("items.db")),
            Self::Postgres => Target::postgres(Postgres::shared()),
        }
    }
}

/// Makes tests of functions that take an [`On`]: each for both.
#[macro_export]
macro_rules! on_both {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test($crate::target::On::Sqlite); })*
        }
        mod postgresql {
            $(#[test] fn $test() { super::$test($crate::target::On::Postgres); })*
        }
    };
}
