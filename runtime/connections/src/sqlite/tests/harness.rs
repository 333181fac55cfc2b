//! A session over a file in a directory of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tidegate_convert::{DecodedColumn, Schema, SchemaAndValue, Value};
use tidegate_sandbox::{Column, SinkBatch, SqlConnection, SqlSession, Table, ValueSource, Write};

use crate::{
    session::{Session, Shared},
    settings::SessionSettings,
};

pub(super) struct Files {
    _directory: TempDir,
    pub(super) root: PathBuf,
}

impl Files {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        Self {
            _directory: directory,
            root,
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.root.join("a.db")
    }

    /// A session whose keys `url` and `same` name the file.
    pub(super) fn session(&self) -> (Arc<Shared>, Session) {
        let url = format!("jdbc:sqlite:{}", self.file().display());
        let connections = BTreeMap::from([("url".into(), url.clone()), ("same".into(), url)]);
        let shared = Shared::new(SessionSettings {
            busy_timeout: Duration::from_millis(100),
            ..SessionSettings::new(connections, vec![self.root.clone()])
        });
        (Arc::clone(&shared), Session(shared))
    }

    pub(super) async fn connect(&self) -> (Session, Arc<dyn SqlConnection>) {
        let (_, session) = self.session();
        let connection = session.connect("url".into()).await.unwrap();
        (session, connection)
    }

    /// What another process sees of `sql`'s first column.
    pub(super) fn query(&self, sql: &str) -> Vec<rusqlite::types::Value> {
        query(&self.file(), sql)
    }

    pub(super) fn execute(&self, sql: &str) {
        let other = rusqlite::Connection::open(self.file()).unwrap();
        other.execute_batch(sql).unwrap();
    }
}

pub(super) fn query(file: &Path, sql: &str) -> Vec<rusqlite::types::Value> {
    let other = rusqlite::Connection::open(file).unwrap();
    let mut statement = other.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

pub(super) fn column(name: &str, kind: &str, nullable: bool) -> Column {
    Column {
        name: name.into(),
        kind: kind.into(),
        nullable,
    }
}

pub(super) fn table(columns: Vec<Column>, key: &[&str]) -> Table {
    Table {
        columns,
        primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Rows of topic `t`, partition 3, with offsets from 100.
pub(super) fn batch(schema: Option<Arc<Schema>>, values: Vec<Value>) -> Arc<SinkBatch> {
    let rows = values.len();
    let values = values.into_iter().map(|value| SchemaAndValue {
        schema: schema.clone(),
        value,
    });
    let keys = (0..rows).map(|row| SchemaAndValue {
        schema: None,
        value: Value::Bytes(vec![row as u8]),
    });
    Arc::new(SinkBatch {
        topic: "t".into(),
        partitions: vec![3; rows],
        offsets: (100..).take(rows).collect(),
        timestamps: (0..rows as i64).map(|row| row - 1).collect(),
        keys: DecodedColumn::from_rows(keys).0,
        values: DecodedColumn::from_rows(values).0,
        headers: None,
    })
}

pub(super) fn strings(values: &[&str]) -> Arc<SinkBatch> {
    let string = |text: &&str| Value::String((*text).to_owned());
    batch(None, values.iter().map(string).collect())
}

pub(super) fn insert(table: &str, columns: &[(&str, ValueSource)]) -> Write {
    let column = |(name, source): &(&str, ValueSource)| ((*name).to_owned(), source.clone());
    Write {
        table: table.into(),
        mode: "insert".into(),
        columns: columns.iter().map(column).collect(),
    }
}

/// The whole value into column `v` of table `t`.
pub(super) fn insert_v() -> Write {
    insert("t", &[("v", ValueSource::Value)])
}

pub(super) fn field(name: &str) -> ValueSource {
    ValueSource::ValueField(name.into())
}
