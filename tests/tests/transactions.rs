//! Producers with transactions, on a real broker: what is committed shows, what is aborted does not, and
//! a new owner of a transactional id shuts the older one out (D4, D8).

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tidegate_kafka::{
    BatchAcks, Batching, Kafka, KafkaSettings, Outcome, ProducerHandle, Rows, TransactionError,
    TransactionalProducer,
};
use tidegate_model::columns::ByteColumn;
use tidegate_model::config::ConfigMap;
use tidegate_model::offset::{SourcePartition, offset_record_key};
use tidegate_tests::broker::Broker;
use tidegate_tests::wait::wait_or_give_up;

const TIMEOUT: Duration = Duration::from_secs(30);
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

fn kafka(broker: &Broker) -> Kafka {
    let common = [("bootstrap.servers".to_owned(), broker.bootstrap())].into();
    let settings = KafkaSettings {
        common,
        fetch_budget_bytes: 1 << 20,
        ..KafkaSettings::default()
    };
    Kafka::new(settings).unwrap().0
}

/// The tests' client has a runtime of its own.
fn create_topic(broker: &Broker, name: &str) {
    tokio::task::block_in_place(|| broker.client().create_topic(name, 1));
}

async fn open(broker: &Broker, id: &str) -> TransactionalProducer {
    let none = ConfigMap::new();
    TransactionalProducer::open(
        &kafka(broker),
        id,
        &none,
        Batching::Wide,
        TRANSACTION_TIMEOUT,
        TIMEOUT,
    )
    .await
    .unwrap()
}

async fn produce(producer: &ProducerHandle, topic: &str, values: &[&str]) -> Outcome {
    let mut column = ByteColumn::default();
    values
        .iter()
        .for_each(|value| column.push(Some(value.as_bytes())));
    let rows = Rows {
        topics: &[topic.to_owned()],
        topic: &[],
        partitions: &[],
        timestamps: &[],
        keys: &ByteColumn::nulls(values.len()),
        values: &column,
        headers: None,
        skip: &[],
    };
    let acks = BatchAcks::new(values.len(), Arc::default());
    match producer.produce(rows, &acks).await {
        Ok(()) => acks.finished().await,
        Err(error) => panic!("{error}"),
    }
}

/// The values of a topic with one partition that a reader sees who reads what is committed only, up to
/// the last stable offset.
fn committed(broker: &Broker, topic: &str) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("a value")).unwrap();
    let records = committed_records(broker, topic);
    records.into_iter().map(|(_, value)| text(value)).collect()
}

type KeyAndValue = (Option<Vec<u8>>, Option<Vec<u8>>);

fn committed_records(broker: &Broker, topic: &str) -> Vec<KeyAndValue> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "tests-committed")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    loop {
        // It also returns without an answer, whatever time is left.
        let answer = wait_or_give_up(TIMEOUT, || consumer.poll(Duration::from_secs(1)));
        match answer.expect("records, or the end") {
            Ok(message) => {
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                records.push((owned(message.key()), owned(message.payload())));
            }
            Err(KafkaError::PartitionEOF(_)) => return records,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_shows_and_what_is_aborted_does_not() {
    let broker = Broker::shared();
    let (records, offsets) = ("shows-records", "shows-offsets");
    create_topic(broker, records);
    create_topic(broker, offsets);
    let producer = open(broker, "shows").await;
    let handle = producer.handle();
    let partition = SourcePartition::parse(r#"{"file":"a"}"#).unwrap();
    let position = |n: u32| {
        let offset = format!(r#"{{"n":{n}}}"#).into_bytes();
        vec![(offset_record_key("c", &partition), Some(offset))]
    };
    for (n, value, commits) in [(1, "one", true), (2, "two", false), (3, "three", true)] {
        producer.begin().await.unwrap();
        assert_eq!(
            produce(&handle, records, &[value]).await,
            Outcome::Acked,
            "{value}"
        );
        let acks = BatchAcks::new(1, Arc::default());
        producer
            .send_offsets(offsets, position(n), &acks)
            .await
            .unwrap();
        assert_eq!(acks.finished().await, Outcome::Acked);
        let before = (committed(broker, records), committed(broker, offsets));
        assert!(
            !before.0.contains(&value.to_owned()),
            "{value} shows before it is committed"
        );
        if commits {
            producer.commit().await.unwrap();
        } else {
            producer.abort().await.unwrap();
        }
    }
    assert_eq!(committed(broker, records), ["one", "three"]);
    let position = |n: u32| {
        let (key, value) = (r#"["c",{"file":"a"}]"#, format!(r#"{{"n":{n}}}"#));
        (Some(key.into()), Some(value.into()))
    };
    assert_eq!(
        committed_records(broker, offsets),
        [position(1), position(3)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_shuts_the_older_one_out() {
    let broker = Broker::shared();
    let topic = "owners";
    create_topic(broker, topic);
    let first = open(broker, "owners").await;
    first.begin().await.unwrap();
    assert_eq!(
        produce(&first.handle(), topic, &["first"]).await,
        Outcome::Acked
    );

    let second = open(broker, "owners").await;
    second.begin().await.unwrap();
    assert_eq!(
        produce(&second.handle(), topic, &["second"]).await,
        Outcome::Acked
    );
    let late = first.commit().await.unwrap_err();
    assert!(matches!(&late, TransactionError::Fenced { id, .. } if id == "owners"));
    assert!(matches!(
        first.check(),
        Err(TransactionError::Fenced { .. })
    ));
    second.commit().await.unwrap();
    assert_eq!(committed(broker, topic), ["second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_writes_after_it_was_shut_out_learns_it() {
    let broker = Broker::shared();
    let topic = "late-writes";
    create_topic(broker, topic);
    let first = open(broker, "late-writes").await;
    first.begin().await.unwrap();
    assert_eq!(
        produce(&first.handle(), topic, &["open"]).await,
        Outcome::Acked
    );
    kafka(broker)
        .fence(vec!["late-writes".to_owned(), "never-used".to_owned()])
        .await
        .unwrap();
    let refused = produce(&first.handle(), topic, &["late"]).await;
    assert!(matches!(refused, Outcome::Failed(1, _)), "{refused:?}");
    // Which of the two tells depends on how librdkafka heard of it; one of them does.
    let told = match first.check() {
        Ok(()) => first.abort().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(told, TransactionError::Fenced { .. }), "{told}");
    assert_eq!(committed(broker, topic), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_producer_has_many_transactions() {
    let broker = Broker::shared();
    let topic = "many";
    create_topic(broker, topic);
    let producer = open(broker, "many").await;
    let handle = producer.handle();
    let values = vec!["x"; 2000];
    for _ in 0..20 {
        producer.begin().await.unwrap();
        assert_eq!(produce(&handle, topic, &values).await, Outcome::Acked);
        producer.commit().await.unwrap();
    }
    assert_eq!(committed(broker, topic).len(), 20 * values.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_no_broker_takes_are_refused_with_the_way_out() {
    let broker = Broker::shared();
    let day = Duration::from_secs(24 * 3600);
    let none = ConfigMap::new();
    let refused =
        TransactionalProducer::open(&kafka(broker), "day", &none, Batching::Wide, day, TIMEOUT)
            .await;
    let Err(error @ TransactionError::Failed { .. }) = refused else {
        panic!("opened");
    };
    let message = error.to_string();
    assert!(
        message.contains("transaction.max.timeout.ms") && message.contains("of day"),
        "{message}"
    );
}
