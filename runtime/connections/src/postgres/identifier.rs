//! Names and types from guests, on their way into SQL.

use tidegate_sandbox::SqlError;

use super::ledger;

/// PostgreSQL cuts longer names off, and then two of them can be one.
pub(super) const MAX_NAME_BYTES: usize = 63;
/// No type needs more.
const MAX_KIND_BYTES: usize = 200;

/// The types whose names are several words, without lengths.
const PHRASES: [&str; 12] = [
    "bit varying",
    "char varying",
    "character varying",
    "double precision",
    "national char",
    "national char varying",
    "national character",
    "national character varying",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
];

/// `name` in double quotes.
pub(super) fn quoted(name: &str) -> Result<String, SqlError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "is longer than 63 bytes"
    } else if name.contains('\0') {
        "has a NUL character"
    } else {
        return Ok(quote(name));
    };
    let start: String = name.chars().take(70).collect();
    Err(SqlError::Denied(format!(
        "table or column name {start:?} {problem}; use another name"
    )))
}

/// A name that the server gave.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The table `name`, which may have its schema in front. Parts in double quotes may have points.
pub(super) fn table(name: &str) -> Result<String, SqlError> {
    let parts = parts(name).ok_or_else(|| {
        SqlError::Denied(format!(
            "table name {name:?} has a double quote that has no other; put all of a part in \
             double quotes, and those in it twice"
        ))
    })?;
    let (schema, table) = match parts.as_slice() {
        [table] => (None, table),
        [schema, table] => (Some(schema), table),
        _ => {
            return Err(SqlError::Denied(format!(
                "table name {name:?} has more than one point; use SCHEMA.TABLE or TABLE, and \
                 double quotes around a name that has points of its own, as in \
                 table.name.format=\"${{topic}}\""
            )));
        }
    };
    // A position that moves without its rows loses records.
    if table == ledger::NAME {
        return Err(SqlError::Denied(format!(
            "table {name:?} keeps the consumed offsets and is the host's; use another name"
        )));
    }
    match schema {
        None => quoted(table),
        Some(schema) => Ok(format!("{}.{}", quoted(schema)?, quoted(table)?)),
    }
}

/// The parts between points that are in no quotes, without the quotes; none if a quote does not end
/// where its part does.
fn parts(name: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = name;
    loop {
        let Some(inner) = rest.strip_prefix('"') else {
            let (part, after) = match rest.split_once('.') {
                Some((part, after)) => (part, Some(after)),
                None => (rest, None),
            };
            if part.contains('"') {
                return None;
            }
            parts.push(part.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Some(parts),
            }
            continue;
        };
        let mut part = String::new();
        let mut inner = inner;
        let after = loop {
            let (before, after) = inner.split_once('"')?;
            part.push_str(before);
            match after.strip_prefix('"') {
                Some(more) => {
                    part.push('"');
                    inner = more;
                }
                None => break after,
            }
        };
        parts.push(part);
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}

/// Checks a type: one name, perhaps with a schema, or one of the phrases; lengths, array
/// brackets; nothing that SQL would take for more than a type.
pub(super) fn check_kind(kind: &str) -> Result<(), SqlError> {
    if kind.len() <= MAX_KIND_BYTES && is_kind(kind) {
        return Ok(());
    }
    let start: String = kind.chars().take(70).collect();
    Err(SqlError::Denied(format!(
        "{start:?} is no column type; use one such as text, varchar(20), numeric(10, 2), \
         timestamp with time zone, int4[] or SCHEMA.TYPE"
    )))
}

fn is_kind(kind: &str) -> bool {
    let mut kind = kind.trim_matches(' ');
    while let Some(element) = kind.strip_suffix(']') {
        let Some((element, length)) = element.rsplit_once('[') else {
            return false;
        };
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        kind = element.trim_end_matches(' ');
    }
    if kind.starts_with('"') || kind.contains(".\"") {
        return kind.splitn(2, '.').all(is_name_or_quoted);
    }
    let (before, rest) = kind.split_once('(').unwrap_or((kind, ""));
    let after = match rest.split_once(')') {
        Some((lengths, after)) if are_lengths(lengths) => after,
        None if before.len() == kind.len() => "",
        _ => return false,
    };
    let words: Vec<_> = before
        .split(' ')
        .chain(after.split(' '))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    match words.as_slice() {
        [word] => word.splitn(2, '.').all(is_name),
        words => PHRASES.contains(&words.join(" ").as_str()),
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_name_or_quoted(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    match inner {
        Some(inner) => !inner.is_empty() && !inner.contains(['"', '\0']),
        None => is_name(text),
    }
}

fn are_lengths(text: &str) -> bool {
    let lengths: Vec<_> = text
        .split(',')
        .map(|length| length.trim_matches(' '))
        .collect();
    let is_length = |length: &&str| {
        let digits = length.strip_prefix('-').unwrap_or(length);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    lengths.len() <= 2 && lengths.iter().all(is_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offsets_are_the_host_s() {
        for name in ["tidegate_offsets", "public.tidegate_offsets"] {
            let Err(SqlError::Denied(reason)) = table(name) else {
                panic!("{name} was not denied");
            };
            assert!(reason.contains("use another name"), "{reason}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"; --").unwrap(), "\"a\"\"; --\"");
        assert_eq!(table("t").unwrap(), "\"t\"");
        assert_eq!(table("s.T x").unwrap(), "\"s\".\"T x\"");
        assert_eq!(table("\"a.b.C\"").unwrap(), "\"a.b.C\"");
        assert_eq!(table("s.\"T\"\".x\"").unwrap(), "\"s\".\"T\"\".x\"");
        for bad in [
            "\"",
            "\"a",
            "a\"b",
            "\"a\"b",
            "\"a\".",
            "\"\"",
            "a.\"tidegate_offsets\"",
        ] {
            assert!(table(bad).is_err(), "{bad}");
        }
        for bad in ["", "a\0", &"x".repeat(64), ".t", "s.", "a.b.c", "s.\0"] {
            assert!(table(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_types_only() {
        for fine in [
            "text",
            "double precision",
            "DOUBLE PRECISION",
            "varchar(20)",
            "character varying(20)[]",
            "numeric(10, 2)",
            "numeric(3,-2)",
            "timestamp with time zone",
            "timestamp(3) without time zone",
            "int4[]",
            "text[3][]",
            "public.citext",
            "\"MyEnum\"",
            "app.\"My Enum\"[]",
            "_int4",
        ] {
            assert_eq!(check_kind(fine), Ok(()), "{fine}");
        }
        for bad in [
            "",
            " ",
            "text, x int",
            "text)",
            "text(",
            "text()",
            "text(1)(2)",
            "text(1,2,3)",
            "text(a)",
            "text primary key",
            "text default x",
            "int references t(1)",
            "text;",
            "text--",
            "text/**/",
            "text(1) not null",
            "1",
            "text collate \"C\"",
            "text[",
            "text[a]",
            "]",
            "\"a\"\" b\"",
            "\"a\" default 1",
            "a.b.c",
            "int storage plain",
        ] {
            assert!(check_kind(bad).is_err(), "{bad}");
        }
    }
}
