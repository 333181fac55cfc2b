//! RestForwardingIntegrationTest and SessionedProtocolIntegrationTest, without TLS, which the REST API
//! does not have.

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::{Cluster, LIMIT};
use tidegate_tests::wait::wait_until;

use crate::numbered;

/// testRestForward*: what is sent to a follower reaches the leader, and all tell the same.
#[test]
fn any_worker_takes_every_request_and_tells_the_same() {
    let cluster = Cluster::of(Broker::shared(), "forwarding").start_with_connectors(3);
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let mut config = numbered(&cluster, "forwarded", 2, 2);
    let rest = cluster.rest(follower);
    // Whoever took a change shows it at once.
    config["batch"] = json!("7");
    rest.put("/connectors/forwarded/config", &config)
        .expect(200);
    assert_eq!(rest.get("/connectors/forwarded/config").body["batch"], "7");
    let body = json!({"name": "forwarded", "config": config});
    let taken = rest.post("/connectors", &body);
    assert_eq!(taken.error(409), "Connector forwarded already exists");
    let invalid = rest.put(
        "/connectors/bad/config",
        &json!({"connector.class": "nothing"}),
    );
    assert!(invalid.error(400).contains("nothing"), "{}", invalid.text);
    cluster.wait_running("forwarded", 2);
    let paths = [
        "/connectors",
        "/connectors/forwarded",
        "/connectors/forwarded/config",
        "/connectors/forwarded/tasks",
        "/connectors/forwarded/status",
        "/plugins",
        "/connector-plugins",
    ];
    for path in paths {
        let mut answers: Vec<Value> = Vec::new();
        wait_until(
            &format!("all workers answer {path} the same"),
            LIMIT,
            || {
                answers = (0..3)
                    .map(|n| cluster.rest(n).get(path).expect(200).body)
                    .collect();
                answers.windows(2).all(|pair| pair[0] == pair[1])
            },
        );
    }
    let used = rest.delete("/plugins/numbered-source");
    assert!(used.error(409).contains("forwarded"), "{}", used.text);
}

/// testRestartEndpoint of SessionedProtocol: what only workers may ask is refused to others, before and
/// after the connector exists.
#[test]
fn requests_between_workers_need_the_right_signature() {
    let cluster = Cluster::of(Broker::shared(), "sessioned").start_with_connectors(2);
    for path in [
        "/connectors/later/pause?forward=true",
        "/connectors/later/stop?forward=false",
    ] {
        let refuse = || {
            let unsigned = cluster.rest(0).call("PUT", path);
            assert!(
                unsigned.error(400).contains("signature"),
                "{}",
                unsigned.text
            );
            let wrong = [
                ("X-Connect-Authorization", "c29tZXRoaW5n"),
                ("X-Connect-Request-Signature-Algorithm", "HmacSHA256"),
            ];
            let signed = cluster.rest(0).call_with("PUT", path, &wrong);
            assert!(
                signed.error(403).contains("invalid signature"),
                "{}",
                signed.text
            );
            let other = [
                wrong[0],
                ("X-Connect-Request-Signature-Algorithm", "HmacMD5"),
            ];
            cluster.rest(0).call_with("PUT", path, &other).error(400);
        };
        refuse();
        if cluster.rest(0).get("/connectors/later").status == 404 {
            numbered(&cluster, "later", 1, 1);
        }
        refuse();
    }
    cluster.wait_running("later", 1);
}
