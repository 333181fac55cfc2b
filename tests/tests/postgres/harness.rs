//! A session over a database of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidegate_connections::{ConnectionSettings, Pools, SessionSettings, session};
use tidegate_convert::{DecodedColumn, Field, Schema, SchemaAndValue, Struct, Type, Value};
use tidegate_sandbox::{
    LedgerOwner, LedgerPartition, SinkBatch, SqlConnection, SqlError, SqlSession, TopicPartition,
    ValueSource, Write,
};
use tidegate_tests::postgres::{PASSWORD, Postgres, USER};
use tokio_postgres::{Client, NoTls};

/// Longer than anything takes here; a limit that is reached is a failure.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Key of the only connection.
pub const KEY: &str = "connection.url";

/// An empty database and the links of a worker to it.
pub struct Database {
    pub server: &'static Postgres,
    pub name: String,
    pub pools: Arc<Pools>,
}

impl Database {
    /// On the shared server.
    pub fn new() -> Self {
        let server = Postgres::shared();
        Self {
            server,
            name: server.create_database(),
            pools: Arc::default(),
        }
    }

    pub fn settings(&self) -> SessionSettings {
        settings(&self.server.url(&self.name))
    }

    /// A session whose ledger is the database.
    pub fn session(&self) -> Arc<dyn SqlSession> {
        session(&self.pools, self.settings())
    }

    /// A session in a put, its partition `t-3` opened, and its connection.
    pub async fn put(&self) -> (Arc<dyn SqlSession>, Arc<dyn SqlConnection>) {
        let session = self.session();
        open(&session).await;
        session.begin();
        let connection = session.connect(KEY.into()).await.unwrap();
        (session, connection)
    }

    pub fn run_sql(&self, sql: &str) {
        self.server.run_sql(&self.name, sql);
    }

    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.server.rows(&self.name, sql)
    }

    /// Another session, for what a worker does not do.
    pub async fn client(&self) -> Client {
        let url = format!(
            "host=127.0.0.1 port={} user={USER} password={PASSWORD} dbname={}",
            self.server.port(),
            self.name
        );
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// What is stored of `t-3`.
    pub fn stored(&self) -> Vec<String> {
        self.rows("SELECT next_offset FROM tidegate_offsets")
    }
}

pub fn settings(url: &str) -> SessionSettings {
    let connection = ConnectionSettings {
        url: url.to_owned(),
        user: Some(USER.to_owned()),
        password: Some(PASSWORD.to_owned()),
        trusted_certificates: None,
    };
    let connections = BTreeMap::from([(KEY.to_owned(), connection)]);
    SessionSettings {
        lock_timeout: Duration::from_millis(500),
        // No statement that is left alone ends by itself within a test.
        statement_timeout: 10 * LIMIT,
        ..SessionSettings::new(connections, Some(KEY.to_owned()), Vec::new())
    }
}

pub fn owner() -> LedgerOwner {
    LedgerOwner {
        cluster_id: "cluster".into(),
        group: "group".into(),
        embedded: false,
    }
}

pub fn at(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition,
    }
}

pub fn partition(number: i32) -> LedgerPartition {
    LedgerPartition {
        at: at(number),
        topic_id: "id".into(),
        reset_to: None,
    }
}

/// Opens `t-3` and answers its fence.
pub async fn open(session: &Arc<dyn SqlSession>) -> i64 {
    let starts = session.open_ledger(owner(), vec![partition(3)]).await;
    starts.unwrap()[0].fence
}

/// Ends a put: all rows so far are accepted.
pub async fn commit(session: &Arc<dyn SqlSession>) {
    session.commit(vec![(at(3), 200)]).await.unwrap();
}

/// Rows of topic `t`, partition 3, with offsets from 100 and their number as key.
pub fn batch(schema: Option<Arc<Schema>>, values: Vec<Value>) -> Arc<SinkBatch> {
    let keys = (0..values.len()).map(|row| Value::Int64(row as i64));
    keyed(keys.collect(), schema, values)
}

pub fn keyed(keys: Vec<Value>, schema: Option<Arc<Schema>>, values: Vec<Value>) -> Arc<SinkBatch> {
    let rows = values.len();
    let values = values.into_iter().map(|value| SchemaAndValue {
        schema: schema.clone(),
        value,
    });
    let keys = keys.into_iter().map(|value| SchemaAndValue {
        schema: None,
        value,
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

/// Structs with a field for each of the `fields`.
pub fn structs(fields: &[(&str, Type)], rows: Vec<Vec<Value>>) -> Arc<SinkBatch> {
    let field = |(name, kind): &(&str, Type)| Field {
        name: (*name).to_owned(),
        schema: Arc::new(Schema::new(*kind).optional()),
    };
    let schema = Arc::new(Schema::structure(fields.iter().map(field).collect()));
    let row = |values| Value::Struct(Struct::new(Arc::clone(&schema), values));
    let rows = rows.into_iter().map(row).collect();
    batch(Some(Arc::clone(&schema)), rows)
}

pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub fn strings(values: &[&str]) -> Arc<SinkBatch> {
    batch(None, values.iter().map(|value| text(value)).collect())
}

pub fn integers(values: impl IntoIterator<Item = i64>) -> Arc<SinkBatch> {
    batch(None, values.into_iter().map(Value::Int64).collect())
}

pub fn field(name: &str) -> ValueSource {
    ValueSource::ValueField(name.to_owned())
}

pub fn how(mode: &str, columns: &[(&str, ValueSource)], identity: &[&str]) -> Write {
    let column = |(name, source): &(&str, ValueSource)| ((*name).to_owned(), source.clone());
    Write {
        table: "t".into(),
        mode: mode.into(),
        columns: columns.iter().map(column).collect(),
        identity: identity.iter().map(|name| (*name).to_owned()).collect(),
        delete_tombstones: false,
    }
}

/// The whole value into column `v` of table `t`.
pub fn insert_v() -> Write {
    how("insert", &[("v", ValueSource::Value)], &[])
}

pub fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, SqlError>) -> bool {
    matches!(answer, Err(SqlError::Unavailable(_)))
}
