//! The `sql` interface, handed on to the task's [`SqlSession`](crate::SqlSession).

use std::sync::{Arc, Weak};

use wasmtime::component::Resource;

use crate::batch::SinkBatch;
use crate::bindings::{sql, types};
use crate::sql::{
    Column, Errant, SqlConnection, SqlCursor, SqlError, SqlValue, Table, ValueSource, Write,
};
use crate::state::HostState;

/// What a guest's `connection` resource stands for.
pub struct OpenConnection(Arc<dyn SqlConnection>);

/// What a guest's `cursor` resource stands for. It keeps the batch that the guest reads, so that
/// no more than one lives.
pub struct OpenCursor {
    cursor: Arc<dyn SqlCursor>,
    batch: Option<Arc<SinkBatch>>,
}

impl From<SqlError> for sql::SqlError {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Denied(reason) => Self::Denied(reason),
            SqlError::Unavailable(reason) => Self::Unavailable(reason),
            SqlError::Rejected { code, message } => Self::Rejected((code, message)),
        }
    }
}

fn table_to_host(table: sql::Table) -> Table {
    let column = |c: sql::Column| Column {
        name: c.name,
        kind: c.kind,
        nullable: c.nullable,
    };
    Table {
        columns: table.columns.into_iter().map(column).collect(),
        primary_key: table.primary_key,
    }
}

fn table_to_guest(table: Table) -> sql::Table {
    let column = |c: Column| sql::Column {
        name: c.name,
        kind: c.kind,
        nullable: c.nullable,
    };
    sql::Table {
        columns: table.columns.into_iter().map(column).collect(),
        primary_key: table.primary_key,
    }
}

fn value_to_host(value: sql::Value) -> SqlValue {
    match value {
        sql::Value::Null => SqlValue::Null,
        sql::Value::Boolean(truth) => SqlValue::Boolean(truth),
        sql::Value::Int64(number) => SqlValue::Int64(number),
        sql::Value::Float64(number) => SqlValue::Float64(number),
        sql::Value::Decimal(digits) => SqlValue::Decimal(digits),
        sql::Value::Text(text) => SqlValue::Text(text),
        sql::Value::Bytes(bytes) => SqlValue::Bytes(bytes),
        sql::Value::TimestampMicros(micros) => SqlValue::TimestampMicros(micros),
    }
}

fn write_to_host(write: sql::Write) -> Write {
    let source = |source| match source {
        sql::ValueSource::ValueField(path) => ValueSource::ValueField(path),
        sql::ValueSource::KeyField(path) => ValueSource::KeyField(path),
        sql::ValueSource::Key => ValueSource::Key,
        sql::ValueSource::Value => ValueSource::Value,
        sql::ValueSource::Topic => ValueSource::Topic,
        sql::ValueSource::Partition => ValueSource::Partition,
        sql::ValueSource::Offset => ValueSource::Offset,
        sql::ValueSource::Timestamp => ValueSource::Timestamp,
        sql::ValueSource::Header(name) => ValueSource::Header(name),
        sql::ValueSource::Constant(value) => ValueSource::Constant(value_to_host(value)),
    };
    Write {
        table: write.table,
        mode: write.mode,
        columns: write
            .columns
            .into_iter()
            .map(|(name, s)| (name, source(s)))
            .collect(),
        identity: write.identity,
        delete_tombstones: write.delete_tombstones,
    }
}

impl HostState {
    fn connection(
        &self,
        connection: &Resource<OpenConnection>,
    ) -> wasmtime::Result<Arc<dyn SqlConnection>> {
        Ok(Arc::clone(&self.table.get(connection)?.0))
    }
}

impl sql::Host for HostState {}

impl sql::HostConnection for HostState {
    async fn open(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<OpenConnection>, sql::SqlError>> {
        let session = Arc::clone(&self.sql);
        match Self::bounded(self.limits.host_call_ms, session.connect(name)).await {
            Ok(connection) => Ok(Ok(self.table.push(OpenConnection(connection))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn dialect(&mut self, connection: Resource<OpenConnection>) -> wasmtime::Result<String> {
        Ok(self.connection(&connection)?.dialect().to_owned())
    }

    async fn describe(
        &mut self,
        connection: Resource<OpenConnection>,
        name: String,
    ) -> wasmtime::Result<Result<Option<sql::Table>, sql::SqlError>> {
        let connection = self.connection(&connection)?;
        let found = Self::bounded(self.limits.host_call_ms, connection.describe(name)).await;
        Ok(found
            .map(|table| table.map(table_to_guest))
            .map_err(Into::into))
    }

    async fn ensure_table(
        &mut self,
        connection: Resource<OpenConnection>,
        name: String,
        wanted: sql::Table,
    ) -> wasmtime::Result<Result<sql::Table, sql::SqlError>> {
        let connection = self.connection(&connection)?;
        let ensure = connection.ensure_table(name, table_to_host(wanted));
        let table = Self::bounded(self.limits.host_call_ms, ensure).await;
        Ok(table.map(table_to_guest).map_err(Into::into))
    }

    async fn query(
        &mut self,
        connection: Resource<OpenConnection>,
        statement: String,
        parameters: Vec<sql::Value>,
    ) -> wasmtime::Result<Result<Resource<OpenCursor>, sql::SqlError>> {
        let connection = self.connection(&connection)?;
        let parameters = parameters.into_iter().map(value_to_host).collect();
        let query = connection.query(statement, parameters);
        match Self::bounded(self.limits.host_call_ms, query).await {
            Ok(cursor) => Ok(Ok(self.table.push(OpenCursor {
                cursor,
                batch: None,
            })?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn write(
        &mut self,
        connection: Resource<OpenConnection>,
        rows: Resource<Weak<SinkBatch>>,
        selection: Option<Vec<u32>>,
        how: sql::Write,
    ) -> wasmtime::Result<Result<Vec<types::Errant>, sql::SqlError>> {
        let connection = self.connection(&connection)?;
        let batch = self.batch(&rows)?;
        let write = connection.write(batch, selection, write_to_host(how));
        match Self::bounded(self.limits.host_call_ms, write).await {
            Ok(errants) => {
                let to_guest = |errant: &Errant| types::Errant {
                    row: errant.row,
                    reason: errant.reason.clone(),
                };
                let answer = errants.iter().map(to_guest).collect();
                for errant in errants {
                    self.refused.entry(errant.row).or_insert(errant.reason);
                }
                Ok(Ok(answer))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn drop(&mut self, connection: Resource<OpenConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl sql::HostCursor for HostState {
    async fn next(
        &mut self,
        cursor: Resource<OpenCursor>,
        max: u32,
    ) -> wasmtime::Result<Result<Option<Resource<Weak<SinkBatch>>>, sql::SqlError>> {
        let open = self.table.get_mut(&cursor)?;
        open.batch = None;
        let rows = Arc::clone(&open.cursor);
        let batch = match Self::bounded(self.limits.host_call_ms, rows.next(max)).await {
            Ok(Some(batch)) => Arc::new(batch),
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error.into())),
        };
        let handle = self.table.push(Arc::downgrade(&batch))?;
        self.table.get_mut(&cursor)?.batch = Some(batch);
        Ok(Ok(Some(handle)))
    }

    async fn drop(&mut self, cursor: Resource<OpenCursor>) -> wasmtime::Result<()> {
        self.table.delete(cursor)?;
        Ok(())
    }
}
