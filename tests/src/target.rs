//! Databases that tests write into, seen from beside: through clients of their own.

use std::path::{Path, PathBuf};

/// A database.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file.
    Sqlite(PathBuf),
}

impl Target {
    /// `connection.url` and what belongs to it.
    pub fn connection(&self) -> Vec<(String, String)> {
        match self {
            Self::Sqlite(file) => vec![(
                "connection.url".to_owned(),
                format!("jdbc:sqlite:{}", file.display()),
            )],
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
        }
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(file) => sqlite(file).execute_batch(sql).unwrap(),
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
