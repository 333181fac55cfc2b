//! Names and types from guests, on their way into SQL.

use std::borrow::Cow;

use tidegate_sandbox::SqlError;

use super::authorizer::LEDGER_TABLE;

/// Longer names would be copied into every statement and message.
pub(super) const MAX_NAME_BYTES: usize = 1_000;

/// Words that would turn a column's type into a constraint.
const NO_TYPES: [&str; 14] = [
    "always",
    "as",
    "autoincrement",
    "check",
    "collate",
    "constraint",
    "default",
    "foreign",
    "generated",
    "not",
    "null",
    "primary",
    "references",
    "unique",
];

/// `name` in double quotes.
pub(super) fn quoted(name: &str) -> Result<String, SqlError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "is longer than 1000 bytes"
    } else if name.contains('\0') {
        "has a NUL character"
    } else {
        return Ok(format!("\"{}\"", name.replace('"', "\"\"")));
    };
    let start: String = name.chars().take(50).collect();
    Err(SqlError::Denied(format!(
        "table or column name {start:?} {problem}; use another name"
    )))
}

/// The table name without the double quotes around it, if there are some.
pub(super) fn unquoted(name: &str) -> Cow<'_, str> {
    let inner = name
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.replace("\"\"", "").contains('"') => {
            inner.replace("\"\"", "\"").into()
        }
        _ => name.into(),
    }
}

/// The table `name`, quoted and with its schema, so that nothing can stand in for it.
pub(super) fn table(name: &str) -> Result<String, SqlError> {
    let name = &*unquoted(name);
    let quoted = quoted(name)?;
    let start = name.get(.."sqlite_".len());
    if start.is_some_and(|start| start.eq_ignore_ascii_case("sqlite_")) {
        return Err(SqlError::Denied(format!(
            "table {name:?} is SQLite's own; use a name that does not begin with sqlite_"
        )));
    }
    if name.eq_ignore_ascii_case(LEDGER_TABLE) {
        return Err(SqlError::Denied(format!(
            "table {name:?} is where Tidegate keeps consumed offsets; use another name"
        )));
    }
    Ok(format!("main.{quoted}"))
}

/// Checks a type name: words, perhaps lengths in parentheses, nothing that SQL would take for
/// more than a type.
pub(super) fn check_kind(kind: &str) -> Result<(), SqlError> {
    let (words, lengths) = match kind.split_once('(') {
        Some((words, rest)) => (words, rest.strip_suffix(')')),
        None => (kind, Some("1")),
    };
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && !NO_TYPES.iter().any(|no| no.eq_ignore_ascii_case(word))
    };
    let is_length = |length: &str| {
        let length = length.trim_matches(' ');
        !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = words.trim_end_matches(' ');
    let fine = kind.len() <= MAX_NAME_BYTES
        && words.split(' ').all(is_word)
        && lengths.is_some_and(|lengths| {
            let lengths: Vec<_> = lengths.split(',').collect();
            lengths.len() <= 2 && lengths.into_iter().all(is_length)
        });
    if fine {
        return Ok(());
    }
    let start: String = kind.chars().take(50).collect();
    Err(SqlError::Denied(format!(
        "{start:?} is no column type; use words and lengths such as TEXT, VARCHAR(20) or \
         DECIMAL(10, 2)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"; --").unwrap(), "\"a\"\"; --\"");
        assert_eq!(table("t").unwrap(), "main.\"t\"");
        assert_eq!(table("\"T.\"\"x\"").unwrap(), "main.\"T.\"\"x\"");
        assert_eq!(table("a\"").unwrap(), "main.\"a\"\"\"");
        for bad in [
            "",
            "a\0",
            &"x".repeat(1001),
            "SQLite_sequence",
            "Tidegate_Offsets",
            "\"tidegate_offsets\"",
            "\"\"",
        ] {
            assert!(table(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_types_only() {
        for fine in [
            "TEXT",
            "double precision",
            "VARCHAR(20)",
            "DECIMAL (10, 2)",
            "INT8",
        ] {
            assert_eq!(check_kind(fine), Ok(()), "{fine}");
        }
        for bad in [
            "",
            " ",
            "TEXT, x INT",
            "TEXT)",
            "TEXT(",
            "TEXT()",
            "TEXT(1)(2)",
            "TEXT(1,2,3)",
            "TEXT(a)",
            "TEXT PRIMARY KEY",
            "TEXT default x",
            "INT references t(1)",
            "TEXT;",
            "TEXT--",
            "\"TEXT\"",
            "TEXT(1) NOT NULL",
            "1",
        ] {
            assert!(check_kind(bad).is_err(), "{bad}");
        }
    }
}
