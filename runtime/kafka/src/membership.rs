//! A worker's membership in the group whose partitions are the shards. One thread only polls:
//! rebalances happen inside poll. Another renews the lease, because the first may have to wait for
//! tasks to end while the shards that stay need their lease.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tidegate_model::config::ConfigMap;
use tokio::sync::mpsc::UnboundedSender;

use crate::client_config::ClientKind;
use crate::cluster::{Kafka, KafkaError, client_config};
use crate::lease::{Lease, Progress, now_ms};
use crate::membership_context::{MembershipContext, MembershipEvent};

/// How long one poll waits; bounds how late a stop is noticed.
const POLL: Duration = Duration::from_millis(100);

/// Between two tries to renew the lease while the group is being rebalanced.
const REBALANCE_PAUSE: Duration = Duration::from_millis(100);

/// A membership to be.
#[derive(Debug, Clone)]
pub struct MembershipSettings {
    /// The group.
    pub group: String,
    /// The topic whose partitions are the shards. Nothing is ever written to it.
    pub topic: String,
    /// Makes the membership outlast the process (`group.instance.id`).
    pub instance_id: Option<String>,
    /// What brokers call this client.
    pub client_id: String,
    /// After this long without a sign of life the shards go to others.
    pub session_timeout: Duration,
    /// Between two signs of life.
    pub heartbeat_interval: Duration,
    /// How long a rebalance waits for a member, and the herder may be silent.
    pub rebalance_timeout: Duration,
    /// Stands beside each lease in the group's offsets.
    pub identity: String,
}

