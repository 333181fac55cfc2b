//! What a table looks like, and making it so.

use tidegate_sandbox::{Column, SqlError, Table};

use super::{identifier, link::Db};

/// The table `name`; `None` if there is none.
pub(super) fn describe(db: &Db, name: &str) -> Result<Option<Table>, SqlError> {
    identifier::table(name)?;
    read(db, name).map_err(|error| db.failed(&error))
}

fn read(db: &Db, name: &str) -> rusqlite::Result<Option<Table>> {
    // hidden = 1: of virtual tables, cannot be written; 2 and 3 are generated columns.
    let mut statement = db.connection.prepare_cached(
        "SELECT name, type || iif(hidden = 0, '', ' generated always'), \"notnull\", pk \
         FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1",
    )?;
    let mut rows = statement.query([&*identifier::unquoted(name)])?;
    let mut table = Table::default();
    let mut key: Vec<(i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let in_key: i64 = row.get(3)?;
        if in_key > 0 {
            key.push((in_key, name.clone()));
        }
        table.columns.push(Column {
            name,
            kind: row.get(1)?,
            nullable: !row.get::<_, bool>(2)?,
        });
    }
    key.sort();
    table.primary_key = key.into_iter().map(|(_, name)| name).collect();
    Ok((!table.columns.is_empty()).then_some(table))
}

/// Makes the table `name` or adds the columns it lacks, and commits that. Columns of the primary
/// key are NOT NULL, as everywhere but in SQLite.
pub(super) fn ensure(db: &Db, name: &str, wanted: &Table) -> Result<Table, SqlError> {
    let create = create_statement(name, wanted)?;
    if db.in_transaction() {
        return Err(SqlError::Denied(format!(
            "ensure-table of {name:?} comes after a write of the same put; call it before"
        )));
    }
    // The usual case; it takes no lock.
    if let Some(found) = describe(db, name)?
        && missing(&found, wanted).next().is_none()
    {
        return Ok(found);
    }
    db.begin()?;
    let changed = change(db, name, wanted, &create).and_then(|table| {
        db.commit()?;
        Ok(table)
    });
    if changed.is_err() {
        db.rollback()?;
    }
    changed
}

fn change(db: &Db, name: &str, wanted: &Table, create: &str) -> Result<Table, SqlError> {
    match describe(db, name)? {
        None => db.host(create)?,
        Some(found) => {
            for column in missing(&found, wanted) {
                if is_in(&wanted.primary_key, &column.name) {
                    return Err(SqlError::Denied(format!(
                        "table {name:?} has no column {:?}, and SQLite cannot add it to the \
                         primary key; add it by hand",
                        column.name
                    )));
                }
                db.host(&format!(
                    "ALTER TABLE {} ADD COLUMN {}",
                    identifier::table(name)?,
                    definition(column, false)?
                ))?;
            }
        }
    }
    describe(db, name)?.ok_or_else(|| SqlError::Rejected {
        code: "SQLITE_ERROR".to_owned(),
        message: format!("table {name:?} went away while it was made"),
    })
}

fn create_statement(name: &str, wanted: &Table) -> Result<String, SqlError> {
    if wanted.columns.is_empty() {
        return Err(SqlError::Denied(format!(
            "table {name:?} is wanted without columns; name at least one"
        )));
    }
    let mut parts = Vec::with_capacity(wanted.columns.len() + 1);
    for column in &wanted.columns {
        parts.push(definition(
            column,
            is_in(&wanted.primary_key, &column.name),
        )?);
    }
    let mut key = Vec::with_capacity(wanted.primary_key.len());
    for part in &wanted.primary_key {
        if !wanted
            .columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(part))
        {
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

fn definition(column: &Column, in_key: bool) -> Result<String, SqlError> {
    identifier::check_kind(&column.kind)?;
    let not_null = if column.nullable && !in_key {
        ""
    } else {
        " NOT NULL"
    };
    Ok(format!(
        "{} {}{not_null}",
        identifier::quoted(&column.name)?,
        column.kind
    ))
}

fn is_in(names: &[String], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn missing<'a>(found: &'a Table, wanted: &'a Table) -> impl Iterator<Item = &'a Column> {
    wanted.columns.iter().filter(|column| {
        !found
            .columns
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(&column.name))
    })
}
