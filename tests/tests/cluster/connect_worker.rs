//! ConnectWorkerIntegrationTest.

use serde_json::json;
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::{Cluster, LIMIT};
use tidegate_tests::wait::{wait_for, wait_until};

use crate::numbered;

/// testAddAndRemoveWorker, and what nobody could see in Kafka Connect: how soon.
#[test]
fn a_killed_workers_tasks_work_elsewhere() {
    let mut cluster = Cluster::of(Broker::shared(), "worker-killed").start_with_connectors(3);
    numbered(&cluster, "orders", 6, 6);
    let placed = cluster.wait_balanced(3, 6);
    cluster.wait_running("orders", 6);
    let victim = cluster.number_of(&placed["orders-0"]);
    cluster.worker(victim).kill();
    cluster.wait_running("orders", 6);
    cluster.wait_balanced(2, 6);

    cluster.worker(victim).start_again();
    cluster.wait_balanced(3, 6);
    cluster.wait_running("orders", 6);
}

/// The leader dies: another one leads, and takes changes.
#[test]
fn a_killed_leader_is_replaced() {
    let mut cluster = Cluster::of(Broker::shared(), "leader-killed").start_with_connectors(3);
    numbered(&cluster, "before", 3, 3);
    cluster.wait_running("before", 3);
    let leader = cluster.leader();
    cluster.worker(leader).kill();
    let other = (leader + 1) % 3;
    let config =
        json!({"connector.class": "numbered-source", "topic": "worker-killed", "tasks.max": "1"});
    let created = wait_for("a new leader takes a connector", LIMIT, || {
        let answer = cluster.rest(other).put("/connectors/after/config", &config);
        (answer.status != 409).then_some(answer)
    });
    created.expect(201);
    assert_ne!(cluster.leader(), leader);
    cluster.kafka().create_topic("worker-killed", 1);
    cluster.wait_running("before", 3);
    cluster.wait_running("after", 1);
}

/// testTaskStatuses: changing tasks.max up, down and up changes the tasks exactly, on every worker.
#[test]
fn the_number_of_tasks_follows_the_configuration() {
    let cluster = Cluster::of(Broker::shared(), "task-statuses").start_with_connectors(2);
    let mut config = numbered(&cluster, "numbers", 5, 2);
    for tasks in [2, 5, 1, 4] {
        config["tasks.max"] = json!(tasks.to_string());
        cluster
            .rest(1)
            .put("/connectors/numbers/config", &config)
            .expect(200);
        cluster.wait_running("numbers", tasks);
        for number in 0..2 {
            wait_until("every worker knows the tasks", LIMIT, || {
                let listed = cluster.rest(number).get("/connectors/numbers/tasks").body;
                listed.as_array().map(Vec::len) == Some(tasks)
            });
        }
    }
}

/// testBrokerCoordinator: the broker goes and comes back; workers rejoin, tasks run.
#[test]
fn a_broker_that_comes_back_finds_everything_as_it_was() {
    let mut broker = Broker::start();
    let cluster = Cluster::of(&broker, "broker-bounce").start_with_connectors(2);
    numbered(&cluster, "orders", 4, 4);
    cluster.wait_running("orders", 4);
    broker.kill();
    // Long enough for every lease to lapse: workers say that they do not take part.
    for number in 0..2 {
        wait_until("the lease lapses", LIMIT, || {
            let health = cluster.rest(number).get("/health");
            health.status == 503 && health.body["status"] == "starting"
        });
    }
    let refused = cluster.rest(0).call("PUT", "/connectors/orders/pause");
    assert!(refused.status >= 409, "{}", refused.text);
    broker.start_again();
    cluster.wait_members(2);
    cluster.wait_running("orders", 4);
    let topic = cluster.rest(0).get("/connectors/orders/config").body["topic"].clone();
    let kafka = cluster.kafka();
    let before = kafka.count(topic.as_str().unwrap());
    wait_until("records flow again", LIMIT, || {
        kafka.count(topic.as_str().unwrap()) > before
    });
}

