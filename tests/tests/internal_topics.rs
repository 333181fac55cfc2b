//! The cluster's own topics: created if they are missing, refused if they would lose state.

use tidegate_kafka::{InternalTopic, Kafka, KafkaError, KafkaSettings};
use tidegate_tests::broker::Broker;

fn ensure(broker: &Broker, topic: &InternalTopic) -> Result<i32, KafkaError> {
    let mut settings = KafkaSettings::default();
    let servers = ("bootstrap.servers".to_owned(), broker.bootstrap());
    settings.common.extend([servers]);
    run(Kafka::new(settings).unwrap().0.ensure_internal_topic(topic))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

fn topic(name: &str) -> InternalTopic {
    InternalTopic {
        name: name.to_owned(),
        property: "offset.storage.topic".to_owned(),
        replication_property: "offset.storage.replication.factor".to_owned(),
        purpose: "source connector offsets".to_owned(),
        partitions: 7,
        replication_factor: 1,
        configs: [("segment.bytes".to_owned(), "1048576".to_owned())].into(),
        compacted: true,
    }
}

#[test]
fn a_missing_topic_is_created_and_one_that_is_there_is_kept() {
    let broker = Broker::shared();
    assert_eq!(ensure(broker, &topic("created")).unwrap(), 7);
    assert_eq!(broker.client().partitions("created").len(), 7);
    let other = InternalTopic {
        partitions: 3,
        // Not asked of a topic that exists.
        replication_factor: 9,
        ..topic("created")
    };
    assert_eq!(ensure(broker, &other).unwrap(), 7);
}

#[test]
fn a_topic_that_deletes_records_is_refused_for_state() {
    let broker = Broker::shared();
    broker.client().create_topic("deleting", 1);
    let error = ensure(broker, &topic("deleting")).unwrap_err().to_string();
    for words in [
        "Topic 'deleting' supplied via the 'offset.storage.topic' property is required to have \
         'cleanup.policy=compact'",
        "source connector offsets, but found the topic currently has 'cleanup.policy=delete'",
    ] {
        assert!(error.contains(words), "{error}");
    }
    let not_state = InternalTopic {
        compacted: false,
        ..topic("deleting")
    };
    assert_eq!(ensure(broker, &not_state).unwrap(), 1);
    // Both policies at once delete as well.
    let both = InternalTopic {
        configs: [("cleanup.policy".to_owned(), "compact,delete".to_owned())].into(),
        compacted: false,
        ..topic("both")
    };
    ensure(broker, &both).unwrap();
    let error = ensure(broker, &topic("both")).unwrap_err().to_string();
    assert!(error.contains("cleanup.policy=compact,delete"), "{error}");
}

#[test]
fn more_replicas_than_brokers_are_refused_with_the_key_to_change() {
    let wanted = InternalTopic {
        replication_factor: 3,
        ..topic("replicated")
    };
    let error = ensure(Broker::shared(), &wanted).unwrap_err();
    assert_eq!(
        error.to_string(),
        "topic 'replicated' cannot have 3 replicas on a cluster of 1 broker(s): set \
         'offset.storage.replication.factor' to 1 at most, or add brokers"
    );
}
