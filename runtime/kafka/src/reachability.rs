//! Whether a client gets through to Kafka, and if not, what stands in the way, in the user's key names.
//!
//! librdkafka tells of it in lines of its log: `FAIL` for each attempt that failed, `STATE` when a broker
//! is there. It tries again for ever and says nothing else, so a refused password or a certificate that
//! nobody trusts would look like a quiet topic. `each_way_of_not_getting_in_is_in_the_status_and_goes`
//! (tests/waiting.rs)
//! fails should another version of librdkafka word the lines differently.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tidegate_model::state::Wait;
use tokio::sync::Notify;

use self::log_line::{Kind, address, changed_state, failed};
use crate::key_names::KeyNames;

mod log_line;
mod remedy;

/// librdkafka's setting for the lines.
const DEBUG: &str = "broker";

/// A broker that is there for this long has let the client in: one that wants a login lets a client
/// without connect, and turns it away with the first request.
const SETTLED: Duration = Duration::from_secs(3);

/// What is over sooner is no news: a broker that restarts, a leader that moves.
const NEWS: Duration = Duration::from_secs(2);

/// Attempts are at most `reconnect.backoff.max.ms` (10 s) and a connection's set-up apart. A client that
/// has stopped trying needs no broker, so it does not wait for one.
const STALE: Duration = Duration::from_secs(60);

/// What the name of a broker ends with whose number is not known yet.
const BOOTSTRAP: &str = "/bootstrap";

/// A refusal that came so often in a row does not pass by itself.
const CERTAIN: u32 = 3;

/// Brokers that are remembered; with more, old addresses are forgotten.
const MAX_BROKERS: usize = 1_000;

/// Whether waiting helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Passes,
    /// Another attempt will tell.
    Unsure,
    /// It does not.
    Stays,
}

#[derive(Debug)]
struct Trouble {
    words: String,
    times: u32,
    since: SystemTime,
    began: Instant,
    last: Instant,
}

#[derive(Debug, Default)]
struct Broker {
    /// The connections to it that are there, by name. librdkafka may have two to one address: one as a
    /// bootstrap server and one under the broker's number.
    up: BTreeMap<String, Instant>,
    /// One of each kind: attempts of one client can fail in several ways in turn.
    troubles: BTreeMap<Kind, Trouble>,
}

/// Adds what this module reads to what is logged.
pub(crate) fn listen_to_log(settings: &mut BTreeMap<String, String>) {
    let debug = settings.entry("debug".to_owned()).or_default();
    if !debug.is_empty() {
        debug.push(',');
    }
    debug.push_str(DEBUG);
}

impl Broker {
    /// A bootstrap server gets its number without a word about it: under that name it is gone too.
    fn down(&mut self, name: &str) {
        self.up.remove(name);
        if !name.ends_with(BOOTSTRAP) {
            self.up.retain(|known, _| !known.ends_with(BOOTSTRAP));
        }
    }
}

/// What one client has met.
#[derive(Debug, Default)]
pub struct Reachability {
    names: KeyNames,
    brokers: Mutex<BTreeMap<String, Broker>>,
    listeners: Mutex<Vec<Weak<Notify>>>,
    /// Whether somebody tells of waits: then librdkafka's own lines about them are not wanted.
    is_told: AtomicBool,
}

impl Reachability {
    pub(crate) fn new(names: KeyNames) -> Arc<Self> {
        Arc::new(Self {
            names,
            ..Self::default()
        })
    }

    /// What the client waits for, if it waits.
    pub fn wait(&self) -> Option<Wait> {
        let now = Instant::now();
        let told = self.told(now, NEWS);
        told.map(|(wait, _, _)| wait)
    }

    /// Whether there may be something to wait for, soon or already.
    pub fn has_trouble(&self) -> bool {
        self.lock()
            .values()
            .any(|broker| !broker.troubles.is_empty())
    }

    /// As [`Self::wait`], at once; and whether a person has to do something.
    pub(crate) fn first_wait(&self) -> Option<(Wait, Verdict)> {
        let (wait, kind, times) = self.told(Instant::now(), Duration::ZERO)?;
        let verdict = match kind {
            Kind::Name | Kind::Away | Kind::HangsUp => Verdict::Passes,
            _ if times < CERTAIN => Verdict::Unsure,
            _ => Verdict::Stays,
        };
        Some((wait, verdict))
    }

    /// Has this told when there is trouble. It is not told of the end: look again.
    pub fn listen(&self, listener: &Arc<Notify>) {
        self.is_told.store(true, Ordering::Relaxed);
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|known| known.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }

    /// The same without a listener, for who looks by himself.
    pub(crate) fn will_be_looked_at(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_told(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    fn told(&self, now: Instant, news: Duration) -> Option<(Wait, Kind, u32)> {
        let mut brokers = self.lock();
        let mut any_up = false;
        for broker in brokers.values_mut() {
            let mut up = broker.up.values();
            let settled = up.any(|up| now.duration_since(*up) >= SETTLED);
            let is_over = |trouble: &Trouble| settled || now.duration_since(trouble.last) >= STALE;
            broker.troubles.retain(|_, trouble| !is_over(trouble));
            any_up |= !broker.up.is_empty();
        }
        let of_broker = |(address, broker): (_, &'_ Broker)| {
            let told = broker.troubles.iter().find(|(kind, trouble)| {
                // A broker that ends hangs up once, too.
                let is_sure = **kind != Kind::HangsUp || trouble.times >= CERTAIN;
                let is_told = kind.is_refusal() || (!any_up && is_sure);
                is_told && now.duration_since(trouble.began) >= news
            });
            let (kind, trouble) = told?;
            let wait = remedy::wait(&self.names, address, *kind, trouble);
            Some((wait, *kind, trouble.times))
        };
        let told = brokers.iter().map(|(address, broker)| (&**address, broker));
        told.filter_map(of_broker).min_by_key(|(_, kind, _)| *kind)
    }

    /// Takes a line of librdkafka's log.
    pub(crate) fn line(&self, facility: &str, message: &str) {
        match facility {
            "STATE" => {
                let Some((name, state)) = changed_state(message) else {
                    return;
                };
                let Some(address) = address(name) else {
                    return;
                };
                let mut brokers = self.lock();
                let broker = brokers.entry(address.to_owned()).or_default();
                if state == "UP" {
                    broker.up.insert(name.to_owned(), Instant::now());
                } else {
                    broker.down(name);
                }
            }
            "FAIL" => {
                if let Some((name, kind, words)) = failed(message) {
                    self.failed(name, kind, words);
                }
            }
            _ => {}
        }
    }

    fn failed(&self, name: &str, kind: Kind, words: &str) {
        let Some(address) = address(name) else {
            return;
        };
        let now = Instant::now();
        {
            let mut brokers = self.lock();
            if brokers.len() >= MAX_BROKERS {
                brokers.clear();
            }
            let broker = brokers.entry(address.to_owned()).or_default();
            broker.down(name);
            let trouble = broker.troubles.entry(kind).or_insert_with(|| Trouble {
                words: words.to_owned(),
                times: 0,
                since: SystemTime::now(),
                began: now,
                last: now,
            });
            trouble.last = now;
            trouble.times = trouble.times.saturating_add(1);
        }
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| match listener.upgrade() {
            Some(listener) => {
                listener.notify_one();
                true
            }
            None => false,
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Broker>> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
