//! A source task's instance.

use std::sync::Arc;
use std::time::Duration;

use tidegate_model::batch::SourceBatch;
use tidegate_model::config::ConfigMap;
use tidegate_model::offset::{SourceOffset, SourcePartition};
use wasmtime::component::InstancePre;

use crate::bindings::source::SourceOnly;
use crate::bindings::source::exports::tidegate::connect::source_task as wit;
use crate::bindings::types;
use crate::call::Instance;
use crate::engine::Shared;
use crate::error::CallError;
use crate::host_intake::Said;
use crate::plugin::{config_to_guest, positions_to_guest};
use crate::source_columns;
use crate::state::{HostState, TaskContext, TaskSetup};

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records and the positions that cover them.
    Records(Box<SourceBatch>),
    /// Nothing now; ask again after this.
    Idle(Duration),
    /// Nothing more, ever.
    Finished,
}

/// One instance of a source. Calls go in turn: `start`, `poll` and `committed`, `stop`.
pub struct SourceTask {
    instance: Instance<SourceOnly>,
    context: TaskContext,
    config: ConfigMap,
    own_transactions: bool,
}

impl SourceTask {
    pub(crate) async fn new(
        shared: &Arc<Shared>,
        pre: &InstancePre<HostState>,
        setup: &TaskSetup,
        own_transactions: bool,
    ) -> Result<Self, CallError> {
        let instance =
            Instance::new(shared, pre, setup, |store, i| SourceOnly::new(store, i)).await?;
        Ok(Self {
            instance,
            context: setup.context.clone(),
            config: setup.config.clone(),
            own_transactions,
        })
    }

    /// Starts the task at these positions.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn start(
        &mut self,
        positions: &[(SourcePartition, SourceOffset)],
    ) -> Result<(), CallError> {
        let config = config_to_guest(&self.config);
        let context = context_to_guest(&self.context);
        let positions = positions_to_guest(positions);
        self.instance
            .call("start", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_source_task()
                        .call_start(store, &config, &context, &positions)
                        .await
                })
            })
            .await??;
        Ok(())
    }

    /// Asks for records.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn poll(&mut self, max_records: u32, max_bytes: u32) -> Result<Polled, CallError> {
        let polled = self
            .instance
            .call("poll", move |store, guest| {
                Box::pin(async move {
                    let polled = guest
                        .tidegate_connect_source_task()
                        .call_poll(&mut *store, max_records, max_bytes)
                        .await?;
                    // What was said in a poll without records waits for the next one with some.
                    let said = match polled {
                        Ok(wit::Polled::Records(_)) => std::mem::take(&mut store.data_mut().said),
                        _ => Said::default(),
                    };
                    Ok(polled.map(|polled| (polled, said)))
                })
            })
            .await??;
        let (polled, said) = polled;
        match polled {
            wit::Polled::Records((wit::Rows::Built(columns), checkpoints)) => {
                let batch = source_columns::batch(columns, checkpoints, self.own_transactions);
                if batch.is_err() {
                    self.instance.discard();
                }
                let mut batch = batch?;
                batch.refused = said.refused;
                batch.store_soon = said.store_soon;
                Ok(Polled::Records(Box::new(batch)))
            }
            wit::Polled::Records((wit::Rows::Held(_), _)) => {
                self.instance.discard();
                Err(CallError::malformed(
                    "poll",
                    "a held batch, which no host call gave it",
                ))
            }
            // No host source exists that could wake it, so waiting is idling.
            wit::Polled::Idle(ms) | wit::Polled::Waiting(ms) => {
                // Never 0: a task that has nothing to do shall not keep a thread busy with it.
                Ok(Polled::Idle(Duration::from_millis(u64::from(ms.max(1)))))
            }
            wit::Polled::Finished => Ok(Polled::Finished),
        }
    }

    /// Tells the guest what is durable.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn committed(
        &mut self,
        positions: &[(SourcePartition, SourceOffset)],
    ) -> Result<(), CallError> {
        let positions = positions_to_guest(positions);
        self.instance
            .call("committed", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_source_task()
                        .call_committed(store, &positions)
                        .await
                })
            })
            .await??;
        Ok(())
    }

    /// Lets the guest clean up.
    ///
    /// # Errors
    /// [`CallError`], of interest to a log only.
    pub async fn stop(&mut self) -> Result<(), CallError> {
        self.instance
            .call("stop", |store, guest| {
                Box::pin(async move { guest.tidegate_connect_source_task().call_stop(store).await })
            })
            .await
    }

    /// What the instance holds.
    pub fn memory_bytes(&self) -> usize {
        self.instance.memory_bytes()
    }
}

pub(crate) fn context_to_guest(context: &TaskContext) -> types::Context {
    types::Context {
        connector: context.id.connector.clone(),
        task: context.id.task,
        tasks: context.tasks,
        generation: context.generation,
        exactly_once: context.exactly_once,
        recycled: false,
    }
}
