//! Whether a client gets through to Kafka, and if not, what stands in the way, in the user's key names.
//!
//! librdkafka tells of it in lines of its log: `FAIL` for each attempt that failed, `STATE` when a broker
//! is there. It tries again for ever and says nothing else, so a refused password or a certificate that
//! nobody trusts would look like a quiet topic. `each_wait_is_in_the_status_and_goes` (tests/waiting.rs)
//! fails should another version of librdkafka word the lines differently.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_model::config::ConfigMap;
use tidegate_model::state::Wait;
use tokio::sync::Notify;

use crate::client_config::ClientKind;

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

/// What stands in the way. The order is that of what is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The broker does not take the credentials.
    Credentials,
    /// It does not speak this mechanism.
    Mechanism,
    /// Its certificate is not trusted.
    Certificate,
    /// It does not trust the client's.
    ClientCertificate,
    /// One side speaks TLS, the other does not; or only one of them logs in.
    Protocol,
    /// It hangs up at once: another protocol, or something in between without a broker behind.
    HangsUp,
    /// Its name is not known.
    Name,
    /// It does not answer.
    Away,
}

impl Kind {
    /// Whether one broker that does so is worth telling, though others answer.
    fn is_refusal(self) -> bool {
        self < Self::HangsUp
    }
}

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

/// How the user names the keys of one client.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyNames {
    override_prefix: &'static str,
    worker_prefix: &'static str,
    overrides: Vec<String>,
    own: Vec<String>,
    common: Vec<String>,
}

impl KeyNames {
    pub(crate) fn new(
        kind: ClientKind,
        overrides: &ConfigMap,
        own: &ConfigMap,
        common: &ConfigMap,
    ) -> Self {
        let (override_prefix, worker_prefix) = match kind {
            ClientKind::Producer => ("producer.override.", "producer."),
            ClientKind::Consumer => ("consumer.override.", "consumer."),
            ClientKind::Admin => ("admin.override.", "admin."),
        };
        let keys = |map: &ConfigMap| map.keys().cloned().collect();
        Self {
            override_prefix,
            worker_prefix,
            overrides: keys(overrides),
            own: keys(own),
            common: keys(common),
        }
    }

    fn is_set(&self, key: &str) -> bool {
        let all = [&self.overrides, &self.own, &self.common];
        all.into_iter().any(|keys| keys.iter().any(|k| k == key))
    }

    /// The key where it is set; where it is not, beside those that say how to connect.
    pub(crate) fn name(&self, key: &str) -> String {
        let has = |keys: &[String]| keys.iter().any(|k| k == key);
        if has(&self.overrides) {
            return format!("{}{key}", self.override_prefix);
        }
        if has(&self.own) {
            return format!("{}{key}", self.worker_prefix);
        }
        let connects = |k: &String| {
            k == "bootstrap.servers" || k == "security.protocol" || k.starts_with("sasl.")
        };
        if !has(&self.common) && self.overrides.iter().any(connects) {
            return format!("{}{key}", self.override_prefix);
        }
        key.to_owned()
    }

    /// Of two ways to give the same thing, the one that is used.
    fn used(&self, inline: &str, file: &str) -> String {
        self.name(if self.is_set(inline) { inline } else { file })
    }

    fn truststore(&self) -> String {
        self.used("ssl.truststore.certificates", "ssl.truststore.location")
    }

