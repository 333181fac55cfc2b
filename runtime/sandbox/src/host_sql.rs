//! The `sql` interface, handed on to the task's [`SqlSession`](crate::SqlSession).

use std::sync::{Arc, Weak};

use wasmtime::component::Resource;

use crate::batch::SinkBatch;
use crate::bindings::{sql, types};
use crate::sql::{Column, SqlConnection, SqlError, Table, ValueSource, Write};
use crate::state::HostState;

/// What a guest's `connection` resource stands for.
pub struct OpenConnection(Arc<dyn SqlConnection>);

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

fn write_to_host(write: sql::Write) -> Write {
    let source = |source| match source {
        sql::ValueSource::ValueField(path) => ValueSource::ValueField(path),
        sql::ValueSource::Key => ValueSource::Key,
        sql::ValueSource::Value => ValueSource::Value,
        sql::ValueSource::Topic => ValueSource::Topic,
        sql::ValueSource::Partition => ValueSource::Partition,
        sql::ValueSource::Offset => ValueSource::Offset,
        sql::ValueSource::Timestamp => ValueSource::Timestamp,
    };
    Write {
        table: write.table,
        mode: write.mode,
        columns: write
            .columns
            .into_iter()
            .map(|(name, s)| (name, source(s)))
            .collect(),
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
        let errants = Self::bounded(self.limits.host_call_ms, write).await;
        Ok(errants
            .map(|errants| {
                errants
                    .into_iter()
                    .map(|e| types::Errant {
                        row: e.row,
                        reason: e.reason,
                    })
                    .collect()
            })
            .map_err(Into::into))
    }

    async fn drop(&mut self, connection: Resource<OpenConnection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}
