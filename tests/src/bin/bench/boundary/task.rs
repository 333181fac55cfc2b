//! The guests of `bench boundary` as tasks that can be called again and again.

use std::fs;
use std::sync::Arc;

use tidegate_convert::{Side, converter};
use tidegate_model::columns::ByteColumn;
use tidegate_model::config::ConfigMap;
use tidegate_model::names::TaskId;
use tidegate_sandbox::{
    Limits, NoSql, Plugin, Polled, Sandbox, SinkBatch, SinkTask, SourceTask, TaskContext, TaskSetup,
};
use tidegate_tests::paths;

/// A task, and what it is called with.
pub enum Task {
    /// Polled.
    Source(SourceTask),
    /// Put to.
    Sink(SinkTask, Arc<SinkBatch>),
}

impl Task {
    /// One call, and whether it did what it should.
    pub async fn call(&mut self, rows: usize, bytes: usize) {
        match self {
            Self::Source(task) => match task.poll(10_000, 1 << 20).await.unwrap() {
                Polled::Records(batch) => assert_eq!(batch.values.bytes.bytes(), rows * bytes),
                Polled::Idle(_) => assert_eq!(rows, 0),
                Polled::Finished => panic!("a source without an end"),
            },
            Self::Sink(task, batch) => {
                let errants = task.put(Arc::clone(batch)).await.unwrap();
                assert!(errants.is_empty());
            }
        }
    }
}

/// Compiles one of the guests.
pub async fn load(sandbox: &Sandbox, name: &str) -> Plugin {
    let bytes = fs::read(paths::guest(&format!("hostile/{name}"))).unwrap();
    // The cache is empty and nobody else's: any name serves as a digest.
    let (plugin, _) = sandbox.load(name, &bytes).await.unwrap();
    plugin
}

fn setup(config: &[(&str, usize)]) -> TaskSetup {
    let text = |(key, value): &(&str, usize)| ((*key).to_owned(), value.to_string());
    TaskSetup {
        context: TaskContext {
            id: TaskId::new("boundary", 0),
            tasks: 1,
            generation: 1,
            exactly_once: false,
        },
        config: config.iter().map(text).collect(),
        limits: Limits::default(),
        directories: Vec::new(),
        sql: Arc::new(NoSql),
        cpu: Default::default(),
    }
}

/// A source task; without rows it is idle.
pub async fn start_source(plugin: &Plugin, rows: usize, bytes: usize) -> Task {
    let setup = setup(&[("rows", rows), ("bytes", bytes)]);
    let mut task = plugin.source_task(&setup).await.unwrap();
    task.start(&[]).await.unwrap();
    Task::Source(task)
}

/// A sink task and the batch for its puts.
pub async fn start_sink(plugin: &Plugin, rows: usize, bytes: usize) -> Task {
    let mut task = plugin.sink_task(&setup(&[])).await.unwrap();
    task.start().await.unwrap();
    let value = vec![b'x'; bytes];
    let decode = |column: ByteColumn, side| {
        let converter = converter("StringConverter", &ConfigMap::new(), side).unwrap();
        converter.decode_column(column).0
    };
    let batch = SinkBatch {
        topic: "boundary".to_owned(),
        partitions: vec![0; rows],
        offsets: (0..).take(rows).collect(),
        timestamps: vec![-1; rows],
        keys: decode(ByteColumn::nulls(rows), Side::Key),
        values: decode(
            (0..rows).map(|_| Some(value.as_slice())).collect(),
            Side::Value,
        ),
        headers: None,
    };
    Task::Sink(task, Arc::new(batch))
}
