//! What a connection URL names.

use std::path::PathBuf;

use tidegate_sandbox::SqlError;

use crate::postgres::url::{self as postgres, PostgresUrl};

const SQLITE: &str = "jdbc:sqlite:";

/// A database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file, as the URL writes it.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

const FORMS: &str =
    "the url has no known form; use jdbc:sqlite:PATH or jdbc:postgresql://HOST:PORT/DATABASE";

/// Reads the URL that the configuration key `name` holds. Messages never repeat it: an unknown
/// form may hold a password anywhere (D10).
pub(crate) fn parse(name: &str, url: &str) -> Result<Target, SqlError> {
    let denied = |problem: &str| Err(SqlError::Denied(format!("{name}: {problem}")));
    match postgres::parse(url) {
        Some(Ok(url)) => return Ok(Target::Postgres(Box::new(url))),
        Some(Err(problem)) => return denied(&problem),
        None => {}
    }
    let Some((scheme, path)) = url.split_at_checked(SQLITE.len()) else {
        return denied(FORMS);
    };
    if !scheme.eq_ignore_ascii_case(SQLITE) {
        return denied(FORMS);
    }
    if path.contains('?') {
        return denied("jdbc:sqlite: urls take no parameters; leave out the ? and what follows");
    }
    if path.is_empty() || path.starts_with(':') {
        return denied("databases in memory are not available; use jdbc:sqlite:PATH with a file");
    }
    let is_uri = |prefix: &str| {
        path.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if is_uri("file:") {
        return denied("file: uris are not available; use jdbc:sqlite:PATH with a plain path");
    }
    if path.contains('\0') {
        return denied("the path in the url has a NUL character; leave it out");
    }
    Ok(Target::Sqlite(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_pass() {
        for (url, path) in [
            ("jdbc:sqlite:/a/b.db", "/a/b.db"),
            ("JDBC:SQLite:b.db", "b.db"),
        ] {
            assert_eq!(parse("url", url).unwrap(), Target::Sqlite(path.into()));
        }
    }

    #[test]
    fn other_forms_are_denied_without_repeating_them() {
        for url in [
            "",
            "jdbc:sqlite:",
            "jdbc:sqlite::memory:",
            "jdbc:sqlite::resource:secret.db",
            "jdbc:sqlite:file:secret.db",
            "jdbc:sqlite:FILE:secret.db",
            "jdbc:sqlite:/a.db?password=secret",
            "jdbc:postgresql://me:secret@host/db",
            "jdbc:mysql://host/secret",
            "sqlite:secret.db",
            "jdbc:sqlité:secret",
            "jdbc:sqlite:secret\0.db",
        ] {
            let SqlError::Denied(reason) = parse("connection.url", url).unwrap_err() else {
                panic!("{url} was not denied");
            };
            assert!(reason.starts_with("connection.url: "), "{reason}");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
