//! Many workers: what a person can count on while workers, brokers and networks come and go.
//! Modules that are named like a test of Kafka Connect's hold its scenarios.

#[path = "cluster/connect_worker.rs"]
mod connect_worker;
#[path = "cluster/exactly_once_source.rs"]
mod exactly_once_source;
#[path = "cluster/load.rs"]
mod load;
#[path = "cluster/rebalance_source_connectors.rs"]
mod rebalance_source_connectors;
#[path = "cluster/rest_forwarding.rs"]
mod rest_forwarding;
#[path = "cluster/topics.rs"]
mod topics;

use serde_json::{Value, json};
use tidegate_tests::cluster::Cluster;

/// Creates `numbered-source` with so many streams and tasks.
fn numbered(cluster: &Cluster, name: &str, streams: usize, tasks: usize) -> Value {
    let topic = format!("{name}-{}", fastrand::u32(..));
    cluster.kafka().create_topic(&topic, 1);
    let config = json!({
        "connector.class": "numbered-source",
        "topic": topic,
        "streams": streams.to_string(),
        "tasks.max": tasks.to_string(),
    });
    let body = json!({ "name": name, "config": config });
    cluster.rest(0).post("/connectors", &body).expect(201);
    config
}
