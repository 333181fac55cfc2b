//! What stands between a client and Kafka, in the user's key names, and what to do about it.

use std::time::UNIX_EPOCH;

use tidegate_model::state::Wait;

use super::Trouble;
use super::log_line::Kind;
use crate::key_names::KeyNames;

/// What a person is told of it.
pub(super) fn wait(names: &KeyNames, address: &str, kind: Kind, trouble: &Trouble) -> Wait {
    let (what, keys, remedy) = told(names, address, kind);
    let mut words = trouble.words.clone();
    if let (Kind::Certificate, [truststore]) = (kind, keys.as_slice()) {
        words = words.replace("ssl.ca.location", truststore);
    }
    let since = trouble.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    Wait {
        reason: format!("{what}: {words}"),
        keys,
        remedy,
        since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What it is, the keys, and what to do.
fn told(names: &KeyNames, address: &str, kind: Kind) -> (String, Vec<String>, String) {
    let protocol = names.name("security.protocol");
    let servers = names.name("bootstrap.servers");
    match kind {
        Kind::Credentials => {
            let key = names.name("sasl.jaas.config");
            let remedy =
                format!("set the user name and the password that the brokers know in {key}");
            let what = format!("Kafka at {address} refuses the credentials");
            (what, vec![key], remedy)
        }
        Kind::Mechanism => {
            let key = names.name("sasl.mechanism");
            let remedy = format!("set {key} to a mechanism that the listener has enabled");
            (
                format!("Kafka at {address} refuses the login"),
                vec![key],
                remedy,
            )
        }
        Kind::Certificate => {
            let key = names.used("ssl.truststore.certificates", "ssl.truststore.location");
            let remedy = format!(
                "put the certificate of the authority that signed the brokers' into {key}; the name in the \
                 brokers' certificates has to be the one in {servers}"
            );
            let what = format!("the certificate of Kafka at {address} is not trusted");
            (what, vec![key], remedy)
        }
        Kind::ClientCertificate => {
            let key = names.used("ssl.keystore.certificate.chain", "ssl.keystore.location");
            let remedy =
                format!("put a certificate that the brokers trust, and its key, into {key}");
            let what = format!("Kafka at {address} does not take the client's certificate");
            (what, vec![key], remedy)
        }
        Kind::Protocol => {
            let remedy = format!(
                "set {protocol} to what the listener speaks, or name another one in {servers}"
            );
            let what = format!("Kafka at {address} does not speak as {protocol} says");
            (what, vec![protocol, servers], remedy)
        }
        Kind::HangsUp => {
            let remedy = format!(
                "look whether the listener speaks what {protocol} says, and whether the broker is up behind \
                 it; it is tried again"
            );
            (
                format!("Kafka at {address} hangs up"),
                vec![protocol, servers],
                remedy,
            )
        }
        Kind::Name => {
            let remedy = format!(
                "correct the name in {servers}, or where it is right in the brokers' advertised.listeners, or \
                 have it known"
            );
            (
                format!("the name in {address} is not known"),
                vec![servers],
                remedy,
            )
        }
        Kind::Away => {
            let remedy = format!("start the brokers, or correct {servers}; it is tried again");
            (
                format!("no broker answers, {address} among them"),
                vec![servers],
                remedy,
            )
        }
    }
}