/// testRestartFailedTask, ConnectorRestartApi testMultiWorkerRestart*: a request to a worker that has
/// nothing of it restarts what is elsewhere.
#[test]
fn restarts_reach_the_worker_that_has_the_task() {
    let cluster = Cluster::of(Broker::shared(), "restarts").start_with_connectors(3);
    numbered(&cluster, "three", 3, 3);
    cluster.wait_balanced(3, 3);
    cluster.wait_running("three", 3);
    for number in 0..3 {
        let rest = cluster.rest(number);
        rest.call("POST", "/connectors/three/tasks/1/restart")
            .expect(204);
        cluster.wait_running("three", 3);
        let both = rest
            .call("POST", "/connectors/three/restart?includeTasks=true")
            .expect(202);
        assert_eq!(
            both.body["tasks"][2]["state"], "RESTARTING",
            "{}",
            both.text
        );
        cluster.wait_running("three", 3);
        let only_failed = rest
            .call(
                "POST",
                "/connectors/three/restart?includeTasks=true&onlyFailed=true",
            )
            .expect(202);
        assert_eq!(
            only_failed.body["tasks"][2]["state"], "RUNNING",
            "{}",
            only_failed.text
        );
        rest.call("POST", "/connectors/nobody/restart").error(404);
    }
}

/// test_pause_state_persistent: a paused connector is paused after every worker was restarted.
#[test]
fn a_paused_connector_is_paused_after_a_restart_of_all() {
    let mut cluster = Cluster::of(Broker::shared(), "paused").start_with_connectors(2);
    numbered(&cluster, "paused", 2, 2);
    cluster.wait_running("paused", 2);
    cluster
        .rest(1)
        .call("PUT", "/connectors/paused/pause")
        .expect(202);
    cluster.rest(0).wait_for_state("paused", "PAUSED");
    for number in 0..2 {
        cluster.worker(number).stop();
    }
    for number in 0..2 {
        cluster.worker(number).launch();
    }
    cluster.wait_members(2);
    cluster.rest(1).wait_for_state("paused", "PAUSED");
    cluster
        .rest(0)
        .call("PUT", "/connectors/paused/resume")
        .expect(202);
    cluster.wait_running("paused", 2);
}

/// Leaving for good: tasks go first, then the process ends by itself.
#[test]
fn a_removed_worker_gives_everything_away_and_ends() {
    let mut cluster = Cluster::of(Broker::shared(), "removed").start_with_connectors(3);
    numbered(&cluster, "orders", 6, 6);
    cluster.wait_balanced(3, 6);
    let gone = cluster.id(1);
    cluster
        .rest(0)
        .delete("/cluster/workers/nobody:1")
        .error(404);
    cluster
        .rest(0)
        .delete(&format!("/cluster/workers/{gone}"))
        .expect(202);
    assert_eq!(cluster.worker(1).wait_ended().code(), Some(0));
    let placed = cluster.wait_balanced(2, 6);
    assert!(placed.values().all(|worker| *worker != gone));
    cluster.worker(1).start_again();
    cluster.wait_balanced(3, 6);
    let last = cluster.id(0);
    for number in [1, 2] {
        let id = cluster.id(number);
        cluster
            .rest(0)
            .delete(&format!("/cluster/workers/{id}"))
            .expect(202);
        assert_eq!(cluster.worker(number).wait_ended().code(), Some(0));
    }
    cluster
        .rest(0)
        .delete(&format!("/cluster/workers/{last}"))
        .error(409);
    cluster.wait_running("orders", 6);
}

/// Restart all, one by one, with group.instance.id: nothing moves.
#[test]
fn a_rolling_restart_of_static_members_moves_nothing() {
    let mut cluster = Cluster::of(Broker::shared(), "rolling")
        .with_static_members()
        .set("session.timeout.ms", "20000")
        .start_with_connectors(3);
    numbered(&cluster, "orders", 6, 6);
    let before = cluster.wait_balanced(3, 6);
    cluster.wait_running("orders", 6);
    for number in 0..3 {
        assert_eq!(cluster.worker(number).stop().code(), Some(0));
        cluster.worker(number).start_again();
        cluster.wait_members(3);
        cluster.wait_running("orders", 6);
        assert_eq!(cluster.placed(), before);
    }
}