    fn wait(&self, address: &str, kind: Kind, trouble: &Trouble) -> Wait {
        let words = &trouble.words;
        let protocol = self.name("security.protocol");
        let servers = self.name("bootstrap.servers");
        let (reason, keys, remedy) = match kind {
            Kind::Credentials => {
                let key = self.name("sasl.jaas.config");
                let remedy =
                    format!("set the user name and the password that the brokers know in {key}");
                (
                    format!("Kafka at {address} refuses the credentials: {words}"),
                    vec![key],
                    remedy,
                )
            }
            Kind::Mechanism => {
                let key = self.name("sasl.mechanism");
                let remedy = format!("set {key} to a mechanism that the listener has enabled");
                (
                    format!("Kafka at {address} refuses the login: {words}"),
                    vec![key],
                    remedy,
                )
            }
            Kind::Certificate => {
                let key = self.truststore();
                let words = words.replace("ssl.ca.location", &key);
                let remedy = format!(
                    "put the certificate of the authority that signed the brokers' into {key}; the name in the \
                     brokers' certificates has to be the one in {servers}"
                );
                (
                    format!("the certificate of Kafka at {address} is not trusted: {words}"),
                    vec![key],
                    remedy,
                )
            }
            Kind::ClientCertificate => {
                let key = self.used("ssl.keystore.certificate.chain", "ssl.keystore.location");
                let remedy =
                    format!("put a certificate that the brokers trust, and its key, into {key}");
                (
                    format!("Kafka at {address} does not take the client's certificate: {words}"),
                    vec![key],
                    remedy,
                )
            }
            Kind::Protocol => {
                let remedy = format!(
                    "set {protocol} to what the listener speaks, or name another one in {servers}"
                );
                (
                    format!("Kafka at {address} does not speak as {protocol} says: {words}"),
                    vec![protocol, servers],
                    remedy,
                )
            }
            Kind::HangsUp => {
                let remedy = format!(
                    "look whether the listener speaks what {protocol} says, and whether the broker is up behind it; it is tried again"
                );
                (
                    format!("Kafka at {address} hangs up: {words}"),
                    vec![protocol, servers],
                    remedy,
                )
            }
            Kind::Name => {
                let remedy = format!(
                    "correct the name in {servers}, or where it is right in the brokers' advertised.listeners, or have it known"
                );
                (
                    format!("the name in {address} is not known: {words}"),
                    vec![servers],
                    remedy,
                )
            }
            Kind::Away => {
                let remedy = format!("start the brokers, or correct {servers}; it is tried again");
                (
                    format!("no broker answers, {address} among them: {words}"),
                    vec![servers],
                    remedy,
                )
            }
        };
        let since = trouble.since.duration_since(UNIX_EPOCH);
        Wait {
            reason,
            keys,
            remedy,
            since_ms: since.map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }),
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
            let wait = self.names.wait(address, *kind, trouble);
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

/// `host:port` of a broker's name such as `sasl_ssl://host:port/1`, which changes when the number of a
/// broker becomes known, and has no protocol if that is plain. Coordinators have none: they are brokers
/// under another name.
fn address(name: &str) -> Option<&str> {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let address = rest.split_once('/').map_or(rest, |(address, _)| address);
    address.contains(':').then_some(address)
}

fn without_thread(message: &str) -> &str {
    match message.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ").map_or(message, |(_, text)| text),
        None => message,
    }
}

/// The broker and its new state, of `NAME: Broker changed state CONNECT -> UP`.
fn changed_state(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = without_thread(message).split_once(": Broker changed state ")?;
    let (_, state) = rest.split_once(" -> ")?;
    Some((name, state.trim()))
}

/// The broker, and what is wrong, of `NAME: WORDS (after 3ms in state CONNECT) (_TRANSPORT)...`.
fn failed(message: &str) -> Option<(&str, Kind, &str)> {
    let (name, rest) = without_thread(message).split_once(": ")?;
    let (words, tail) = rest.rsplit_once(" (after ")?;
    let (state, tail) = tail.split_once(" in state ")?.1.split_once([',', ')'])?;
    let kind = kind(words, state, tail)?;
    Some((name, kind, words))
}

fn kind(words: &str, state: &str, tail: &str) -> Option<Kind> {
    let code = |code: &str| tail.contains(&format!("({code})"));
    let says = |any: &[&str]| any.iter().any(|text| words.contains(text));
    // A connection that ends while it is made: no other word comes from a listener of another protocol.
    let hangs_up = says(&["Disconnected", "closed by peer"]) && state != "UP" && state != "CONNECT";
    Some(if says(&["terminating"]) || code("_INTR") {
        // The client goes, or knows the broker by another name now.
        return None;
    } else if says(&[
        "certificate required",
        "alert bad certificate",
        "alert unknown ca",
        "alert certificate",
        "alert number 4",
    ]) {
        Kind::ClientCertificate
    } else if says(&[
        "certificate verify failed",
        "certificate could not be verified",
    ]) {
        Kind::Certificate
    } else if says(&[
        "wrong version number",
        "packet length too long",
        "might require SASL authentication",
        "SASL state",
        "http request",
    ]) {
        Kind::Protocol
    } else if says(&[
        "nsupported mechanism",
        "does not support mechanism",
        "not enabled",
        "nsupported SASL",
    ]) {
        Kind::Mechanism
    } else if code("_AUTHENTICATION") || code("SASL_AUTHENTICATION_FAILED") {
        Kind::Credentials
    } else if code("_RESOLVE") {
        Kind::Name
    } else if hangs_up || says(&["PLAINTEXT broker listener", "SSL handshake failed"]) {
        Kind::HangsUp
    } else if state == "UP" {
        // A connection that ends is no trouble; one that cannot be made again is told by then.
        return None;
    } else {
        Kind::Away
    })
}

#[cfg(test)]
mod tests;
