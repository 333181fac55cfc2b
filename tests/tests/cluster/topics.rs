//! InternalTopicsIntegrationTest, and groups and topics that belong to somebody else.

use crate::numbered;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tidegate_tests::broker::Broker;
use tidegate_tests::cluster::{Cluster, LIMIT};
use tidegate_tests::wait::wait_until;

/// testCreateInternalTopicsWithFewerReplicas..., testFailToCreateInternalTopicsWithMoreReplicasThanBrokers.
#[test]
fn internal_topics_are_created_or_the_worker_says_why_not() {
    let cluster = Cluster::of(Broker::shared(), "internal").start(1);
    let kafka = cluster.kafka();
    for (topic, partitions) in [
        ("internal-configs", 1),
        ("internal-offsets", 5),
        ("internal-status", 2),
        ("internal-tidegate-plugins", 1),
        ("internal-tidegate-shards", 24),
    ] {
        assert_eq!(kafka.partitions(topic).len(), partitions, "{topic}");
    }
    let setup = Cluster::of(Broker::shared(), "replicas")
        .set("config.storage.replication.factor", "3")
        .setup();
    let mut worker = setup.spawn();
    assert_eq!(worker.wait_ended().code(), Some(1));
    let log = worker.log();
    assert!(log.contains("config.storage.replication.factor"), "{log}");
}

/// testFailToStartWhenInternalTopicsAreNotCompacted.
#[test]
fn topics_that_forget_are_refused() {
    let cluster = Cluster::of(Broker::shared(), "forgetful");
    let kafka = cluster.kafka();
    kafka.create_topic("forgetful-configs", 1);
    let mut worker = cluster.setup().spawn();
    assert_eq!(worker.wait_ended().code(), Some(1));
    let log = worker.log();
    assert!(
        log.contains("cleanup.policy=compact") && log.contains("config.storage.topic"),
        "{log}"
    );
}

/// A transaction on the offsets topic that nobody ends holds no connector that has nothing behind it.
#[test]
fn a_transaction_that_hangs_on_the_offsets_topic_holds_no_other_source() {
    let cluster = Cluster::of(Broker::shared(), "hung").start_with_connectors(1);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Broker::shared().bootstrap())
        .set("transactional.id", "hung")
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    for partition in 0..5 {
        let record = BaseRecord::to("hung-offsets")
            .key("[\"other\",{\"p\":1}]")
            .payload("{\"n\":1}")
            .partition(partition);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let config = numbered(&cluster, "free", 1, 1);
    let topic = config["topic"].as_str().unwrap();
    let is_read = || cluster.kafka().count(topic) > 0;
    wait_until("the source writes records", LIMIT / 2, is_read);
    producer.abort_transaction(LIMIT).unwrap();
}

/// Two clusters that were given the same group.id by mistake.
#[test]
fn a_second_cluster_with_the_same_group_is_refused() {
    let cluster = Cluster::of(Broker::shared(), "twice").start(1);
    let mut second = Cluster::of(Broker::shared(), "twice")
        .set("config.storage.topic", "twice-other-configs")
        .setup()
        .spawn();
    assert_eq!(second.wait_ended().code(), Some(1));
    let log = second.log();
    assert!(
        log.contains("twice-configs") && log.contains("group.id"),
        "{log}"
    );
    cluster.wait_members(1);
}

/// A config topic that a Kafka Connect wrote is not touched unless told to; then its connectors come,
/// stopped.
#[test]
fn a_config_topic_of_kafka_connect_is_refused_or_adopted() {
    let cluster = Cluster::of(Broker::shared(), "adopted");
    let kafka = cluster.kafka();
    kafka.create_compacted_topic("adopted-configs", 1);
    kafka.produce(
        "adopted-configs",
        [
            (
                Some("connector-old"),
                r#"{"properties":{"connector.class":"numbered-source","topic":"t","name":"old"}}"#,
            ),
            (Some("task-old-0"), r#"{"properties":{"task.class":"x.Y"}}"#),
            (Some("commit-old"), r#"{"tasks":1}"#),
            (
                Some("session-key"),
                r#"{"key":"AAAA","algorithm":"HmacSHA256","creation-timestamp":1}"#,
            ),
        ],
    );
    let mut refused = cluster.setup().spawn();
    assert_eq!(refused.wait_ended().code(), Some(1));
    assert!(
        refused.log().contains("tidegate.adopt=true"),
        "{}",
        refused.log()
    );

    let cluster = cluster
        .set("tidegate.adopt", "true")
        .start_with_connectors(1);
    let status = cluster.rest(0).wait_for_status("old", "STOPPED", |status| {
        status["connector"]["state"] == "STOPPED"
    });
    assert_eq!(
        status["tasks"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
    kafka.create_topic("t", 1);
    cluster
        .rest(0)
        .call("PUT", "/connectors/old/resume")
        .expect(202);
    cluster.wait_running("old", 1);
}

/// Garbage in the config topic is told of and left out; all else works.
#[test]
fn garbage_in_the_config_topic_stops_nobody() {
    let mut cluster = Cluster::of(Broker::shared(), "garbage").start_with_connectors(1);
    crate::numbered(&cluster, "good", 1, 1);
    cluster.wait_running("good", 1);
    let kafka = cluster.kafka();
    let garbage = [
        (Some("connector-bad"), "not json"),
        (Some("task-good-7"), "{}"),
        (Some("commit-good"), r#"{"tasks":99}"#),
        (Some("who-knows"), "?"),
    ];
    kafka.produce("garbage-configs", garbage);
    cluster.worker(0).stop();
    cluster.worker(0).start_again();
    cluster.wait_running("good", 1);
    assert_eq!(
        cluster.rest(0).get("/connectors").body,
        serde_json::json!(["good"])
    );
    let log = cluster.worker(0).log();
    assert!(log.contains("connector-bad"), "{log}");
}

/// testCompactedDeletedOlderConnectorConfig: tasks of an earlier life are not those of a later one.
#[test]
fn tasks_of_a_deleted_connector_do_not_come_back_with_its_name() {
    let mut cluster = Cluster::of(Broker::shared(), "reborn").start_with_connectors(1);
    crate::numbered(&cluster, "reborn", 3, 3);
    cluster.wait_running("reborn", 3);
    cluster.rest(0).delete("/connectors/reborn").expect(204);
    let body = serde_json::json!({
        "name": "reborn",
        "initial_state": "STOPPED",
        "config": {"connector.class": "numbered-source", "topic": "t", "tasks.max": "1"},
    });
    cluster.rest(0).post("/connectors", &body).expect(201);
    cluster.worker(0).stop();
    cluster.worker(0).start_again();
    let tasks = cluster
        .rest(0)
        .get("/connectors/reborn/tasks")
        .expect(200)
        .body;
    assert_eq!(tasks, serde_json::json!([]));
}
