//! Makes the demo's lines and compares what arrived with them, in a file and in a SQLite table.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rusqlite::{Connection, OpenFlags};
use tidegate_tests::files::append_lines;

#[derive(Parser)]
enum Command {
    /// Write numbered lines into a new file.
    Write {
        /// The file.
        file: PathBuf,
        /// How many.
        lines: usize,
    },
    /// How many rows a table has; 0 if there is none yet.
    Rows {
        /// The SQLite file.
        database: PathBuf,
        /// The table.
        table: String,
    },
    /// Compare a file and the column `value` of a table with what was sent.
    Check {
        /// What was sent.
        sent: PathBuf,
        /// A file of lines.
        copy: PathBuf,
        /// A SQLite file.
        database: PathBuf,
        /// The table.
        table: String,
    },
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    match Command::parse() {
        Command::Write { file, lines } => {
            if file.exists() {
                fs::remove_file(&file)?;
            }
            append_lines(&file, 0, lines);
            Ok(ExitCode::SUCCESS)
        }
        Command::Rows { database, table } => {
            println!("{}", rows(&database, &table).unwrap_or(0));
            Ok(ExitCode::SUCCESS)
        }
        Command::Check {
            sent,
            copy,
            database,
            table,
        } => {
            let sent = fs::read_to_string(sent)?;
            let copied = fs::read_to_string(copy)?;
            let stored = values(&database, &table)?;
            let file = compare("file", sent.lines(), copied.lines());
            let table = compare("table", sent.lines(), stored.iter().map(String::as_str));
            Ok(if file && table {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

/// The sink writes meanwhile, so only look.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn quoted(table: &str) -> String {
    format!("\"{}\"", table.replace('"', "\"\""))
}

fn rows(database: &Path, table: &str) -> rusqlite::Result<i64> {
    let query = format!("SELECT count(*) FROM {}", quoted(table));
    open(database)?.query_row(&query, [], |row| row.get(0))
}

fn values(database: &Path, table: &str) -> rusqlite::Result<Vec<String>> {
    let connection = open(database)?;
    let mut query = connection.prepare(&format!("SELECT value FROM {}", quoted(table)))?;
    query.query_map([], |row| row.get(0))?.collect()
}

/// Whether each line arrived as often as it was sent. The order is not looked at: a table has none.
fn compare<'a>(
    what: &str,
    sent: impl Iterator<Item = &'a str>,
    came: impl Iterator<Item = &'a str>,
) -> bool {
    let mut balance: HashMap<&str, i64> = HashMap::new();
    let (mut sent_count, mut came_count) = (0, 0);
    for line in sent {
        *balance.entry(line).or_default() += 1;
        sent_count += 1;
    }
    for line in came {
        *balance.entry(line).or_default() -= 1;
        came_count += 1;
    }
    let missing: i64 = balance.values().filter(|n| **n > 0).sum();
    let surplus: i64 = -balance.values().filter(|n| **n < 0).sum::<i64>();
    let same = missing == 0 && surplus == 0;
    let verdict = if same { "the same" } else { "NOT the same" };
    println!(
        "{what}: {sent_count} lines sent, {came_count} arrived, {missing} missing, {surplus} too many: {verdict}"
    );
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_repeats_and_changes_are_seen() {
        let check = |sent: &str, came: &str| compare("test", sent.split(' '), came.split(' '));
        assert!(check("a b b", "b a b"));
        assert!(!check("a b", "a"));
        assert!(!check("a b", "a b b"));
        assert!(!check("a b", "a c"));
    }
}
