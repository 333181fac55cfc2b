//! The loop of a sink task: events of its consumer in, puts out (`sink_delivery.rs`), offsets
//! committed only for what the guest accepted and its flush covered (D2). Opening comes before any
//! put of a partition, and a revoke is answered when no put is in flight (D6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_kafka::{Committed, ConsumerEvent, SinkConsumer};
use tidegate_model::connector_config::ConnectorConfig;
use tidegate_model::failpoint;
use tidegate_model::names::TaskId;
use tidegate_model::state::State;
use tidegate_sandbox::{CallError, SinkTask, SqlSession, TopicPartition};
use tokio::time::{Instant, sleep_until, timeout};

use crate::dead_letters::DeadLetters;
use crate::error::TaskError;
use crate::metric_names;
use crate::pipeline::Converters;
use crate::sink_ledger::SinkLedger;
use crate::sink_positions::SinkPositions;
use crate::sink_topics::SinkTopics;
use crate::task::Control;
use crate::waits::{Attempt, Waits};

pub(crate) struct SinkLoop {
    pub(crate) id: TaskId,
    pub(crate) task: SinkTask,
    pub(crate) config: ConnectorConfig,
    pub(crate) converters: Converters,
    pub(crate) consumer: SinkConsumer,
    pub(crate) sql: Arc<dyn SqlSession>,
    pub(crate) ledger: SinkLedger,
    pub(crate) dead_letters: Option<DeadLetters>,
    pub(crate) flush_interval: Duration,
    pub(crate) waits: Waits,
    /// The time of one call to a database.
    pub(crate) host_call: Duration,
    pub(crate) state: SinkState,
}

/// What the loop remembers between events.
#[derive(Default)]
pub(crate) struct SinkState {
    pub(crate) positions: SinkPositions,
    pub(crate) topics: SinkTopics,
    /// Topics whose offsets are of no use any more.
    pub(crate) gone: Vec<String>,
    /// Events that came while a put was being tried again.
    pub(crate) early: VecDeque<ConsumerEvent>,
}

/// How long a stopped task waits for its group to hear that it left.
const LEAVE: Duration = Duration::from_secs(2);

impl SinkLoop {
    /// Runs until stopped; then flushes, commits, leaves the group and lets the guest clean up.
    pub(crate) async fn run(mut self, control: &mut Control) -> Result<(), TaskError> {
        let ended = match self.events(control).await {
            Ok(()) => self.stop().await,
            Err(error) => Err(error),
        };
        control.sink_topics = std::mem::take(&mut self.state.topics);
        ended?;
        // Past this it leaves in the background, as far as the process lives.
        let _ = timeout(LEAVE, self.consumer.close()).await;
        Ok(())
    }

    async fn events(&mut self, control: &mut Control) -> Result<(), TaskError> {
        let mut next_flush = Instant::now() + self.flush_interval;
        loop {
            if control.is_stopping() {
                return Ok(());
            }
            control.check_owner()?;
            self.consumer.set_paused(control.is_paused());
            control.report(if control.is_paused() {
                State::Paused
            } else {
                State::Running
            });
            if Instant::now() >= next_flush {
                self.flush_and_commit().await?;
                next_flush = Instant::now() + self.flush_interval;
            }
            let event = match self.state.early.pop_front() {
                Some(event) => Some(event),
                None => tokio::select! {
                    event = self.consumer.next() => event,
                    () = control.changed() => continue,
                    () = sleep_until(next_flush) => continue,
                },
            };
            match event {
                Some(ConsumerEvent::Records(records)) => self.deliver(*records, control).await?,
                Some(event) => self.membership_or_stop(event, control).await?,
                None => return Err(TaskError::Recoverable("the consumer ended".to_owned())),
            }
        }
    }

    /// As [`Self::membership`]; but opening, which may wait for a database, does not keep a task from
    /// stopping. What was not opened is read again by whoever is next.
    pub(crate) async fn membership_or_stop(
        &mut self,
        event: ConsumerEvent,
        control: &Control,
    ) -> Result<(), TaskError> {
        let may_stop = matches!(event, ConsumerEvent::Assigned(..));
        tokio::select! {
            done = self.membership(event) => done,
            () = control.stopped(), if may_stop => Err(TaskError::Recoverable(
                "stopped while partitions were opened".to_owned(),
            )),
        }
    }

