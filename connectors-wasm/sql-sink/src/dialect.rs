//! What differs from database to database.

use tidegate_sdk::prelude::*;

use crate::kinds;

/// A kind of database that this sink knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgresql,
}

impl Dialect {
    /// By the host's name for it.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "sqlite" => Ok(Self::Sqlite),
            "postgresql" => Ok(Self::Postgresql),
            other => Err(Failure::fatal(format!(
                "this sink does not know the dialect {other}, use a sqlite or postgresql connection"
            ))),
        }
    }

    /// Whether both names are one column.
    pub fn is_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Sqlite => one.eq_ignore_ascii_case(other),
            // The host quotes names.
            Self::Postgresql => one == other,
        }
    }

    /// Whether a column can have this name.
    ///
    /// # Errors
    /// Why not.
    pub fn check_name(self, name: &str) -> std::result::Result<(), String> {
        let max_bytes = match self {
            Self::Sqlite => 1_000,
            Self::Postgresql => 63,
        };
        let problem = if name.is_empty() {
            "is empty".to_owned()
        } else if name.len() > max_bytes {
            format!("is longer than {max_bytes} bytes")
        } else if name.contains('\0') {
            "has a NUL character".to_owned()
        } else {
            return Ok(());
        };
        let start: String = name.chars().take(70).collect();
        Err(format!(
            "field {start:?} cannot be a column, since its name {problem}: rename it, or list in \
             fields.whitelist what shall be written"
        ))
    }

    /// Whether a refusal to make columns is about the columns: too many, or two of one name.
    pub fn refuses_columns(self, code: &str) -> bool {
        match self {
            Self::Sqlite => code == "SQLITE_ERROR",
            Self::Postgresql => matches!(code, "54011" | "54000" | "42701"),
        }
    }

    /// Whether a refusal to write means that no index is there to tell rows apart by.
    pub fn lacks_index(self, code: &str) -> bool {
        match self {
            Self::Sqlite => code == "SQLITE_ERROR",
            Self::Postgresql => code == "42P10",
        }
    }

    /// The type of a column that takes values of a Connect type.
    pub fn column_kind(self, kind: &str) -> String {
        match self {
            Self::Sqlite => sqlite(kind).to_owned(),
            Self::Postgresql => postgresql(kind),
        }
    }
}

fn sqlite(kind: &str) -> &'static str {
    // It is stored as it comes.
    let kind = kind.rsplit(kinds::PLAIN).next().unwrap_or(kind);
    match kind {
        "boolean" | "int8" | "int16" | "int32" | "int64" => "INTEGER",
        "float32" | "float64" => "REAL",
        "bytes" => "BLOB",
        "Date" | "Time" | "Timestamp" => "NUMERIC",
        // Strings, and arrays, maps and structs as JSON.
        _ => "TEXT",
    }
}

fn postgresql(kind: &str) -> String {
    let items = kind
        .strip_prefix("array<")
        .and_then(|kind| kind.strip_suffix('>'));
    if let Some(items) = items {
        return match postgresql(items).as_str() {
            // Arrays of arrays have one length there, and these need not.
            "jsonb" => "jsonb".to_owned(),
            items if items.ends_with(']') => "jsonb".to_owned(),
            items => format!("{items}[]"),
        };
    }
    if let Some((name, plain)) = kind.split_once(kinds::PLAIN) {
        return match name {
            "time.Date" => "date".to_owned(),
            "time.Time" | "time.MicroTime" | "time.NanoTime" => "time".to_owned(),
            "time.Timestamp" | "time.MicroTimestamp" | "time.NanoTimestamp" => {
                "timestamp".to_owned()
            }
            "time.ZonedTimestamp" => "timestamp with time zone".to_owned(),
            "time.ZonedTime" => "time with time zone".to_owned(),
            "time.Interval" => "interval".to_owned(),
            "data.Uuid" => "uuid".to_owned(),
            "data.Json" => "jsonb".to_owned(),
            "data.Xml" => "xml".to_owned(),
            _ => postgresql(plain),
        };
    }
    let kind = match kind {
        "boolean" => "boolean",
        "int8" | "int16" => "smallint",
        "int32" => "integer",
        "int64" => "bigint",
        "float32" => "real",
        "float64" => "double precision",
        "bytes" => "bytea",
        "Decimal" => "numeric",
        "Date" => "date",
        "Time" => "time",
        "Timestamp" => "timestamp with time zone",
        // An array of who knows what, too.
        "array" | "map" | "struct" => "jsonb",
        _ => "text",
    };
    kind.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_column_types() {
        for (kind, sqlite, postgresql) in [
            ("boolean", "INTEGER", "boolean"),
            ("int8", "INTEGER", "smallint"),
            ("int16", "INTEGER", "smallint"),
            ("int32", "INTEGER", "integer"),
            ("int64", "INTEGER", "bigint"),
            ("float32", "REAL", "real"),
            ("float64", "REAL", "double precision"),
            ("string", "TEXT", "text"),
            ("bytes", "BLOB", "bytea"),
            ("Decimal", "TEXT", "numeric"),
            ("Date", "NUMERIC", "date"),
            ("Time", "NUMERIC", "time"),
            ("Timestamp", "NUMERIC", "timestamp with time zone"),
            ("struct", "TEXT", "jsonb"),
            ("map", "TEXT", "jsonb"),
            ("array", "TEXT", "jsonb"),
            ("array<int32>", "TEXT", "integer[]"),
            ("array<Timestamp>", "TEXT", "timestamp with time zone[]"),
            ("array<struct>", "TEXT", "jsonb"),
            ("array<array<int32>>", "TEXT", "jsonb"),
            ("time.MicroTimestamp|int64", "INTEGER", "timestamp"),
            (
                "time.ZonedTimestamp|string",
                "TEXT",
                "timestamp with time zone",
            ),
            ("time.Date|int32", "INTEGER", "date"),
            ("time.NanoTime|int64", "INTEGER", "time"),
            ("data.Uuid|string", "TEXT", "uuid"),
            ("data.Json|string", "TEXT", "jsonb"),
            ("data.Enum|string", "TEXT", "text"),
            ("time.Year|int32", "INTEGER", "integer"),
            ("array<data.Uuid|string>", "TEXT", "uuid[]"),
        ] {
            assert_eq!(Dialect::Sqlite.column_kind(kind), sqlite, "{kind}");
            assert_eq!(Dialect::Postgresql.column_kind(kind), postgresql, "{kind}");
        }
    }
}
