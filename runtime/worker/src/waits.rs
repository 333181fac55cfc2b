//! What a task waits for: whatever its loops try again without an end is noted here, and its clients of
//! Kafka are listened to. The herder hears of it when it lasts, and when it is over. A task that waits is
//! RUNNING: without this it would look like one that has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_kafka::{ProducerHandle, Reachability};
use tidegate_model::herder::Event;
use tidegate_model::names::TaskId;
use tidegate_model::state::Wait;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::metric_names;

/// What is over sooner is no news, and no record of the status topic.
const NEWS: Duration = Duration::from_secs(2);

/// How often it is looked whether a wait is over.
const LOOK: Duration = Duration::from_secs(1);

/// How long a question about a topic may take, and how long after an answer it is asked again.
const ASK: Duration = Duration::from_secs(5);

/// Topics that are looked for at a time; a source with more of them has surely met one that exists.
const MAX_TOPICS: usize = 1_000;

/// What is tried again. The order is that in which waits are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attempt {
    /// To open partitions.
    Open,
    /// To write to the target, or to flush what was written.
    Put,
    /// To write dead letters.
    DeadLetters,
    /// To poll the guest.
    Poll,
    /// To store positions.
    Store,
    /// To find the topic of a record.
    Topic,
    /// To start the task.
    Start,
}

/// The waits of one task, over all starts of its loop. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// The keys that name what the guest reaches.
    target: Vec<String>,
    attempts: BTreeMap<Attempt, (Wait, Instant)>,
    clients: Vec<Arc<Reachability>>,
    producer: Option<ProducerHandle>,
    /// Topics that nothing has shown to exist.
    topics: BTreeSet<String>,
    /// When to ask for them.
    ask_at: Option<Instant>,
}

impl Waits {
    /// A new start of the loop, whose guest reaches what these keys name.
    pub(crate) fn begin(&self, target: Vec<String>) {
        let mut state = self.lock();
        state.target = target;
        state.clients.clear();
        state.producer = None;
    }

    /// Listens to a client of Kafka.
    pub(crate) fn client(&self, client: Arc<Reachability>) {
        client.listen(&self.0.changed);
        self.lock().clients.push(client);
    }

    /// The same with one that can tell which topics exist.
    pub(crate) fn producer(&self, producer: ProducerHandle) {
        self.client(producer.reachability());
        self.lock().producer = Some(producer);
    }

    /// An attempt to reach the guest's target failed.
    pub(crate) fn target(&self, attempt: Attempt, reason: &str) {
        let keys = self.lock().target.clone();
        let remedy = match keys.first() {
            Some(key) => format!(
                "have there what {key} names, or correct the key; it is tried again by itself"
            ),
            None => "it is tried again by itself".to_owned(),
        };
        self.failed(attempt, reason, keys, remedy);
    }

    /// Another attempt failed.
    pub(crate) fn other(&self, attempt: Attempt, reason: &str) {
        let remedy = "it is tried again by itself".to_owned();
        self.failed(attempt, reason, Vec::new(), remedy);
    }

    fn failed(&self, attempt: Attempt, reason: &str, keys: Vec<String>, remedy: String) {
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let mut state = self.lock();
        let (since_ms, began) = match state.attempts.get(&attempt) {
            Some((wait, began)) => (wait.since_ms, *began),
            None => (now_ms, Instant::now()),
        };
        let wait = Wait {
            reason: reason.to_owned(),
            keys,
            remedy,
            since_ms,
        };
        state.attempts.insert(attempt, (wait, began));
        drop(state);
        self.0.changed.notify_one();
    }

    /// An attempt succeeded.
    pub(crate) fn done(&self, attempt: Attempt) {
        self.lock().attempts.remove(&attempt);
    }

    /// What made the task start again is over: records get through, or there are none.
    pub(crate) fn recovered(&self) {
        self.done(Attempt::Start);
    }

    /// Records go to these topics, which may not exist.
    pub(crate) fn topic(&self, topic: &str) {
        let mut state = self.lock();
        if state.topics.len() < MAX_TOPICS && state.topics.insert(topic.to_owned()) {
            state.ask_at.get_or_insert_with(|| Instant::now() + NEWS);
            self.0.changed.notify_one();
        }
    }

    /// All records are acked, so their topics exist.
    pub(crate) fn topics_exist(&self) {
        let mut state = self.lock();
        if !state.topics.is_empty() {
            state.topics.clear();
            state.ask_at = None;
            state.attempts.remove(&Attempt::Topic);
        }
    }

