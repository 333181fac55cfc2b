//! The connector: what it says about itself, and the work of a task.

use std::collections::BTreeSet;

use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::{Connection, Write};

use crate::config::{CONNECTION, Config};
use crate::mapping::Mapping;

/// One task.
#[derive(Debug)]
pub struct SqlSink {
    config: Config,
    connection: Connection,
    /// Tables that are known to exist.
    tables: BTreeSet<String>,
}

impl Connector for SqlSink {
    type Config = Config;

    fn describe() -> Description {
        Description::new("sql-sink", env!("CARGO_PKG_VERSION"))
            .documentation("Inserts records into database tables.")
            .uses_connection(CONNECTION)
    }

    fn plan(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
        Ok(vec![request.task(); request.max_tasks])
    }
}

impl SinkTask for SqlSink {
    fn start(config: Config, _: &TaskContext) -> Result<Self> {
        let connection = Connection::open(CONNECTION).or_fail(format!("open {CONNECTION}"))?;
        Ok(Self {
            config,
            connection,
            tables: BTreeSet::new(),
        })
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let (rows, mut errants) = without_tombstones(batch);
        if rows.as_ref().is_some_and(Vec::is_empty) {
            return Ok(errants);
        }
        let mapping = self.mapping(batch)?;
        let table = self.config.table(&batch.topic());
        self.require(&table, &mapping)?;
        let doing = format!("write table {table}");
        let write = Write {
            table,
            mode: self.config.mode().to_owned(),
            columns: mapping.sources(),
        };
        let refused = match rows {
            None => self.connection.write(batch, &write),
            Some(rows) => self.connection.write_rows(batch, &rows, &write),
        };
        errants.extend(refused.or_fail(doing)?);
        Ok(errants)
    }
}

impl SqlSink {
    fn mapping(&self, batch: &Batch) -> Result<Mapping> {
        let mapping = match batch.fields() {
            Ok(fields) => Mapping::of_fields(fields, &self.config.fields_whitelist),
            Err(failure) if failure.is_retriable() => return Err(failure),
            Err(_) => Mapping::of_value(),
        };
        if mapping.is_empty() {
            return Err(Failure::fatal(format!(
                "the records of {} have no field to write, check fields.whitelist",
                batch.topic()
            )));
        }
        Ok(mapping)
    }

    /// Makes sure that the table exists. Only one that was found is remembered: one that was
    /// created here goes again if the host has to roll this put back.
    fn require(&mut self, table: &str, mapping: &Mapping) -> Result<()> {
        if self.tables.contains(table) {
            return Ok(());
        }
        let found = self
            .connection
            .describe(table)
            .or_fail(format!("look at table {table}"))?;
        if found.is_some() {
            self.tables.insert(table.to_owned());
            return Ok(());
        }
        if !self.config.auto_create {
            return Err(Failure::fatal(format!(
                "there is no table {table}, create it or set auto.create to true"
            )));
        }
        log::info!("creating table {table}");
        let created = self.connection.ensure_table(table, &mapping.table());
        created.map(drop).or_fail(format!("create table {table}"))
    }
}

/// The rows that have a value (none: all of them), and a verdict for each of the others.
fn without_tombstones(batch: &Batch) -> (Option<Vec<u32>>, Vec<Errant>) {
    let tombstones: BTreeSet<u32> = batch.tombstones().into_iter().collect();
    if tombstones.is_empty() {
        return (None, Vec::new());
    }
    let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    let rows = (0..count).filter(|row| !tombstones.contains(row)).collect();
    let reason = "a null value has nothing to insert";
    let errant = |row| Errant {
        row,
        reason: reason.to_owned(),
    };
    (Some(rows), tombstones.into_iter().map(errant).collect())
}
