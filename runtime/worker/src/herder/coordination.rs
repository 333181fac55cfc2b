//! How a worker starts: alone with a log of its own, or into a cluster.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tidegate_cluster::{
    Cluster, ClusterEvent, ClusterSettings, ConfigLog, StateStore, StateTopics, StatusRecord,
};
use tidegate_kafka::{Kafka, Lease, Progress};
use tidegate_model::herder::{Event, Herder};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::{Driver, HerderHandle, PLANS, Publisher};
use crate::error::WorkerError;
use crate::task::TaskEnvironment;

/// What a worker works with.
pub enum Coordination {
    /// Alone.
    Standalone {
        /// Its config log.
        log: Arc<dyn ConfigLog>,
        /// Its offsets and plugins.
        store: Arc<dyn StateStore>,
    },
    /// One of many.
    Cluster(Box<ClusterSettings>),
}

/// Where the log is.
pub(super) enum Log {
    Own(Arc<dyn ConfigLog>),
    Shared(Arc<Cluster>),
}

/// A worker that has read its log and may begin.
pub(crate) struct Ready {
    log: Log,
    herder: Herder,
    news: mpsc::UnboundedReceiver<ClusterEvent>,
    progress: Arc<Progress>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) lease: Lease,
    pub(crate) cluster: Option<Arc<Cluster>>,
}

impl Coordination {
    /// Reads the log, and joins.
    pub(crate) async fn prepare(
        self,
        worker_id: &str,
        kafka: &Kafka,
    ) -> Result<Ready, WorkerError> {
        let progress = Arc::new(Progress::default());
        match self {
            Self::Standalone { log, store } => {
                let mut herder = Herder::standalone(worker_id);
                // Everything is read before anything starts: an early record may be overruled by a
                // late one.
                for (place, record) in log.read_log().await? {
                    herder.replay(place, record);
                }
                let (_, news) = mpsc::unbounded_channel();
                Ok(Ready {
                    log: Log::Own(log),
                    herder,
                    news,
                    progress,
                    store,
                    lease: Lease::always(),
                    cluster: None,
                })
            }
            Self::Cluster(settings) => join(*settings, kafka, progress).await,
        }
    }
}

async fn join(
    settings: ClusterSettings,
    kafka: &Kafka,
    progress: Arc<Progress>,
) -> Result<Ready, WorkerError> {
    let (events, mut news) = mpsc::unbounded_channel();
    let (me, url) = (settings.worker_id.clone(), settings.url.clone());
    let incarnation = settings.incarnation.clone();
    let topics = StateTopics::open(kafka, settings, events).await?;
    let mut herder = Herder::of_cluster(me, url, incarnation, topics.shards());
    {
        let read = topics.read_to_ends();
        tokio::pin!(read);
        loop {
            tokio::select! {
                biased;
                Some(event) = news.recv() => replay(&mut herder, event),
                done = &mut read => break done?,
            }
        }
    }
    let cluster = Arc::new(topics.join(herder.log(), Arc::clone(&progress))?);
    Ok(Ready {
        herder,
        news,
        progress,
        store: cluster.store(),
        lease: cluster.lease(),
        log: Log::Shared(Arc::clone(&cluster)),
        cluster: Some(cluster),
    })
}

fn replay(herder: &mut Herder, event: ClusterEvent) {
    let event = match event {
        ClusterEvent::Log(place, record) => return herder.replay(place, record),
        ClusterEvent::End(reached) => {
            let _ = reached.send(());
            return;
        }
        ClusterEvent::Status(StatusRecord::Task(id, status)) => Event::TaskStatus(id, status),
        ClusterEvent::Status(StatusRecord::Worker(id, record)) => Event::Worker(id, record),
        ClusterEvent::Status(StatusRecord::Released(id, place)) => Event::Released(id, place),
        ClusterEvent::Status(StatusRecord::Connector(name, status)) => {
            Event::ConnectorStatus(name, status)
        }
        // Before joining there is nothing to gain or to lose.
        _ => return,
    };
    // It owns nothing and leads nobody, so nothing can come of it.
    let _ = herder.handle(0, event);
}

/// Starts the loop.
pub(crate) fn start(environment: TaskEnvironment, ready: Ready) -> HerderHandle {
    let (requests, request_receiver) = mpsc::unbounded_channel();
    let (events, event_receiver) = mpsc::unbounded_channel();
    let (appended, appended_receiver) = mpsc::unbounded_channel();
    let (applied, is_applied) = watch::channel(ready.herder.log().last_place());
    let (ended, has_ended) = watch::channel(None);
    let plugins = ready.herder.log().cluster().plugins().clone();
    for (digest, entry) in &plugins {
        environment.plugins.set(digest, Some(entry.clone()));
    }
    let publisher = ready.cluster.map(Publisher::start);
    let mut driver = Driver {
        herder: ready.herder,
        environment,
        log: ready.log,
        events,
        tasks: HashMap::new(),
        started: Instant::now(),
        progress: ready.progress,
        plans: Arc::new(Semaphore::new(PLANS)),
        waiting: VecDeque::new(),
        appending: None,
        appended,
        append_again: None,
        hold_until: None,
        publisher,
        weighing: Default::default(),
        going: Vec::new(),
        applied,
        ended,
    };
    for entry in plugins.into_values() {
        driver.compile_ahead(Some(entry));
    }
    driver.handle(Event::Tick);
    tokio::spawn(driver.run(
        request_receiver,
        event_receiver,
        ready.news,
        appended_receiver,
    ));
    HerderHandle {
        requests,
        applied: is_applied,
        ended: has_ended,
    }
}
