//! The connector: what it says about itself, and the work of a task.

use tidegate_sdk::prelude::*;
use tidegate_sdk::sql::{Connection, SqlError, Write};

use crate::classes::{Classes, Look, Side};
use crate::config::{CONNECTION, Config, DEBEZIUM, InsertMode, PkMode};
use crate::dialect::Dialect;
use crate::issues;
use crate::mapping::{Planned, Records};
use crate::retries::Retries;
use crate::selection::{self, Selection};
use crate::shapes::{Run, Shapes};
use crate::structure::Structure;
use crate::tables::{Tables, Target};

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
            .alias(DEBEZIUM)
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
        let table = self.config.table(&batch.topic());
        let done = self.deliver(&table, batch);
        if done.is_err() {
            // What failed may be that somebody changed it.
            self.tables.forget(&table);
        }
        self.retries.judge(done)
    }
}

impl SqlSink {
    fn deliver(&mut self, table: &str, batch: &Batch) -> Result<Vec<Errant>> {
        let tombstones = batch.tombstones();
        let only_tombstones = tombstones.len() == batch.len();
        let Selection { rows, mut errants } =
            selection::of(batch, &tombstones, self.config.takes_tombstones());
        if rows.is_empty() {
            return Ok(errants);
        }
        let keys = self.keys(batch)?;
        let mut target = Target {
            connection: &self.connection,
            dialect: self.dialect,
            config: &self.config,
            name: table,
            columns: self.tables.known(table),
            is_fresh: false,
            is_changed: false,
        };
        if target.columns.is_none() {
            target.look()?;
        }
        let runs = match self.at_once(batch, &keys, &target, only_tombstones)? {
            Some(columns) => vec![Run {
                rows,
                columns,
                only_deletes: only_tombstones,
            }],
            None => {
                let values = self.values(batch, only_tombstones)?;
                let shapes = Shapes {
                    keys: &keys,
                    values: values.as_ref(),
                    tombstones: &tombstones,
                };
                shapes.runs(&rows, &mut target, &mut errants)?
            }
        };
        self.tables.remember(target);
        for run in runs {
            let write = self.write(table, run.columns, run.only_deletes);
            for rows in run.rows.chunks(self.config.batch_size) {
                let refused = match rows.len() == batch.len() {
                    true => self.connection.write(batch, &write),
                    false => self.connection.write_rows(batch, rows, &write),
                };
                match refused {
                    Ok(refused) => errants.extend(refused),
                    Err(SqlError::Rejected { code, message })
                        if self.identified_by_records() && self.dialect.lacks_index(&code) =>
                    {
                        let reason = format!("{code}: {message}");
                        let errant = |row: &u32| Errant {
                            row: *row,
                            reason: reason.clone(),
                        };
                        errants.extend(rows.iter().map(errant));
                    }
                    Err(error) => return Err(error).or_fail(format!("write table {table}")),
                }
            }
        }
        errants.sort_by_key(|errant| errant.row);
        Ok(errants)
    }

    /// The columns of all records, if one write can take them as they are: nearly always, and found
    /// out without a look at any of them.
    fn at_once(
        &self,
        batch: &Batch,
        keys: &Classes,
        target: &Target<'_>,
        only_tombstones: bool,
    ) -> Result<Option<Vec<Planned>>> {
        let [key] = keys.structures.as_slice() else {
            return Ok(None);
        };
        let value = match self.needs_values(only_tombstones) {
            // Which fields all have is not known.
            true if self.identified_by_all_fields() => return Ok(None),
            true => match batch.fields() {
                Ok(fields) => Some(Structure::Known(fields)),
                Err(failure) if failure.is_retriable() => return Err(failure),
                Err(_) => return Ok(None),
            },
            false => None,
        };
        let records = Records {
            key,
            value: value.as_ref(),
            config: &self.config,
            dialect: self.dialect,
        };
        let columns = records.columns().ok();
        let Some(columns) = columns.and_then(|columns| target.ready(&columns)) else {
            return Ok(None);
        };
        let needed = match self.config.insert_mode {
            InsertMode::Update if !only_tombstones => {
                columns.iter().filter(|column| column.identifies).count() + 1
            }
            _ => 1,
        };
        Ok((columns.len() >= needed).then_some(columns))
    }

    fn keys(&self, batch: &Batch) -> Result<Classes> {
        if self.config.pk_mode != PkMode::RecordKey {
            return Ok(Classes::one(Structure::Nothing));
        }
        let look = match self.config.pk_fields.is_empty() {
            true => Look::Fields(&[]),
            false => Look::Kinds,
        };
        Classes::of(batch, Side::Key, look)
    }

    /// None: they are of no importance.
    fn values(&self, batch: &Batch, only_tombstones: bool) -> Result<Option<Classes>> {
        if !self.needs_values(only_tombstones) {
            return Ok(None);
        }
        let mut paths = self.config.fields_whitelist.clone();
        if self.config.pk_mode == PkMode::RecordValue {
            paths.extend(self.config.pk_fields.iter().cloned());
        }
        Classes::of(batch, Side::Value, Look::Fields(&paths)).map(Some)
    }

    fn needs_values(&self, only_tombstones: bool) -> bool {
        match self.config.pk_mode {
            PkMode::RecordKey | PkMode::Kafka => !only_tombstones && !self.config.only_deletes(),
            PkMode::None | PkMode::RecordValue => true,
        }
    }

    /// Whether records themselves say by which columns they are told apart, so that another set of
    /// columns than the table's is theirs to answer for.
    fn identified_by_records(&self) -> bool {
        let by_fields = matches!(self.config.pk_mode, PkMode::RecordKey | PkMode::RecordValue);
        by_fields && self.config.pk_fields.is_empty()
    }

    fn identified_by_all_fields(&self) -> bool {
        self.config.pk_mode == PkMode::RecordValue && self.config.pk_fields.is_empty()
    }

    fn write(&self, table: &str, columns: Vec<Planned>, only_deletes: bool) -> Write {
        let identity = columns.iter().filter(|column| column.identifies);
        Write {
            table: table.to_owned(),
            mode: match only_deletes {
                true => "delete",
                false => self.config.mode(),
            }
            .to_owned(),
            identity: identity.map(|column| column.name.clone()).collect(),
            delete_tombstones: self.config.delete_enabled,
            columns: columns
                .into_iter()
                .map(|column| (column.name, column.source.into()))
                .collect(),
        }
    }
}
