//! What a table looks like, and making it so.

use deadpool_postgres::Client;
use tidegate_sandbox::{Column, SqlError, Table};

use super::{error::Fault, identifier};

/// The columns, and their place in the primary key. Those that the database computes are marked.
const COLUMNS: &str = "\
    SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) || \
           CASE WHEN a.attgenerated = '' THEN '' ELSE ' generated always' END, NOT a.attnotnull, \
           (SELECT k.place FROM pg_catalog.pg_index i, \
                   unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
            WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.number = a.attnum) \
    FROM pg_catalog.pg_attribute a \
    WHERE a.attrelid = pg_catalog.to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attnum";

/// The table `name`; `None` if there is none.
pub(super) async fn describe(client: &Client, name: &str) -> Result<Option<Table>, SqlError> {
    let quoted = identifier::table(name)?;
    Ok(read(client, &quoted).await?)
}

async fn read(client: &Client, quoted: &str) -> Result<Option<Table>, Fault> {
    let rows = client.query(COLUMNS, &[&quoted]).await?;
    let mut table = Table::default();
    let mut key: Vec<(i64, String)> = Vec::new();
    for row in rows {
        let name: String = row.try_get(0)?;
        if let Some(place) = row.try_get(3)? {
            key.push((place, name.clone()));
        }
        table.columns.push(Column {
            name,
            kind: row.try_get(1)?,
            nullable: row.try_get(2)?,
        });
    }
    key.sort();
    table.primary_key = key.into_iter().map(|(_, name)| name).collect();
    Ok((!table.columns.is_empty()).then_some(table))
}

/// Makes the table `name` or adds the columns it lacks, and commits that. If it fails, the
/// transaction may still be open.
pub(super) async fn ensure(client: &Client, name: &str, wanted: &Table) -> Result<Table, SqlError> {
    let create = create_statement(name, wanted)?;
    // The usual case; it takes no lock.
    if let Some(found) = describe(client, name).await?
        && missing(&found, wanted).next().is_none()
    {
        return Ok(found);
    }
    let quoted = identifier::table(name)?;
    run(client, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    lock(client, &quoted).await?;
    match describe(client, name).await? {
        None => run(client, &create).await?,
        Some(found) => {
            for column in missing(&found, wanted) {
                run(client, &add_statement(name, column, wanted)?).await?;
            }
        }
    }
    let found = describe(client, name).await?;
    run(client, "COMMIT").await?;
    found.ok_or_else(|| SqlError::Rejected {
        code: "42P01".to_owned(),
        message: format!("table {name:?} went away while it was made; try again"),
    })
}

/// Waits until nobody else makes or alters a table `quoted`: `IF NOT EXISTS` alone is no
/// protection against two who do so at once.
pub(super) async fn lock(client: &Client, quoted: &str) -> Result<(), Fault> {
    let key = format!("tidegate {quoted}");
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";
    client.query(lock, &[&key]).await?;
    Ok(())
}

async fn run(client: &Client, statement: &str) -> Result<(), Fault> {
    Ok(client.batch_execute(statement).await?)
}

fn create_statement(name: &str, wanted: &Table) -> Result<String, SqlError> {
    if wanted.columns.is_empty() {
        return Err(SqlError::Denied(format!(
            "table {name:?} is wanted without columns; name at least one"
        )));
    }
    let mut parts = Vec::with_capacity(wanted.columns.len() + 1);
    for column in &wanted.columns {
        parts.push(definition(column)?);
    }
    let mut key = Vec::with_capacity(wanted.primary_key.len());
    for part in &wanted.primary_key {
        if !wanted.columns.iter().any(|column| column.name == *part) {
            return Err(SqlError::Denied(format!(
                "primary key of table {name:?} names {part:?}, which is not among its columns"
            )));
        }
        key.push(identifier::quoted(part)?);
    }
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    }
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS {} ({})",
        identifier::table(name)?,
        parts.join(", ")
    ))
}

fn add_statement(name: &str, column: &Column, wanted: &Table) -> Result<String, SqlError> {
    if wanted.primary_key.contains(&column.name) {
        return Err(SqlError::Denied(format!(
            "table {name:?} has no column {:?}, which shall be part of its primary key; a primary \
             key is not changed here, add the column by hand",
            column.name
        )));
    }
    Ok(format!(
        "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}",
        identifier::table(name)?,
        definition(column)?
    ))
}

fn definition(column: &Column) -> Result<String, SqlError> {
    identifier::check_kind(&column.kind)?;
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    Ok(format!(
        "{} {}{not_null}",
        identifier::quoted(&column.name)?,
        column.kind
    ))
}

fn missing<'a>(found: &'a Table, wanted: &'a Table) -> impl Iterator<Item = &'a Column> {
    let has = |name: &String| found.columns.iter().any(|column| column.name == *name);
    wanted
        .columns
        .iter()
        .filter(move |column| !has(&column.name))
}