/// A membership. Dropping it ends its threads and leaves as [`Membership::leave`] does, but nobody
/// can wait for that.
pub struct Membership {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the threads, the callback and the membership touch.
pub(crate) struct Shared {
    pub(crate) settings: MembershipSettings,
    progress: Arc<Progress>,
    pub(crate) lease: Lease,
    state: Mutex<State>,
    stop: AtomicBool,
    for_good: AtomicBool,
}

#[derive(Default)]
struct State {
    owned: BTreeSet<u32>,
    /// How often the lease was ended: an answer to a renewal from before does not bring it back.
    ends: u64,
}

impl Membership {
    /// Begins to join. Brokers that are away are waited for without end.
    ///
    /// # Errors
    /// [`KafkaError`] if the settings are wrong or the client cannot be made.
    pub fn join(
        kafka: &Kafka,
        settings: MembershipSettings,
        progress: Arc<Progress>,
        events: UnboundedSender<MembershipEvent>,
    ) -> Result<Self, KafkaError> {
        let failed = |reason: String| KafkaError::Client {
            client: "member of the cluster's group",
            reason,
        };
        let native = native_settings(kafka, &settings)?;
        let shared = Arc::new(Shared {
            settings,
            progress,
            lease: Lease::void(),
            state: Mutex::default(),
            stop: AtomicBool::new(false),
            for_good: AtomicBool::new(false),
        });
        let (renew, asked) = channel();
        let context = MembershipContext::new(Arc::clone(&shared), events, renew.clone());
        let consumer: BaseConsumer<MembershipContext> = client_config(&native)
            .create_with_context(context)
            .map_err(|e| failed(e.to_string()))?;
        consumer
            .subscribe(&[&shared.settings.topic])
            .map_err(|e| failed(e.to_string()))?;
        let poller = Poller {
            consumer: Arc::new(consumer),
            shared: Arc::clone(&shared),
            renew,
        };
        let thread = std::thread::Builder::new()
            .name("membership".to_owned())
            .spawn(move || poller.run(asked))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The lease on the shards owned.
    pub fn lease(&self) -> Lease {
        self.shared.lease.clone()
    }

    /// Gives the shards back, with [`MembershipEvent::Going`], and returns when the thread has
    /// ended. A static member keeps its membership, and with it its shards until its session ends,
    /// unless it leaves `for_good`; a dynamic one always leaves.
    pub async fn leave(mut self, for_good: bool) {
        self.shared.for_good.store(for_good, Ordering::Relaxed);
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn gained(&self, shards: &BTreeSet<u32>) {
        self.lock().owned.extend(shards);
    }

    /// A worker that owns nothing has no lease.
    pub(crate) fn gone(&self, shards: &BTreeSet<u32>) {
        let mut state = self.lock();
        state.owned.retain(|shard| !shards.contains(shard));
        if state.owned.is_empty() {
            self.end_lease(&mut state);
        }
    }

    pub(crate) fn lost(&self) {
        self.end_lease(&mut self.lock());
    }

    fn end_lease(&self, state: &mut State) {
        state.ends += 1;
        self.lease.end();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn is_silent(&self) -> bool {
        self.progress.silent_for() >= self.settings.rebalance_timeout
    }
}

struct Poller {
    consumer: Arc<BaseConsumer<MembershipContext>>,
    shared: Arc<Shared>,
    renew: Sender<Renewal>,
}

impl Poller {
    fn run(self, asked: Receiver<Renewal>) {
        let renewer = Renewer {
            consumer: Arc::clone(&self.consumer),
            shared: Arc::clone(&self.shared),
        };
        let renewing = std::thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || renewer.run(&asked));
        match renewing {
            Ok(renewing) => {
                self.poll();
                self.close();
                let _ = self.renew.send(Renewal::End);
                let _ = renewing.join();
            }
            Err(error) => self.fail(format!("start a thread: {error}")),
        }
    }

    fn poll(&self) {
        while !self.shared.is_stopped() {
            if self.shared.is_silent() {
                // Not to poll is what tells the group that this member is of no use.
                std::thread::sleep(POLL);
                continue;
            }
            if let Some(Err(error)) = self.consumer.poll(POLL)
                && let Some(reason) = self.hopeless(&error)
            {
                return self.fail(reason);
            }
        }
    }

    /// Why the membership cannot go on by itself, if it cannot.
    fn hopeless(&self, error: &RdKafkaError) -> Option<String> {
        use RDKafkaErrorCode as Code;
        if let Some((_, reason)) = self.consumer.client().fatal_error() {
            return Some(reason);
        }
        let code = error.rdkafka_error_code()?;
        let group = &self.shared.settings.group;
        match code {
            Code::InconsistentGroupProtocol => Some(format!(
                "group {group} is in use by clients of another kind; choose another group.id ({code})"
            )),
            Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Fatal => Some(error.to_string()),
            // librdkafka goes on by itself; its context has written it down.
            _ => None,
        }
    }

    fn fail(&self, reason: String) {
        self.shared.lost();
        self.consumer
            .context()
            .tell(MembershipEvent::Failed(reason));
    }

    /// Gives all shards back, by the callback, while the lease is still renewed.
    fn close(&self) {
        if self.shared.for_good.load(Ordering::Relaxed) {
            // Closing alone leaves a static member in the group.
            self.consumer.unsubscribe();
            let is_left = || self.consumer.assignment().is_ok_and(|a| a.count() == 0);
            while !is_left() && self.consumer.client().fatal_error().is_none() {
                let _ = self.consumer.poll(POLL);
            }
        }
        if self.consumer.close_queue().is_ok() {
            while !self.consumer.closed() {
                let _ = self.consumer.poll(POLL);
            }
        }
        self.shared.lost();
    }
}

/// What the renewing thread is asked for.
pub(crate) enum Renewal {
    /// Now, and say when it is answered.
    Now(SyncSender<()>),
    /// Nothing more.
    End,
}

struct Renewer {
    consumer: Arc<BaseConsumer<MembershipContext>>,
    shared: Arc<Shared>,
}

impl Renewer {
    /// A commit may hang for as long as the coordinator is away, or holds this member's request to
    /// join until all others have joined: it stands behind that on the same connection. Nobody
    /// waits for it but this thread, and the lease ends by itself meanwhile.
    fn run(self, asked: &Receiver<Renewal>) {
        let mut pause = self.shared.settings.heartbeat_interval;
        loop {
            let asked = asked.recv_timeout(pause);
            if matches!(
                asked,
                Ok(Renewal::End) | Err(RecvTimeoutError::Disconnected)
            ) {
                return;
            }
            let is_rebalancing = !self.shared.is_silent() && self.renew();
            pause = if is_rebalancing {
                REBALANCE_PAUSE
            } else {
                self.shared.settings.heartbeat_interval
            };
            if let Ok(Renewal::Now(done)) = asked {
                let _ = done.try_send(());
            }
        }
    }

    /// Commits the offset of one shard: the coordinator refuses that from those who are not members
    /// of the current generation, and counts it as a sign of life. Answers whether the group is
    /// being rebalanced, which will soon be over.
    fn renew(&self) -> bool {
        use RDKafkaErrorCode as Code;
        match self.commit() {
            None => false,
            Some(Code::UnknownMemberId | Code::FencedInstanceId | Code::Fatal) => {
                tracing::warn!("the lease on the shards of this worker is refused, so it ends");
                self.shared.lost();
                false
            }
            // Of a generation only, not of this member: it has joined the next one, told that it
            // keeps its shards, and has not heard the answer yet. The lease it has stays true, since
            // the coordinator drops no member before its session ends; it is only not renewed.
            // Should the member have missed a generation, librdkafka tells that the shards are lost.
            Some(Code::IllegalGeneration | Code::RebalanceInProgress) => true,
            Some(code) => {
                tracing::debug!("the lease is not renewed: {code}");
                false
            }
        }
    }

    /// Answers the error, if there is one.
    fn commit(&self) -> Option<RDKafkaErrorCode> {
        let settings = &self.shared.settings;
        let (shard, ends) = {
            let state = self.shared.lock();
            // The highest: what the leader holds is seen at once.
            (*state.owned.last()?, state.ends)
        };
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&settings.topic, i32::try_from(shard).ok()?);
        element.set_offset(Offset::Offset(0)).ok()?;
        element.set_metadata(&settings.identity);
        let sent_ms = now_ms();
        match self.consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                let state = self.shared.lock();
                if state.ends == ends {
                    self.shared.lease.renew(sent_ms, settings.session_timeout);
                }
                None
            }
            Err(error) => error.rdkafka_error_code(),
        }
    }
}

fn native_settings(
    kafka: &Kafka,
    membership: &MembershipSettings,
) -> Result<std::collections::BTreeMap<String, String>, KafkaError> {
    let (mut settings, _) = kafka.client_config(ClientKind::Consumer, &ConfigMap::new())?;
    let millis = |duration: Duration| duration.as_millis().to_string();
    for (key, value) in [
        ("group.id", membership.group.clone()),
        ("client.id", membership.client_id.clone()),
        ("group.protocol", "classic".to_owned()),
        (
            "partition.assignment.strategy",
            "cooperative-sticky".to_owned(),
        ),
        ("session.timeout.ms", millis(membership.session_timeout)),
        (
            "heartbeat.interval.ms",
            millis(membership.heartbeat_interval),
        ),
        ("max.poll.interval.ms", millis(membership.rebalance_timeout)),
        // What is not answered within a session need not be answered any more.
        ("socket.timeout.ms", millis(membership.session_timeout)),
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("auto.offset.reset", "latest".to_owned()),
    ] {
        settings.insert(key.to_owned(), value);
    }
    settings.remove("group.instance.id");
    if let Some(id) = &membership.instance_id {
        settings.insert("group.instance.id".to_owned(), id.clone());
    }
    Ok(settings)
}
