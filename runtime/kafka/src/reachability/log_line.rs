//! Lines of librdkafka's log that tell of a connection: which broker, and what is wrong.

/// What stands in the way. The order is that of what is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
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
    pub(super) fn is_refusal(self) -> bool {
        self < Self::HangsUp
    }
}

/// `host:port` of a broker's name such as `sasl_ssl://host:port/1`, which changes when the number of a
/// broker becomes known, and has no protocol if that is plain. Coordinators have none: they are brokers
/// under another name.
pub(super) fn address(name: &str) -> Option<&str> {
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
pub(super) fn changed_state(message: &str) -> Option<(&str, &str)> {
    let (name, rest) = without_thread(message).split_once(": Broker changed state ")?;
    let (_, state) = rest.split_once(" -> ")?;
    Some((name, state.trim()))
}

/// The broker, and what is wrong, of `NAME: WORDS (after 3ms in state CONNECT) (_TRANSPORT)...`.
pub(super) fn failed(message: &str) -> Option<(&str, Kind, &str)> {
    let (name, rest) = without_thread(message).split_once(": ")?;
    let (words, tail) = rest.rsplit_once(" (after ")?;
    let (state, tail) = tail.split_once(" in state ")?.1.split_once([',', ')'])?;
    let kind = kind(words, state, tail)?;
    Some((name, kind, words))
}

pub(super) fn kind(words: &str, state: &str, tail: &str) -> Option<Kind> {
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
