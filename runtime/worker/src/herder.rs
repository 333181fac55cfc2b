//! The herder's driver: one loop that feeds events to the pure state machine and does what it
//! answers. Everything that can take long runs in loops of its own, so a hung connector, a database
//! or a Kafka that does not answer holds nobody up.

mod coordination;
mod log_append;
mod news;
mod publisher;
mod start_task;
mod weights;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tidegate_cluster::ClusterEvent;
use tidegate_kafka::Progress;
use tidegate_model::config_log::{ConfigRecord, PluginEntry};
use tidegate_model::herder::{Action, Event, Herder, Planned};
use tidegate_model::names::TaskId;
use tidegate_sandbox::CpuMeter;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use coordination::Coordination;
use coordination::Log;
pub(crate) use coordination::start;
use log_append::Appending;
use publisher::Publisher;
use weights::Weighing;

use crate::error::WorkerError;
use crate::task::TaskEnvironment;
use crate::validation;

/// How many plugins plan at a time: after a start or a change of the lead all do.
const PLANS: usize = 4;

/// The herder says at least so often that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// A look at the herder's state.
type Inspect = Box<dyn FnOnce(&Herder) + Send>;

/// A look at the herder's state, and records that come of it.
type Decide = Box<dyn FnOnce(&Herder) -> Vec<ConfigRecord> + Send>;

enum Request {
    Inspect(Inspect),
    /// Look, and append what comes of it; told when it is durable.
    Change(Decide, oneshot::Sender<Result<(), WorkerError>>),
    Shutdown(oneshot::Sender<()>),
}

/// The way to the herder's loop.
#[derive(Clone)]
pub(crate) struct HerderHandle {
    requests: mpsc::UnboundedSender<Request>,
    /// Up to where the log has been read.
    applied: watch::Receiver<u64>,
    /// Why the worker has to end by itself, once it has to.
    ended: watch::Receiver<Option<Ended>>,
}

/// Why a worker ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was removed from the cluster, and has given everything away.
    Removed,
    /// It cannot be a member of the cluster any more.
    Failed(String),
}

struct RunningTask {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    cpu: CpuMeter,
}

struct Driver {
    herder: Herder,
    environment: TaskEnvironment,
    log: Log,
    events: mpsc::UnboundedSender<Event>,
    tasks: HashMap<(TaskId, u64), RunningTask>,
    started: Instant,
    progress: Arc<Progress>,
    plans: Arc<Semaphore>,
    /// Changes that wait for the append before them.
    waiting: VecDeque<(Decide, oneshot::Sender<Result<(), WorkerError>>)>,
    appending: Option<Appending>,
    appended: mpsc::UnboundedSender<log_append::Appended>,
    /// After a failed append, when to try again.
    append_again: Option<Instant>,
    /// Until when the herder's records wait for a user's change.
    hold_until: Option<Instant>,
    publisher: Option<Publisher>,
    weighing: Weighing,
    /// Shards that are going, and who waits for their tasks to end.
    going: Vec<(BTreeSet<u32>, SyncSender<()>)>,
    applied: watch::Sender<u64>,
    ended: watch::Sender<Option<Ended>>,
}

