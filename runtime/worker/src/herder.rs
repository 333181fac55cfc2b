//! The herder's driver: one loop that feeds events to the pure state machine and does what it
//! answers. Everything that can take long runs in loops of its own, so a hung connector holds
//! nobody up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::{Action, Event, Herder, TaskSpec};
use tidegate_model::names::TaskId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::WorkerError;
use crate::task::{Control, TaskEnvironment, supervise};
use crate::validation;

/// A look at the herder's state, or a change that depends on it.
type Inspect = Box<dyn FnOnce(&Herder) -> Vec<ConfigRecord> + Send>;

enum Request {
    /// Look, and append what comes of it; told when it is durable.
    Change(Inspect, oneshot::Sender<Result<(), WorkerError>>),
    Event(Event),
    Shutdown(oneshot::Sender<()>),
}

/// The way to the herder's loop.
#[derive(Clone)]
pub(crate) struct HerderHandle {
    requests: mpsc::UnboundedSender<Request>,
}

struct RunningTask {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
}

struct Driver {
    herder: Herder,
    environment: TaskEnvironment,
    events: mpsc::UnboundedSender<Event>,
    tasks: HashMap<(TaskId, u64), RunningTask>,
    started: Instant,
}

/// Reads the log and starts what it says.
pub(crate) async fn start(environment: TaskEnvironment) -> Result<HerderHandle, WorkerError> {
    let (requests, request_receiver) = mpsc::unbounded_channel();
    let (events, event_receiver) = mpsc::unbounded_channel();
    let log = environment.store.read_log().await?;
    let mut driver = Driver {
        herder: Herder::default(),
        environment,
        events,
        tasks: HashMap::new(),
        started: Instant::now(),
    };
    // Everything is read before anything starts: an early record may be overruled by a late one.
    for (place, record) in log {
        driver.herder.replay(place, record);
    }
    driver.handle(Event::Tick).await;
    tokio::spawn(driver.run(request_receiver, event_receiver));
    Ok(HerderHandle { requests })
}

impl HerderHandle {
    /// Looks at the herder's state.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Herder) -> T + Send + 'static,
    ) -> Result<T, WorkerError> {
        self.change(move |herder| (look(herder), Vec::new())).await
    }

    /// Looks, and appends records in the same step. Returns when they are durable (D9) and the
    /// herder has acted on them.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Herder) -> (T, Vec<ConfigRecord>) + Send + 'static,
    ) -> Result<T, WorkerError> {
        let (answer, answered) = oneshot::channel();
        let inspect: Inspect = Box::new(move |herder| {
            let (value, records) = change(herder);
            let _ = answer.send(value);
            records
        });
        let (done, is_done) = oneshot::channel();
        self.requests
            .send(Request::Change(inspect, done))
            .map_err(|_| WorkerError::Stopping)?;
        is_done.await.map_err(|_| WorkerError::Stopping)??;
        answered.await.map_err(|_| WorkerError::Stopping)
    }

    pub(crate) fn event(&self, event: Event) -> Result<(), WorkerError> {
        self.requests
            .send(Request::Event(event))
            .map_err(|_| WorkerError::Stopping)
    }

    /// Stops every task and ends the loop.
    pub(crate) async fn shut_down(&self) {
        let (done, is_done) = oneshot::channel();
        if self.requests.send(Request::Shutdown(done)).is_ok() {
            let _ = is_done.await;
        }
    }
}

