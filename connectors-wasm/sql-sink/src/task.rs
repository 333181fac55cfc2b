//! The connector: what it says about itself, and the work of a task.

use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::{Connection, Write};

use crate::config::{CONNECTION, Config, InsertMode};
use crate::dialect::Dialect;
use crate::issues;
use crate::mapping::{self, Planned};
use crate::retries::Retries;
use crate::selection::{self, Selection};
use crate::tables::{Making, Tables};

/// One task.
#[derive(Debug)]
pub struct SqlSink {
    config: Config,
    connection: Connection,
    dialect: Dialect,
    tables: Tables,
    retries: Retries,
}

impl Connector for SqlSink {
    type Config = Config;

    fn describe() -> Description {
        Description::new("sql-sink", env!("CARGO_PKG_VERSION"))
            .documentation(
                "Writes records into tables of PostgreSQL or SQLite, in one transaction with the \
                 consumed offsets.",
            )
            .alias("JdbcSink")
            .alias("io.aiven.connect.jdbc.JdbcSinkConnector")
            .alias("io.confluent.connect.jdbc.JdbcSinkConnector")
            .alias("io.debezium.connector.jdbc.JdbcSinkConnector")
            .uses_connection(CONNECTION)
    }

    fn validate(config: &Config) -> Vec<Issue> {
        issues::of(config)
    }

    fn plan(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
        Ok(vec![request.task(); request.max_tasks])
    }
}

impl SinkTask for SqlSink {
    fn start(config: Config, _: &TaskContext) -> Result<Self> {
        let connection = Connection::open(CONNECTION).or_fail(format!("open {CONNECTION}"))?;
        Ok(Self {
            dialect: Dialect::named(&connection.dialect())?,
            retries: Retries::new(config.max_retries, config.retry_backoff),
            config,
            connection,
            tables: Tables::default(),
        })
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let done = self.deliver(batch);
        if done.is_err() {
            self.tables.forget();
        }
        self.retries.judge(done)
    }
}

impl SqlSink {
    fn deliver(&mut self, batch: &Batch) -> Result<Vec<Errant>> {
        let tombstones = batch.tombstones();
        let only_deletes =
            self.config.insert_mode == InsertMode::Delete || tombstones.len() == batch.len();
        let Selection { rows, mut errants } =
            selection::of(batch, tombstones, self.config.takes_tombstones());
        if rows.is_empty() {
            return Ok(errants);
        }
        let Some(columns) = mapping::of(batch, &self.config, only_deletes)? else {
            errants.extend(selection::without_keys(&rows));
            return Ok(errants);
        };
        let table = self.config.table(&batch.topic());
        let making = Making {
            connection: &self.connection,
            dialect: self.dialect,
            config: &self.config,
            batch,
        };
        if !self
            .tables
            .require(making, &table, &columns, only_deletes)?
        {
            return Ok(errants);
        }
        let write = self.write(table, columns, only_deletes);
        for rows in rows.chunks(self.config.batch_size) {
            let refused = match rows.len() == batch.len() {
                true => self.connection.write(batch, &write),
                false => self.connection.write_rows(batch, rows, &write),
            };
            errants.extend(refused.or_fail(format!("write table {}", write.table))?);
        }
        Ok(errants)
    }

    fn write(&self, table: String, columns: Vec<Planned>, only_deletes: bool) -> Write {
        let identity = columns.iter().filter(|column| column.identifies);
        Write {
            table,
            mode: match only_deletes {
                true => "delete",
                false => self.config.mode(),
            }
            .to_owned(),
            identity: identity.map(|column| column.name.clone()).collect(),
            delete_tombstones: self.config.delete_enabled,
            columns: columns
                .into_iter()
                .map(|column| (column.name, column.source))
                .collect(),
        }
    }
}
