//! A sink task's instance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_model::config::ConfigMap;
use wasmtime::component::InstancePre;

use crate::batch::{SinkBatch, TopicPartition};
use crate::bindings::sink::SinkOnly;
use crate::bindings::types;
use crate::call::Instance;
use crate::engine::Shared;
use crate::error::{CallError, shortened};
use crate::plugin::config_to_guest;
use crate::source::context_to_guest;
use crate::sql::Errant;
use crate::state::{HostState, TaskContext, TaskSetup};

/// A record that the target refused after the guest had accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateErrant {
    /// Where it came from.
    pub at: TopicPartition,
    /// Its Kafka offset.
    pub offset: i64,
    /// Why.
    pub reason: String,
}

/// What a flush made durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Next offset of each partition.
    pub durable: Vec<(TopicPartition, i64)>,
    /// Refused after all.
    pub errants: Vec<LateErrant>,
}

/// One instance of a sink. Calls go in turn; `open` before `put` of a partition (D6).
pub struct SinkTask {
    instance: Instance<SinkOnly>,
    context: TaskContext,
    config: ConfigMap,
}

impl SinkTask {
    pub(crate) async fn new(
        shared: &Arc<Shared>,
        pre: &InstancePre<HostState>,
        setup: &TaskSetup,
    ) -> Result<Self, CallError> {
        let instance =
            Instance::new(shared, pre, setup, |store, i| SinkOnly::new(store, i)).await?;
        Ok(Self {
            instance,
            context: setup.context.clone(),
            config: setup.config.clone(),
        })
    }

