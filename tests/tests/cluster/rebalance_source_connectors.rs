//! RebalanceSourceConnectorsIntegrationTest.

use std::collections::BTreeSet;

use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::Cluster;
use tidegate_tests::wait::wait_until;

use crate::numbered;

/// testStartTwoConnectors, testReconfigureConnector, testDeleteConnector.
#[test]
fn two_connectors_start_one_is_reconfigured_one_is_deleted() {
    let cluster = Cluster::of(Broker::shared(), "rebalance-two").start_with_connectors(2);
    let mut first = numbered(&cluster, "first", 4, 4);
    numbered(&cluster, "second", 4, 4);
    cluster.wait_running("first", 4);
    cluster.wait_running("second", 4);

    let moved = format!("moved-{}", fastrand::u32(..));
    let kafka = cluster.kafka();
    kafka.create_topic(&moved, 1);
    first["topic"] = json!(moved);
    cluster
        .rest(1)
        .put("/connectors/first/config", &first)
        .expect(200);
    wait_until(
        "the new topic is written",
        tidegate_tests::cluster::LIMIT,
        || kafka.count(&moved) > 0,
    );
    cluster.wait_running("first", 4);

    cluster.rest(1).delete("/connectors/first").expect(204);
    for number in 0..2 {
        wait_until(
            "the deletion is seen",
            tidegate_tests::cluster::LIMIT,
            || cluster.rest(number).get("/connectors").body == json!(["second"]),
        );
    }
    cluster.rest(0).get("/connectors/first/status").error(404);
    cluster.wait_running("second", 4);
}

/// testAddingWorker, testRemovingWorker, testMultipleWorkersRejoining: work is spread evenly, each task
/// on one worker, and a join moves at most one worker's share.
#[test]
fn work_is_spread_evenly_as_workers_come_and_go() {
    let mut cluster = Cluster::of(Broker::shared(), "rebalance-spread").start_with_connectors(2);
    for name in ["a", "b", "c"] {
        numbered(&cluster, name, 4, 4);
    }
    let before = cluster.wait_balanced(2, 12);

    cluster.add();
    let after = cluster.wait_balanced(3, 12);
    let moved = before
        .iter()
        .filter(|(task, worker)| after[*task] != **worker);
    assert!(
        moved.count() <= 4,
        "a join moves one share at most: {before:?} {after:?}"
    );
    let kept: BTreeSet<&String> = after.values().collect();
    assert_eq!(kept.len(), 3);

    cluster.worker(1).stop();
    cluster.wait_balanced(2, 12);
    for name in ["a", "b", "c"] {
        cluster.wait_running(name, 4);
    }

    cluster.worker(1).start_again();
    cluster.add();
    cluster.wait_balanced(4, 12);
    for name in ["a", "b", "c"] {
        cluster.wait_running(name, 4);
    }
}