    fn look(&self, now: Instant) -> Option<Wait> {
        let state = self.lock();
        // A client that does not get through explains what is tried over it.
        if let Some(wait) = state.clients.iter().find_map(|client| client.wait()) {
            return Some(wait);
        }
        let mut attempts = state.attempts.values();
        let lasting = attempts.find(|(_, began)| now.duration_since(*began) >= NEWS);
        lasting.map(|(wait, _)| wait.clone())
    }

    /// Whether there is anything to look at before something new happens.
    fn is_quiet(&self) -> bool {
        let state = self.lock();
        let clients = state.clients.iter();
        state.attempts.is_empty()
            && state.topics.is_empty()
            && clients.into_iter().all(|client| !client.has_trouble())
    }

    /// Asks for the topics, if it is time.
    async fn ask_for_topics(&self) {
        let (topics, producer) = {
            let mut state = self.lock();
            let now = Instant::now();
            let (Some(at), Some(producer)) = (state.ask_at, state.producer.clone()) else {
                return;
            };
            if at > now {
                return;
            }
            state.ask_at = Some(now + ASK);
            (state.topics.clone(), producer)
        };
        let asked = spawn_blocking(move || {
            let exists = |topic: String| Some((producer.has_topic(&topic, ASK)?, topic));
            // One that does not answer does not answer for the next one either.
            topics.into_iter().map_while(exists).collect::<Vec<_>>()
        });
        let Ok(answers) = asked.await else { return };
        let mut missing = None;
        {
            let mut state = self.lock();
            for (exists, topic) in answers {
                if exists {
                    state.topics.remove(&topic);
                } else {
                    missing.get_or_insert(topic);
                }
            }
            if state.topics.is_empty() {
                state.ask_at = None;
                state.attempts.remove(&Attempt::Topic);
            }
        }
        if let Some(topic) = missing {
            let remedy = format!(
                "create it (kafka-topics.sh --create --topic {topic}), or let the connector do so with \
                 topic.creation.default.partitions and topic.creation.default.replication.factor"
            );
            let keys = vec!["topic.creation.default.partitions".to_owned()];
            let reason = format!("topic {topic} does not exist, and records for it wait");
            self.failed(Attempt::Topic, &reason, keys, remedy);
        }
    }

    /// Tells the herder, and the metric, for as long as the answer lives.
    pub(crate) fn report(
        &self,
        id: TaskId,
        epoch: u64,
        events: mpsc::UnboundedSender<Event>,
    ) -> Reporting {
        let gauge = metrics::gauge!(
            metric_names::TASK_WAITING,
            "connector" => id.connector.clone(), "task" => id.task.to_string()
        );
        gauge.set(0.0);
        let (waits, shown) = (self.clone(), gauge.clone());
        let told = tokio::spawn(async move {
            let mut last: Option<Wait> = None;
            loop {
                waits.ask_for_topics().await;
                let waiting = waits.look(Instant::now());
                if waiting != last {
                    match &waiting {
                        Some(wait) => tracing::warn!(
                            task = %id, keys = wait.keys.join(", "),
                            "waiting: {}; {}", wait.reason, wait.remedy
                        ),
                        None => tracing::info!(task = %id, "waiting no more"),
                    }
                    shown.set(if waiting.is_some() { 1.0 } else { 0.0 });
                    last.clone_from(&waiting);
                    let (id, epoch) = (id.clone(), epoch);
                    let _ = events.send(Event::TaskWaits { id, epoch, waiting });
                }
                if last.is_none() && waits.is_quiet() {
                    waits.0.changed.notified().await;
                } else {
                    sleep(LOOK).await;
                }
            }
        });
        Reporting { told, gauge }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waits of a running task are told while this lives.
pub(crate) struct Reporting {
    told: JoinHandle<()>,
    gauge: metrics::Gauge,
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.told.abort();
        self.gauge.set(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_with_its_keys_until_it_is_over() {
        let waits = Waits::default();
        waits.begin(vec!["connection.url".to_owned()]);
        waits.target(Attempt::Put, "db:5432 cannot be reached");
        assert_eq!(waits.look(Instant::now()), None, "it may be over at once");
        let later = Instant::now() + NEWS;
        waits.target(Attempt::Put, "db:5432 cannot be reached");
        let wait = waits.look(later).unwrap();
        assert_eq!(wait.keys, ["connection.url"]);
        waits.done(Attempt::Put);
        assert_eq!(waits.look(later), None);
    }

    #[test]
    fn a_start_that_is_repeated_is_over_when_records_get_through() {
        let waits = Waits::default();
        waits.other(Attempt::Start, "no answer");
        let later = Instant::now() + NEWS;
        assert!(waits.look(later).is_some());
        waits.done(Attempt::Open);
        assert!(waits.look(later).is_some());
        waits.recovered();
        assert_eq!(waits.look(later), None);
    }
}