impl Driver {
    async fn run(
        mut self,
        mut requests: mpsc::UnboundedReceiver<Request>,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        let mut ending: Option<oneshot::Sender<()>> = None;
        loop {
            let tick = self
                .herder
                .next_tick_ms()
                .map(|at| at.saturating_sub(self.now_ms()));
            let tick = Duration::from_millis(tick.unwrap_or(3_600_000));
            tokio::select! {
                Some(request) = requests.recv() => match request {
                    Request::Change(inspect, done) => {
                        let records = inspect(&self.herder);
                        let appended = self.append(records).await;
                        let _ = done.send(appended);
                    }
                    Request::Event(event) => self.handle(event).await,
                    Request::Shutdown(done) => {
                        self.handle(Event::Shutdown).await;
                        ending = Some(done);
                    }
                },
                Some(event) = events.recv() => self.handle(event).await,
                () = sleep(tick) => self.handle(Event::Tick).await,
                else => return,
            }
            if self.herder.is_idle()
                && let Some(done) = ending.take()
            {
                let _ = done.send(());
                return;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn handle(&mut self, event: Event) {
        if let Event::TaskEnded { id, epoch, .. } = &event {
            self.tasks.remove(&(id.clone(), *epoch));
        }
        let now_ms = self.now_ms();
        let actions = self.herder.handle(now_ms, event);
        self.perform(actions).await;
    }

    /// Does what the herder says; what follows from that too, until nothing is left to do.
    async fn perform(&mut self, actions: Vec<Action>) {
        let mut left = std::collections::VecDeque::from(actions);
        while let Some(action) = left.pop_front() {
            match action {
                Action::Append(records) => match self.store(records).await {
                    Ok(stored) => {
                        for (place, record) in stored {
                            let now_ms = self.now_ms();
                            left.extend(self.herder.handle(now_ms, Event::Log(place, record)));
                        }
                    }
                    Err(error) => tracing::error!("write the config log: {error}"),
                },
                Action::Plan {
                    connector,
                    revision,
                    config,
                } => {
                    let environment = self.environment.clone();
                    let events = self.events.clone();
                    tokio::spawn(async move {
                        let outcome = validation::plan(&environment, &connector, &config).await;
                        if let Err(trace) = &outcome {
                            tracing::error!(connector, "plan: {trace}");
                        }
                        let _ = events.send(Event::Planned {
                            connector,
                            revision,
                            outcome,
                        });
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
            }
        }
    }

    async fn append(&mut self, records: Vec<ConfigRecord>) -> Result<(), WorkerError> {
        if records.is_empty() {
            return Ok(());
        }
        for (place, record) in self.store(records).await? {
            self.handle(Event::Log(place, record)).await;
        }
        Ok(())
    }

    async fn store(
        &self,
        records: Vec<ConfigRecord>,
    ) -> Result<Vec<(u64, ConfigRecord)>, WorkerError> {
        let places = self.environment.store.append(records.clone()).await?;
        Ok(places.into_iter().zip(records).collect())
    }

    fn start_task(&mut self, epoch: u64, paused: bool, spec: TaskSpec) {
        let spec = Arc::new(spec);
        let (paused, paused_receiver) = watch::channel(paused);
        let stop = CancellationToken::new();
        let control = Control::new(
            Arc::clone(&spec),
            epoch,
            stop.clone(),
            paused_receiver,
            self.events.clone(),
        );
        let id = spec.id.clone();
        self.tasks.insert(
            (id.clone(), epoch),
            RunningTask {
                stop: stop.clone(),
                paused,
            },
        );
        let environment = self.environment.clone();
        let events = self.events.clone();
        let grace = environment.settings.graceful_timeout;
        tokio::spawn(async move {
            // A loop of its own, so that even a panic in it is an end that the herder hears of.
            let mut supervised = tokio::spawn(supervise(environment, spec, control));
            // Past the graceful time-out the loop is dropped where it stands: what it had not
            // committed is read or polled again.
            let too_late = async {
                stop.cancelled().await;
                sleep(grace).await;
            };
            let trace = tokio::select! {
                ended = &mut supervised => ended.unwrap_or_else(|e| Some(format!("the task's loop broke: {e}"))),
                () = too_late => {
                    supervised.abort();
                    tracing::warn!(task = %id, "abandon the task: it did not stop within {} ms (task.shutdown.graceful.timeout.ms)", grace.as_millis());
                    None
                }
            };
            let _ = events.send(Event::TaskEnded { id, epoch, trace });
        });
    }
}