    /// Starts the task.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn start(&mut self) -> Result<(), CallError> {
        let config = config_to_guest(&self.config);
        let context = context_to_guest(&self.context);
        self.instance
            .call("start", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_sink_task()
                        .call_start(store, &config, &context)
                        .await
                })
            })
            .await??;
        Ok(())
    }

    /// Hands partitions to the guest; it may answer where to start in some of them.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn open(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, i64)>, CallError> {
        let asked = partitions_to_guest(partitions);
        let positions = self
            .instance
            .call("open", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_sink_task()
                        .call_open(store, &asked)
                        .await
                })
            })
            .await??;
        let positions: Vec<_> = positions.into_iter().map(position_to_host).collect();
        let wrong = starts_problem(&positions, partitions);
        self.checked("open", positions, wrong)
    }

    /// Delivers a batch; answers the rows that the guest could not handle, and those that a database
    /// refused even if the guest does not repeat them (D3).
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn put(&mut self, batch: Arc<SinkBatch>) -> Result<Vec<Errant>, CallError> {
        let rows = batch.len();
        let (errants, refused) = self
            .instance
            .call("put", move |store, guest| {
                Box::pin(async move {
                    store.data_mut().refused.clear();
                    // The table holds a weak reference: the data goes with this put, whatever the
                    // guest does with the handle.
                    let handle = store.data_mut().table.push(Arc::downgrade(&batch))?;
                    let answer = guest
                        .tidegate_connect_sink_task()
                        .call_put(&mut *store, handle)
                        .await;
                    drop(batch);
                    let refused = std::mem::take(&mut store.data_mut().refused);
                    answer.map(|errants| errants.map(|errants| (errants, refused)))
                })
            })
            .await??;
        let errants: Vec<Errant> = errants
            .into_iter()
            .map(|e| Errant {
                row: e.row,
                reason: shortened(e.reason),
            })
            .collect();
        let wrong = errants_problem(&errants, rows);
        let errants = self.checked("put", errants, wrong)?;
        Ok(with_refused(errants, refused))
    }

    /// An answer that cannot be shows that the guest cannot go on.
    fn checked<T>(
        &mut self,
        export: &'static str,
        answer: T,
        wrong: Option<String>,
    ) -> Result<T, CallError> {
        match wrong {
            None => Ok(answer),
            Some(reason) => {
                self.instance.discard();
                Err(CallError::malformed(export, reason))
            }
        }
    }

    /// Makes what was put durable. `accepted`: next offset of each partition.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn flush(
        &mut self,
        accepted: &[(TopicPartition, i64)],
    ) -> Result<Flushed, CallError> {
        let positions: Vec<types::Position> = accepted
            .iter()
            .map(|(at, next_offset)| types::Position {
                at: partition_to_guest(at),
                next_offset: *next_offset,
            })
            .collect();
        let flushed = self
            .instance
            .call("flush", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_sink_task()
                        .call_flush(store, &positions)
                        .await
                })
            })
            .await??;
        let errants = flushed.errants.into_iter().map(|errant| LateErrant {
            at: partition_to_host(errant.at),
            offset: errant.offset,
            reason: shortened(errant.reason),
        });
        let flushed = Flushed {
            durable: flushed.durable.into_iter().map(position_to_host).collect(),
            errants: errants.collect(),
        };
        let wrong = flushed_problem(&flushed, accepted);
        self.checked("flush", flushed, wrong)
    }

    /// Takes partitions back.
    ///
    /// # Errors
    /// [`CallError`]; only its first two cases leave the instance usable.
    pub async fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), CallError> {
        let partitions = partitions_to_guest(partitions);
        self.instance
            .call("close", move |store, guest| {
                Box::pin(async move {
                    guest
                        .tidegate_connect_sink_task()
                        .call_close(store, &partitions)
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
                Box::pin(async move { guest.tidegate_connect_sink_task().call_stop(store).await })
            })
            .await
    }

    /// What the instance holds.
    pub fn memory_bytes(&self) -> usize {
        self.instance.memory_bytes()
    }
}

fn starts_problem(starts: &[(TopicPartition, i64)], asked: &[TopicPartition]) -> Option<String> {
    let mut seen = BTreeSet::new();
    starts.iter().find_map(|(at, offset)| {
        if !asked.contains(at) {
            Some(format!("a start for {at}, which it was not given"))
        } else if *offset < 0 {
            Some(format!("the negative start {offset} for {at}"))
        } else if !seen.insert(at) {
            Some(format!("two starts for {at}"))
        } else {
            None
        }
    })
}

fn errants_problem(errants: &[Errant], rows: usize) -> Option<String> {
    let mut seen = BTreeSet::new();
    errants.iter().find_map(|errant| {
        if errant.row as usize >= rows {
            Some(format!(
                "errant row {} in a batch of {rows} rows",
                errant.row
            ))
        } else if !seen.insert(errant.row) {
            Some(format!("errant row {} twice", errant.row))
        } else {
            None
        }
    })
}

/// Each row once, ascending; the guest's own words about a row first.
fn with_refused(errants: Vec<Errant>, mut all: BTreeMap<u32, String>) -> Vec<Errant> {
    all.extend(
        errants
            .into_iter()
            .map(|errant| (errant.row, errant.reason)),
    );
    // A database may repeat a whole row in its words.
    let errant = |(row, reason)| Errant {
        row,
        reason: shortened(reason),
    };
    all.into_iter().map(errant).collect()
}

/// A guest can only call durable, or refuse late, what it was given.
fn flushed_problem(flushed: &Flushed, accepted: &[(TopicPartition, i64)]) -> Option<String> {
    let end = |at: &TopicPartition| {
        accepted
            .iter()
            .find(|(known, _)| known == at)
            .map(|(_, next_offset)| *next_offset)
    };
    let durable = flushed
        .durable
        .iter()
        .find_map(|(at, next_offset)| match end(at) {
            None => Some(format!("{at} as durable, which it was not asked about")),
            Some(end) if *next_offset < 0 || *next_offset > end => Some(format!(
                "{at} as durable up to {next_offset}, where it was given up to {end}"
            )),
            Some(_) => None,
        });
    durable.or_else(|| {
        flushed
            .errants
            .iter()
            .find_map(|errant| match end(&errant.at) {
                Some(end) if (0..end).contains(&errant.offset) => None,
                _ => Some(format!(
                    "record {}@{} as refused, which it was not given",
                    errant.at, errant.offset
                )),
            })
    })
}

fn partition_to_guest(at: &TopicPartition) -> types::TopicPartition {
    types::TopicPartition {
        topic: at.topic.clone(),
        partition: at.partition,
    }
}

fn partitions_to_guest(partitions: &[TopicPartition]) -> Vec<types::TopicPartition> {
    partitions.iter().map(partition_to_guest).collect()
}

fn partition_to_host(at: types::TopicPartition) -> TopicPartition {
    TopicPartition {
        topic: at.topic,
        partition: at.partition,
    }
}

fn position_to_host(position: types::Position) -> (TopicPartition, i64) {
    (partition_to_host(position.at), position.next_offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_hide_a_row_that_a_database_refused() {
        let refused = BTreeMap::from([(1, "23505: taken".to_owned()), (3, "x".repeat(1 << 20))]);
        let told = Errant {
            row: 1,
            reason: "the guest's own words".into(),
        };
        let all = with_refused(vec![told], refused);
        let rows: Vec<u32> = all.iter().map(|errant| errant.row).collect();
        assert_eq!(rows, [1, 3]);
        assert_eq!(all[0].reason, "the guest's own words");
        assert!(all[1].reason.len() < 1 << 17, "{}", all[1].reason.len());
    }
}
