use tidegate_model::config::ConfigMap;

use super::log_line::*;
use super::*;
use crate::client_config::ClientKind;

fn reachability(overrides: &[(&str, &str)], common: &[(&str, &str)]) -> Arc<Reachability> {
    let map = |pairs: &[(&str, &str)]| -> ConfigMap {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    };
    let names = KeyNames::new(
        ClientKind::Consumer,
        &map(overrides),
        &ConfigMap::new(),
        &map(common),
    );
    Reachability::new(names)
}

fn now(reachability: &Reachability) -> Option<Wait> {
    reachability
        .told(Instant::now(), Duration::ZERO)
        .map(|told| told.0)
}

const REFUSED: &str = "[thrd:sasl_ssl://127.0.0.1:9/bootstrap]: sasl_ssl://127.0.0.1:9/bootstrap: SASL \
     authentication error: Authentication failed (after 302ms in state AUTH_REQ) (_AUTHENTICATION)";
const AWAY: &str = "[thrd:127.0.0.1:9/1]: 127.0.0.1:9/1: Connect to ipv4#127.0.0.1:9 failed: \
     Connection refused (after 0ms in state CONNECT, 3 identical error(s) suppressed) (_TRANSPORT): identical to last error";

#[test]
fn the_key_is_named_as_the_user_wrote_it() {
    let of_connector = reachability(&[("sasl.jaas.config", "x")], &[("bootstrap.servers", "b")]);
    of_connector.line("FAIL", REFUSED);
    let wait = now(&of_connector).unwrap();
    assert_eq!(wait.keys, ["consumer.override.sasl.jaas.config"]);
    assert!(
        wait.reason.contains("127.0.0.1:9") && !wait.reason.contains("302ms"),
        "{wait:?}"
    );
    let of_worker = reachability(&[], &[("sasl.jaas.config", "x")]);
    of_worker.line("FAIL", REFUSED);
    assert_eq!(now(&of_worker).unwrap().keys, ["sasl.jaas.config"]);
}

#[test]
fn brokers_that_are_away_are_told_while_none_is_there() {
    let one = reachability(&[], &[]);
    one.line("FAIL", AWAY);
    assert_eq!(now(&one).unwrap().keys, ["bootstrap.servers"]);
    one.line(
        "STATE",
        "[thrd:main]: 127.0.0.1:8/2: Broker changed state APIVERSION_QUERY -> UP",
    );
    assert_eq!(now(&one), None);
}

#[test]
fn a_refusal_is_over_when_the_broker_keeps_the_client() {
    let one = reachability(&[], &[]);
    one.line("FAIL", REFUSED);
    one.line(
        "STATE",
        "sasl_ssl://127.0.0.1:9/1: Broker changed state AUTH_REQ -> UP",
    );
    assert!(now(&one).is_some(), "it may hang up with the first request");
    let later = Instant::now() + SETTLED;
    assert!(one.told(later, Duration::ZERO).is_none());
    assert_eq!(now(&one), None);
}

#[test]
fn a_broker_has_two_names_and_is_there_under_either() {
    let one = reachability(&[], &[]);
    let changed = |name: &str, state: &str| {
        one.line(
            "STATE",
            &format!("127.0.0.1:9/{name}: Broker changed state X -> {state}"),
        );
    };
    one.line("FAIL", AWAY);
    changed("1", "UP");
    changed("bootstrap", "DOWN");
    assert_eq!(now(&one), None, "it is there under its number");
    changed("bootstrap", "UP");
    one.line("FAIL", AWAY);
    assert!(
        now(&one).is_some(),
        "the bootstrap server has got the number"
    );
}

#[test]
fn attempts_that_fail_in_several_ways_are_one_wait() {
    let one = reachability(&[], &[]);
    let hangs_up = "sasl_ssl://127.0.0.1:9/1: SSL handshake failed: Disconnected (after 1ms in state SSL_HANDSHAKE) (_SSL)";
    one.line("FAIL", hangs_up);
    one.line("FAIL", AWAY);
    let wait = now(&one).unwrap();
    assert!(wait.reason.contains("no broker answers"), "{wait:?}");
    for line in [hangs_up, AWAY, hangs_up, AWAY] {
        one.line("FAIL", line);
    }
    let wait = now(&one).unwrap();
    assert!(wait.reason.contains("hangs up"), "{wait:?}");
    assert_eq!(one.lock().len(), 1, "one address under two names");
}

#[test]
fn each_kind_of_line_is_known() {
    for (words, state, tail, wanted) in [
        (
            "Failed to resolve 'nowhere:9092': Name or service not known",
            "CONNECT",
            "(_RESOLVE)",
            Kind::Name,
        ),
        (
            "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
            "SSL_HANDSHAKE",
            "(_SSL)",
            Kind::Certificate,
        ),
        (
            "SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
            "SSL_HANDSHAKE",
            "(_SSL)",
            Kind::Protocol,
        ),
        (
            "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
            "SSL_HANDSHAKE",
            "(_SSL)",
            Kind::HangsUp,
        ),
        (
            "Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?)",
            "APIVERSION_QUERY",
            "(_TRANSPORT)",
            Kind::HangsUp,
        ),
        (
            "Disconnected: verify that security.protocol is correctly configured, broker might require SASL authentication",
            "UP",
            "(_TRANSPORT)",
            Kind::Protocol,
        ),
        (
            "SASL authentication error: Authentication failed",
            "AUTH_REQ",
            "(_AUTHENTICATION)",
            Kind::Credentials,
        ),
        (
            "Connection setup timed out in state CONNECT",
            "CONNECT",
            "(_TRANSPORT)",
            Kind::Away,
        ),
    ] {
        assert_eq!(kind(words, state, tail), Some(wanted), "{words}");
    }
    let plain_at_tls = "Disconnected: connection closed by peer: receive 0 after POLLIN";
    assert_eq!(
        kind(plain_at_tls, "APIVERSION_QUERY", "(_TRANSPORT)"),
        Some(Kind::HangsUp)
    );
    assert_eq!(
        kind("Broker handle is terminating", "INIT", "(_DESTROY_BROKER)"),
        None
    );
    assert_eq!(kind("Disconnected", "UP", "(_TRANSPORT)"), None);
}