    /// Partitions come and go.
    async fn membership(&mut self, event: ConsumerEvent) -> Result<(), TaskError> {
        match event {
            ConsumerEvent::Assigned(partitions, answer) => {
                let partitions = named(partitions);
                tracing::info!(task = %self.id, partitions = %list(&partitions), "open partitions");
                let mut starts: BTreeMap<_, _> =
                    self.task.open(&partitions).await?.into_iter().collect();
                let anew = self.state.topics.open(
                    &self.id,
                    &self.consumer,
                    &partitions,
                    !self.sql.has_ledger(),
                );
                starts.extend(
                    anew.await
                        .map_err(|e| TaskError::Recoverable(e.to_string()))?,
                );
                starts.extend(self.ledger.open(&self.consumer, &partitions).await?);
                self.state.positions.open(&partitions);
                self.waits.done(Attempt::Open);
                self.waits.recovered();
                let starts = starts
                    .into_iter()
                    .map(|(p, offset)| ((p.topic, p.partition), offset))
                    .collect();
                // Nobody waits any more: what is read now may begin before what is stored.
                answer.send(starts).map_err(|_| {
                    TaskError::Recoverable("partitions were opened too late".to_owned())
                })?;
            }
            ConsumerEvent::Revoked {
                partitions,
                lost,
                done,
            } => {
                let partitions = named(partitions);
                tracing::info!(task = %self.id, partitions = %list(&partitions), lost, "close partitions");
                let flushed = if lost {
                    Ok(())
                } else {
                    self.flush_and_commit().await
                };
                let closed = self.task.close(&partitions).await;
                self.state.positions.close(&partitions);
                let _ = done.send(());
                // The next owner reads again from the last commit. The flush comes first: if it broke
                // the instance, the close only says that there is none.
                flushed?;
                closed?;
            }
            ConsumerEvent::Recreated(topics) => {
                // The target still gets what was accepted of them: nobody can read it again.
                let text = topics.join(", ");
                self.state.gone = topics;
                self.stop().await?;
                return Err(recreated(&text));
            }
            ConsumerEvent::Failed(reason) => {
                return Err(TaskError::Failed(format!("consume: {reason}")));
            }
            ConsumerEvent::Records(_) => {}
        }
        Ok(())
    }

    pub(crate) async fn flush_and_commit(&mut self) -> Result<(), TaskError> {
        metrics::gauge!(
            metric_names::TASK_MEMORY,
            "connector" => self.id.connector.clone(), "task" => self.id.task.to_string()
        )
        .set(self.task.memory_bytes() as f64);
        let accepted = self.state.positions.uncommitted();
        if accepted.is_empty() {
            return Ok(());
        }
        let flushed = match self.task.flush(&accepted).await {
            Ok(flushed) => flushed,
            Err(CallError::Retriable { reason, .. }) => {
                tracing::warn!(task = %self.id, "flush again later: {reason}");
                self.waits.target(Attempt::Put, &reason);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.waits.done(Attempt::Put);
        for errant in &flushed.errants {
            let place = format!("{}@{}", errant.at, errant.offset);
            if !self.config.tolerates() || self.dead_letters.is_some() {
                return Err(TaskError::Failed(format!(
                    "TASK_FLUSH: record {place}: {} (refused after it was accepted, so it cannot be \
                     a dead letter any more)",
                    errant.reason
                )));
            }
            self.skipped("TASK_FLUSH", &place, &errant.reason);
        }
        let mut positions = self.state.positions.committable(flushed.durable);
        positions.retain(|(at, _)| !self.state.gone.contains(&at.topic));
        if positions.is_empty() {
            return Ok(());
        }
        let labels = [("connector", self.id.connector.clone())];
        let changed = self.state.topics.changed(&self.consumer, &positions);
        let committed = match changed.await {
            Ok(None) => {
                let marked = self.marked(positions.iter().cloned());
                self.consumer.commit(marked).await
            }
            Ok(Some(topic)) => return Err(recreated(&topic)),
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                failpoint::reached("group-committed");
                metrics::counter!(metric_names::OFFSET_COMMITS, &labels).increment(1);
                self.state.positions.committed(&positions);
            }
            // Refused because the group moved on, or nobody answers: a revoke or the next
            // interval settles it, and until then the records only may come twice.
            Err(error) => {
                metrics::counter!(metric_names::OFFSET_COMMIT_FAILURES, &labels).increment(1);
                tracing::warn!(task = %self.id, "{error}");
            }
        }
        Ok(())
    }

    /// Positions as they are committed to the group: with the owner's fence if a ledger has them, else
    /// with the id of their topic.
    fn marked(&self, positions: impl IntoIterator<Item = (TopicPartition, i64)>) -> Vec<Committed> {
        let mut marked = self.ledger.marked(positions);
        if !self.sql.has_ledger() {
            for offset in &mut marked {
                offset.metadata = self.state.topics.metadata(&offset.at.0);
            }
        }
        marked
    }

    /// Flushes, commits, gives every partition back and lets the guest clean up.
    async fn stop(&mut self) -> Result<(), TaskError> {
        self.flush_and_commit().await?;
        let open = self.state.positions.all();
        if !open.is_empty() {
            self.task.close(&open).await?;
            self.state.positions.close(&open);
        }
        self.consumer.begin_stop();
        if let Err(error) = self.task.stop().await {
            tracing::warn!(task = %self.id, "stop the task: {error}");
        }
        Ok(())
    }
}

/// Offsets at hand are of no use: the partitions are opened anew, which tells where to start.
fn recreated(topics: &str) -> TaskError {
    TaskError::Recoverable(format!(
        "topic {topics} was deleted, or deleted and created again, while it was read"
    ))
}

fn named(partitions: Vec<(String, i32)>) -> Vec<TopicPartition> {
    let named = |(topic, partition)| TopicPartition { topic, partition };
    partitions.into_iter().map(named).collect()
}

fn list(partitions: &[TopicPartition]) -> String {
    partitions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
