//! PostgreSQL's errors: whose fault they are, and what to do.

use std::error::Error as _;

use tidegate_sandbox::SqlError;
use tokio_postgres::{Error, error::DbError};

use super::server::Server;

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Some of the rows are at fault; the others can be written.
    Rows {
        /// SQLSTATE.
        code: String,
        /// SQLSTATE and the server's words.
        reason: String,
    },
    /// The statement cannot work, whatever the rows.
    Refused {
        /// SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The whole transaction is lost; the same may work later.
    Lost(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::from_db(db),
            None => Self::Lost(words(&error)),
        }
    }
}

impl Fault {
    fn from_db(db: &DbError) -> Self {
        let code = db.code().code();
        let message = message(db);
        // A prepared statement whose result would have other types now: what was known of the table
        // is no longer so. Anything else under this code is refused for good.
        if code == "0A000" && db.routine() == Some("RevalidateCachedQuery") {
            return Self::Lost(format!("{code}: {message}"));
        }
        match Class::of(code) {
            Class::Rows => Self::Rows {
                code: code.to_owned(),
                reason: format!("{code}: {message}"),
            },
            Class::Lost => Self::Lost(format!("{code}: {message}")),
            Class::Refused => Self::Refused {
                code: code.to_owned(),
                message,
            },
        }
    }
}

/// The error of a call that writes no rows.
impl From<Fault> for SqlError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rows { code, reason } => {
                let words = reason.split_once(": ").map(|(_, words)| words.to_owned());
                Self::Rejected {
                    code,
                    message: words.unwrap_or(reason),
                }
            }
            Fault::Refused { code, message } => Self::Rejected { code, message },
            Fault::Lost(reason) => Self::Unavailable(reason),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Rows,
    Lost,
    Refused,
}

impl Class {
    fn of(code: &str) -> Self {
        let class = code.get(..2).unwrap_or_default();
        match (class, code) {
            // What was known of a table's types is no longer so: a binary value of the wrong form.
            (_, "22P03") => Self::Lost,
            // A prepared statement that another server process has, or has not: a pooler in between.
            (_, "26000" | "42P05") => Self::Lost,
            ("22" | "23" | "44", _) => Self::Rows,
            // RAISE in a trigger, a row too large for its page, two rows that mean the same one.
            (_, "P0001" | "54000" | "21000") => Self::Rows,
            ("08" | "40" | "53" | "57", _) => Self::Lost,
            // A lock not to be had in time, a server that was written to and is a standby now,
            // and a transaction that is over or lost.
            (_, "55P03" | "25006" | "25P02" | "25P03") => Self::Lost,
            _ => Self::Refused,
        }
    }
}

/// Why no link could be made.
pub(super) fn connecting(server: &Server, error: &Error) -> SqlError {
    let place = server.place();
    if let Some(db) = error.as_db_error() {
        return match Fault::from_db(db) {
            Fault::Lost(reason) => SqlError::Unavailable(format!("{place}: {reason}")),
            Fault::Rows { code, reason } => SqlError::Rejected {
                code,
                message: format!("{place}: {reason}"),
            },
            Fault::Refused { code, message } => SqlError::Rejected {
                code,
                message: format!("{place}: {message}"),
            },
        };
    }
    let words = words(error);
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && let Some(tls) = io.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            return not_trusted(&place, tls);
        }
        source = cause.source();
    }
    if words.contains("server does not support TLS") {
        return SqlError::Denied(format!(
            "{place} does not encrypt; set it up for TLS, or say sslmode=disable in the url"
        ));
    }
    if words.contains("password missing") || words.contains("invalid configuration") {
        return SqlError::Denied(format!(
            "{place} wants a password; set connection.password ({words})"
        ));
    }
    SqlError::Unavailable(format!("{place} cannot be reached: {words}"))
}

fn not_trusted(place: &str, error: &rustls::Error) -> SqlError {
    match error {
        rustls::Error::InvalidCertificate(_) => SqlError::Denied(format!(
            "the certificate of {place} is not trusted ({error}); check that the url has the \
             host's name as the certificate has it, and give the authority that signed it as \
             trusted certificate"
        )),
        _ => SqlError::Unavailable(format!("{place}: TLS failed: {error}")),
    }
}

/// An error's words with those of its causes.
pub(super) fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

/// The server's words and, for what users meet most, what to do.
fn message(error: &DbError) -> String {
    let mut text = error.message().to_owned();
    if let Some(detail) = error.detail() {
        text = format!("{text} ({detail})");
    }
    let advice = match error.code().code() {
        "28P01" | "28000" => "check user and password, and what pg_hba.conf lets in",
        "26000" | "42P05" => {
            "a pooler such as PgBouncer hands transactions to changing server processes: add \
             prepareThreshold=0 to the parameters of connection.url, or pool sessions"
        }
        "3D000" => "create the database, or name another one in the url",
        "3F000" => "create the schema, or name another one",
        "42P01" => "create the table, or let the connector create it",
        "42703" => "add the column, or let the connector add it",
        "42501" => "grant it to the user of the connection",
        "42P10" if error.message().contains("generated column") => {
            "the database computes it, so leave the column out"
        }
        "42P10" => {
            "upserts take a primary key or unique index on exactly the columns that identify a row"
        }
        "428C9" => "leave the column out, or define it as generated by default",
        _ => match error.hint() {
            Some(hint) => hint,
            None => return text,
        },
    };
    format!("{text}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_say_who_is_at_fault() {
        for code in [
            "22001", "22P02", "23505", "44000", "P0001", "54000", "21000",
        ] {
            assert_eq!(Class::of(code), Class::Rows, "{code}");
        }
        for code in [
            "22P03", "26000", "42P05", "40001", "40P01", "55P03", "57014", "57P01", "08006",
            "53300", "25006", "25P03",
        ] {
            assert_eq!(Class::of(code), Class::Lost, "{code}");
        }
        for code in ["42P01", "42703", "42501", "28P01", "0A000", "XX000", ""] {
            assert_eq!(Class::of(code), Class::Refused, "{code}");
        }
    }
}
