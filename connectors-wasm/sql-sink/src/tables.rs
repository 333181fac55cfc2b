//! The tables that records go to: whether they are there and have the columns.

use std::collections::BTreeMap;

use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::{Column, Connection, Table};

use crate::closer;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::mapping::Planned;

/// Tables as they were found. Only what was found is remembered: what was made here goes again if
/// the host has to roll the put back.
#[derive(Debug, Default)]
pub struct Tables {
    columns: BTreeMap<String, Vec<String>>,
}

/// What tables need to be looked at and made.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    pub connection: &'a Connection,
    pub dialect: Dialect,
    pub config: &'a Config,
    pub batch: &'a Batch,
}

impl Tables {
    /// Whether the table is there and has the columns, after making it so where that is allowed.
    /// No: it is not there, and is not made, since records would only delete from it.
    pub fn require(
        &mut self,
        making: Making<'_>,
        table: &str,
        columns: &[Planned],
        only_deletes: bool,
    ) -> Result<bool> {
        let known = self.columns.get(table);
        if known.is_some_and(|known| lacking(making.dialect, known, columns).is_empty()) {
            return Ok(true);
        }
        let found = making.connection.describe(table);
        match found.or_fail(format!("look at table {table}"))? {
            None if only_deletes => Ok(false),
            None => {
                making.create(table, columns)?;
                Ok(true)
            }
            Some(found) => {
                let found: Vec<_> = found
                    .columns
                    .into_iter()
                    .map(|column| column.name)
                    .collect();
                let lacking = lacking(making.dialect, &found, columns);
                if !lacking.is_empty() {
                    making.evolve(table, &lacking)?;
                }
                self.columns.insert(table.to_owned(), found);
                Ok(true)
            }
        }
    }

    /// Another look at all of them is due: what failed may be that somebody changed one.
    pub fn forget(&mut self) {
        self.columns.clear();
    }
}

fn lacking<'a>(dialect: Dialect, known: &[String], columns: &'a [Planned]) -> Vec<&'a Planned> {
    let is_known = |column: &&Planned| known.iter().any(|name| dialect.is_same(name, &column.name));
    columns.iter().filter(|column| !is_known(column)).collect()
}

impl Making<'_> {
    fn create(self, table: &str, columns: &[Planned]) -> Result<()> {
        if !self.config.creates() {
            return Err(Failure::fatal(format!(
                "there is no table {table}, create it or set auto.create to true"
            )));
        }
        log::info!("creating table {table}");
        let all = columns.iter();
        let wanted = Table {
            columns: all
                .map(|column| self.column(table, column))
                .collect::<Result<_>>()?,
            primary_key: columns
                .iter()
                .filter(|column| column.identifies)
                .map(|column| column.name.clone())
                .collect(),
        };
        self.ensure(table, &wanted, "create")
    }

    fn evolve(self, table: &str, lacking: &[&Planned]) -> Result<()> {
        let names: Vec<_> = lacking.iter().map(|column| column.name.as_str()).collect();
        let names = names.join(", ");
        if lacking.iter().any(|column| column.identifies) {
            return Err(Failure::fatal(format!(
                "table {table} lacks {names}, of which some identify its rows: add them to its \
                 primary key by hand, or change pk.fields"
            )));
        }
        if !self.config.evolves() {
            return Err(Failure::fatal(format!(
                "table {table} lacks {names}: add them, set auto.evolve to true, or list in \
                 fields.whitelist what shall be written"
            )));
        }
        log::info!("adding {names} to table {table}");
        let column = |column: &&Planned| {
            Ok(Column {
                // The rows that are there have no value.
                nullable: true,
                ..self.column(table, column)?
            })
        };
        let wanted = Table {
            columns: lacking.iter().map(column).collect::<Result<_>>()?,
            primary_key: Vec::new(),
        };
        self.ensure(table, &wanted, "add columns to")
    }

    fn ensure(self, table: &str, wanted: &Table, doing: &str) -> Result<()> {
        let ensured = self.connection.ensure_table(table, wanted);
        ensured.map(drop).or_fail(format!("{doing} table {table}"))
    }

    fn column(self, table: &str, column: &Planned) -> Result<Column> {
        let kind = match closer::kind(self.batch, column)? {
            Some(kind) => kind,
            None if column.identifies => {
                return Err(Failure::fatal(format!(
                    "no record of {} has {}, by which rows of table {table} shall be told apart: \
                     check pk.fields",
                    self.batch.topic(),
                    column.name
                )));
            }
            // Nothing but nulls so far.
            None => "string".to_owned(),
        };
        Ok(Column {
            name: column.name.clone(),
            kind: self.dialect.column_kind(&kind),
            nullable: column.optional,
        })
    }
}
