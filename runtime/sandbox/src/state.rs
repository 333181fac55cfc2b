//! What the host keeps for one instance: its limits, its WASI context, its way to databases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::config::ConfigMap;
use tidegate_model::names::TaskId;
use tokio::time::timeout;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::CallError;
use crate::cpu_meter::CpuMeter;
use crate::host_intake::Said;
use crate::host_log::LogBudget;
use crate::limits::{Limits, MemoryMeter};
use crate::links::Roots;
use crate::sql::{SqlError, SqlSession};
use crate::wasi::{self, DirectoryGrant};

/// Who and where a task is; `wit/types.wit`.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Which task; for a call on the connector itself, task 0.
    pub id: TaskId,
    /// How many tasks the connector has.
    pub tasks: u32,
    /// Grows with every new set of task configurations.
    pub generation: u64,
    /// Whether the records of this source and their positions share transactions.
    pub exactly_once: bool,
}

/// Everything an instance is made with.
#[derive(Clone)]
pub struct TaskSetup {
    /// Who it is.
    pub context: TaskContext,
    /// The task's configuration.
    pub config: ConfigMap,
    /// What it may use.
    pub limits: Limits,
    /// Directories it may reach.
    pub directories: Vec<DirectoryGrant>,
    /// Databases it may reach.
    pub sql: Arc<dyn SqlSession>,
    /// Where the CPU time of its calls is added up.
    pub cpu: CpuMeter,
}

pub(crate) struct HostState {
    wasi: WasiCtx,
    pub(crate) roots: Roots,
    pub(crate) table: ResourceTable,
    pub(crate) meter: MemoryMeter,
    pub(crate) id: TaskId,
    pub(crate) limits: Limits,
    pub(crate) log: LogBudget,
    pub(crate) sql: Arc<dyn SqlSession>,
    /// Rows of the current put that a database refused, with its words.
    pub(crate) refused: BTreeMap<u32, String>,
    /// What a source said in its polls since it last answered records.
    pub(crate) said: Said,
}

impl HostState {
    pub(crate) fn new(setup: &TaskSetup) -> Result<Self, CallError> {
        Ok(Self {
            wasi: wasi::context(&setup.context.id, &setup.directories)?,
            roots: Roots::of(&setup.directories),
            table: ResourceTable::new(),
            meter: MemoryMeter::new(setup.limits.memory_bytes),
            id: setup.context.id.clone(),
            limits: setup.limits,
            log: LogBudget::new(setup.limits.log_lines_per_second),
            sql: Arc::clone(&setup.sql),
            refused: BTreeMap::new(),
            said: Said::default(),
        })
    }

    /// Runs a host call under its time-out; a call that is cut off is as good as a link that
    /// broke, so the guest may try it again.
    pub(crate) async fn bounded<T>(
        limit_ms: u64,
        call: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        match timeout(Duration::from_millis(limit_ms), call).await {
            Ok(result) => result,
            Err(_) => Err(SqlError::Unavailable(format!(
                "no answer within {limit_ms} ms (tidegate.task.host.call.timeout.ms)"
            ))),
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