impl HerderHandle {
    /// Looks at the herder's state.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Herder) -> T + Send + 'static,
    ) -> Result<T, WorkerError> {
        let (answer, answered) = oneshot::channel();
        let inspect: Inspect = Box::new(move |herder| drop(answer.send(look(herder))));
        self.send(Request::Inspect(inspect))?;
        answered.await.map_err(|_| WorkerError::Stopping)
    }

    /// Looks, and appends records in the same step. Returns when they are durable (D9) and the
    /// herder has acted on them.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Herder) -> (T, Vec<ConfigRecord>) + Send + 'static,
    ) -> Result<T, WorkerError> {
        let (answer, answered) = oneshot::channel();
        let decide: Decide = Box::new(move |herder| {
            let (value, records) = change(herder);
            let _ = answer.send(value);
            records
        });
        let (done, is_done) = oneshot::channel();
        self.send(Request::Change(decide, done))?;
        is_done.await.map_err(|_| WorkerError::Stopping)??;
        answered.await.map_err(|_| WorkerError::Stopping)
    }

    fn send(&self, request: Request) -> Result<(), WorkerError> {
        let sent = self.requests.send(request);
        sent.map_err(|_| WorkerError::Stopping)
    }

    /// Stops every task and ends the loop.
    pub(crate) async fn shut_down(&self) {
        let (done, is_done) = oneshot::channel();
        if self.requests.send(Request::Shutdown(done)).is_ok() {
            let _ = is_done.await;
        }
    }

    /// Up to where the log has been read.
    pub(crate) fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Returns when the log has been read up to there.
    pub(crate) async fn wait_applied(&self, place: u64) {
        let mut applied = self.applied.clone();
        let _ = applied.wait_for(|applied| *applied >= place).await;
    }

    /// Returns when the worker has to end by itself.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ended::Removed),
            // The loop ended because somebody else wanted it to.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Driver {
    async fn run(
        mut self,
        mut requests: mpsc::UnboundedReceiver<Request>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut news: mpsc::UnboundedReceiver<ClusterEvent>,
        mut appended: mpsc::UnboundedReceiver<log_append::Appended>,
    ) {
        let mut ending: Option<oneshot::Sender<()>> = None;
        loop {
            self.settle();
            self.progress.beat();
            if self.herder.is_idle()
                && let Some(done) = ending.take()
            {
                let _ = done.send(());
                return;
            }
            let pause = self.pause();
            tokio::select! {
                Some(request) = requests.recv() => match request {
                    Request::Inspect(inspect) => inspect(&self.herder),
                    Request::Change(decide, done) => self.waiting.push_back((decide, done)),
                    Request::Shutdown(done) => {
                        self.handle(Event::Shutdown);
                        ending = Some(done);
                    }
                },
                Some(event) = events.recv() => self.handle(event),
                Some(event) = news.recv() => self.news(event),
                Some(outcome) = appended.recv() => self.append_ended(outcome),
                () = sleep(pause) => self.handle(Event::Tick),
            }
        }
    }

    fn pause(&self) -> Duration {
        let tick = self.herder.next_tick_ms();
        let tick = tick.map(|at| Duration::from_millis(at.saturating_sub(self.now_ms())));
        let again = [self.append_again, self.hold_until].into_iter().flatten();
        let again = again.map(|at| at.saturating_duration_since(Instant::now()));
        let due = tick.into_iter().chain(again).min();
        // A tick that is due already and cannot be served, since an append is under way, comes back.
        due.map_or(BEAT, |due| due.clamp(Duration::from_millis(5), BEAT))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What follows from any event.
    fn settle(&mut self) {
        self.weigh();
        self.append_what_is_due();
        self.publish();
        let quiet = |shards: &BTreeSet<u32>| self.herder.is_quiet(shards);
        self.going.retain(|(shards, done)| {
            let ended = quiet(shards);
            if ended {
                let _ = done.try_send(());
            }
            !ended
        });
        if self.herder.may_leave() && self.ended.borrow().is_none() {
            self.ended.send_replace(Some(Ended::Removed));
        }
    }

    fn handle(&mut self, event: Event) {
        if let Some(publisher) = &mut self.publisher
            && matches!(
                event,
                Event::Log(..) | Event::Planned(_) | Event::Fenced { .. } | Event::Leading(_)
            )
        {
            publisher.look_at_connectors();
        }
        match &event {
            Event::TaskEnded { id, epoch, .. } => drop(self.tasks.remove(&(id.clone(), *epoch))),
            // Before the herder starts anything that needs it.
            Event::Log(place, ConfigRecord::Plugin { digest, entry }) => {
                let is_new = *place > self.herder.log().last_place();
                if is_new {
                    let plugins = &self.environment.plugins;
                    plugins.set(digest, entry.as_deref().cloned());
                    self.compile_ahead(entry.as_deref().cloned());
                }
            }
            _ => {}
        }
        let now_ms = self.now_ms();
        for action in self.herder.handle(now_ms, event) {
            self.perform(action);
        }
    }

    /// A worker of a cluster may have to take a task over at any moment: compiling its plugin only then
    /// would keep it waiting.
    fn compile_ahead(&self, entry: Option<PluginEntry>) {
        let (Some(entry), Log::Shared(_)) = (entry, &self.log) else {
            return;
        };
        let plugins = Arc::clone(&self.environment.plugins);
        let turns = Arc::clone(&self.plans);
        tokio::spawn(async move {
            let _turn = turns.acquire().await;
            if let Err(error) = plugins.load(&entry.info).await {
                tracing::warn!(
                    plugin = entry.info.description.name,
                    "compile the plugin ahead: {error}"
                );
            }
        });
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Plan {
                connector,
                revision,
                config,
            } => {
                let environment = self.environment.clone();
                let (events, plans) = (self.events.clone(), Arc::clone(&self.plans));
                tokio::spawn(async move {
                    let _turn = plans.acquire().await;
                    let outcome = validation::plan(&environment, &connector, &config).await;
                    if let Err(trace) = &outcome {
                        tracing::error!(connector, "plan: {trace}");
                    }
                    let _ = events.send(Event::Planned(Planned {
                        connector,
                        revision,
                        outcome,
                    }));
                });
            }
            Action::Start {
                epoch,
                paused,
                spec,
            } => self.start_task(epoch, paused, *spec),
            Action::Stop(id, epoch) => {
                if let Some(task) = self.tasks.get(&(id, epoch)) {
                    task.stop.cancel();
                }
            }
            Action::SetPaused(id, epoch, paused) => {
                if let Some(task) = self.tasks.get(&(id, epoch)) {
                    let _ = task.paused.send(paused);
                }
            }
            Action::Release(id, place) => {
                if let Some(publisher) = &self.publisher {
                    publisher.release(id, place);
                }
            }
            Action::ForgetWorker(id) => {
                tracing::info!(worker = id, "forget a worker that has been gone for long");
                if let Some(publisher) = &self.publisher {
                    publisher.forget_worker(id);
                }
            }
            Action::Fence {
                connector,
                generation,
                ids,
            } => self.fence(connector, generation, ids),
        }
    }
}
