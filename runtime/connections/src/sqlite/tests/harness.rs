//! A session over a file in a directory of its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tidegate_convert::{DecodedColumn, Schema, SchemaAndValue, Value};
use tidegate_sandbox::{
    Column, LedgerError, LedgerOwner, LedgerPartition, LedgerStart, SinkBatch, SqlConnection,
    SqlError, SqlSession, Table, TopicPartition, ValueSource, Write,
};

use crate::{
    session::Session,
    settings::{ConnectionSettings, SessionSettings},
    sqlite::SqliteDatabase,
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

    /// Keys `url` and `same` name the file; `url` is the ledger.
    pub(super) fn settings(&self) -> SessionSettings {
        let connection = ConnectionSettings {
            url: format!("jdbc:sqlite:{}", self.file().display()),
            ..ConnectionSettings::default()
        };
        let keys = ["url".to_owned(), "same".to_owned()];
        let connections = BTreeMap::from(keys.map(|key| (key, connection.clone())));
        let directories = vec![self.root.clone()];
        SessionSettings {
            lock_timeout: Duration::from_millis(100),
            ..SessionSettings::new(connections, Some("url".into()), directories)
        }
    }

    pub(super) fn session(&self) -> Session {
        Session::new(Arc::default(), self.settings())
    }

    /// A session in a put, whose ledger is open.
    pub(super) async fn connect(&self) -> (Session, Arc<dyn SqlConnection>) {
        let session = self.session();
        let connection = session.connect("url".into()).await.unwrap();
        open(&session).await.unwrap();
        session.begin();
        (session, connection)
    }

    pub(super) async fn database(&self) -> SqliteDatabase {
        SqliteDatabase::open(self.file(), &self.settings())
            .await
            .unwrap()
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

pub(super) fn owner() -> LedgerOwner {
    LedgerOwner {
        cluster_id: "cluster".into(),
        group: "connect-c".into(),
        embedded: false,
    }
}

/// The partition that [`batch`] makes records of.
pub(super) fn at() -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition: 3,
    }
}

pub(super) fn partition() -> LedgerPartition {
    LedgerPartition {
        at: at(),
        topic_id: "topic-id".into(),
        reset_to: None,
    }
}

pub(super) async fn open(session: &Session) -> Result<LedgerStart, LedgerError> {
    let starts = session.open_ledger(owner(), vec![partition()]).await?;
    Ok(starts[0])
}

/// Ends the put without a position and begins the next.
pub(super) async fn commit(session: &Session) -> Result<(), LedgerError> {
    let done = session.commit(Vec::new()).await;
    session.begin();
    done
}

/// Takes the put back and begins the next.
pub(super) async fn rollback(session: &Session) -> Result<(), SqlError> {
    let done = session.rollback().await;
    session.begin();
    done
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
        identity: Vec::new(),
        delete_tombstones: false,
    }
}

/// The whole value into column `v` of table `t`.
pub(super) fn insert_v() -> Write {
    insert("t", &[("v", ValueSource::Value)])
}

pub(super) fn field(name: &str) -> ValueSource {
    ValueSource::ValueField(name.into())
}
