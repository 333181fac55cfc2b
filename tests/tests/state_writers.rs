//! Those who write state topics: where a record went, one writer of the log at a time, and nothing
//! visible of what a deposed one had begun.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tidegate_kafka::{
    Kafka, KafkaError, KafkaSettings, LogWriteError, LogWriter, StateProducer, StateRecord,
    StateWrite, TailSink, TopicTail,
};
use tidegate_tests::broker::Broker;

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(5);

fn kafka(broker: &Broker) -> Kafka {
    let mut settings = KafkaSettings::default();
    let servers = ("bootstrap.servers".to_owned(), broker.bootstrap());
    settings.common.extend([servers]);
    Kafka::new(settings).unwrap().0
}

fn create(broker: &Broker, topic: &str, partitions: i32) {
    tokio::task::block_in_place(|| broker.client().create_topic(topic, partitions));
}

fn write(topic: &str, key: &str, value: Option<&str>) -> StateWrite {
    StateWrite {
        topic: topic.to_owned(),
        partition: None,
        key: key.into(),
        value: value.map(Into::into),
    }
}

async fn open(broker: &Broker, id: &str) -> Result<LogWriter, LogWriteError> {
    LogWriter::open(&kafka(broker), id, LIMIT, LIMIT).await
}

/// Tells the values it is given, a tombstone as "-".
struct Values(std::sync::mpsc::Sender<String>);

impl TailSink for Values {
    fn record(&mut self, record: StateRecord) {
        let value = record.value.unwrap_or_else(|| b"-".to_vec());
        self.0.send(String::from_utf8(value).unwrap()).unwrap();
    }
}

async fn committed(broker: &Broker, topic: &str) -> Vec<String> {
    let (sender, values) = std::sync::mpsc::channel();
    let tail = TopicTail::open(&kafka(broker), topic, Box::new(Values(sender))).unwrap();
    tail.read_to_end().await.unwrap();
    values.try_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_where_the_producer_says() {
    let broker = Broker::shared();
    create(broker, "written", 25);
    let producer = StateProducer::open(&kafka(broker), LIMIT).unwrap();
    let keys: Vec<String> = (0..100).map(|n| format!("key {n}")).collect();
    let records = keys.iter().map(|key| write("written", key, Some(key)));
    let places = producer.write(records.collect()).await.unwrap();
    let found = broker.client().read("written");
    for (key, place) in keys.iter().zip(&places) {
        let record = found.iter().find(|r| (r.partition, r.offset) == *place);
        assert_eq!(record.unwrap().key.as_deref(), Some(key.as_bytes()));
    }
    let tombstone = producer.write(vec![write("written", "key 7", None)]);
    // The same key, the same partition: or compaction would never remove it.
    assert_eq!(tombstone.await.unwrap()[0].0, places[7].0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_acked_is_an_error_in_time() {
    let mut broker = Broker::start();
    create(&broker, "away", 1);
    let producer = StateProducer::open(&kafka(&broker), SHORT).unwrap();
    let record = || vec![write("away", "a", Some("a"))];
    producer.write(record()).await.unwrap();
    broker.kill();
    let refused = tokio::time::timeout(LIMIT, producer.write(record())).await;
    let error = refused.expect("an answer").unwrap_err();
    assert!(matches!(error, KafkaError::Write { .. }), "{error}");
    broker.start_again();
    producer.write(record()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appended_group_is_visible_as_a_whole() {
    let broker = Broker::shared();
    create(broker, "log", 1);
    let writer = open(broker, "log").await.unwrap();
    let group = |n: usize| (0..n).map(|_| write("log", "k", Some("v"))).collect();
    assert_eq!(writer.append(group(2)).await.unwrap(), [(0, 0), (0, 1)]);
    // Offset 2 is the end of the first transaction.
    let start = std::time::Instant::now();
    assert_eq!(writer.append(group(1)).await.unwrap(), [(0, 3)]);
    println!("one append: {:?}", start.elapsed());
    assert_eq!(committed(broker, "log").await, ["v", "v", "v"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_which_one_record_is_refused_leaves_no_trace() {
    let broker = Broker::shared();
    create(broker, "refused", 1);
    let writer = open(broker, "refused").await.unwrap();
    let huge = "x".repeat(2_000_000);
    let group = vec![
        write("refused", "a", Some("never")),
        write("refused", "b", Some(&huge)),
    ];
    let error = writer.append(group).await.unwrap_err();
    assert!(matches!(error, LogWriteError::Failed(_)), "{error}");
    assert!(
        error.to_string().contains("transactional.id refused"),
        "{error}"
    );
    let after = vec![write("refused", "a", Some("kept"))];
    writer.append(after).await.unwrap();
    assert_eq!(committed(broker, "refused").await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_writer_fences_the_old_one() {
    let broker = Broker::shared();
    create(broker, "fenced", 1);
    let old = open(broker, "fenced").await.unwrap();
    let record = |value: &str| vec![write("fenced", "a", Some(value))];
    old.append(record("old")).await.unwrap();
    let new = open(broker, "fenced").await.unwrap();
    for _ in 0..2 {
        let error = old.append(record("never")).await.unwrap_err();
        assert!(matches!(error, LogWriteError::Fenced(_)), "{error}");
    }
    new.append(record("new")).await.unwrap();
    assert_eq!(committed(broker, "fenced").await, ["old", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_writer_had_open_is_aborted() {
    let broker = Broker::shared();
    create(broker, "begun", 1);
    let old: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("transactional.id", "begun")
        .create()
        .unwrap();
    old.init_transactions(LIMIT).unwrap();
    old.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to("begun").payload("never");
    old.send(record).map_err(|(error, _)| error).unwrap();
    old.flush(LIMIT).unwrap();

    let new = open(broker, "begun").await.unwrap();
    // Ended by the opening itself: the topic has an end again before anything is written.
    assert_eq!(committed(broker, "begun").await, [""; 0]);
    new.append(vec![write("begun", "a", Some("new"))])
        .await
        .unwrap();
    assert!(old.commit_transaction(SHORT).is_err());
    assert_eq!(committed(broker, "begun").await, ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_an_append_ends_in_time() {
    let mut broker = Broker::start();
    create(&broker, "gone", 1);
    let writer = LogWriter::open(&kafka(&broker), "gone", SHORT, LIMIT)
        .await
        .unwrap();
    broker.kill();
    let record = || vec![write("gone", "a", Some("a"))];
    let error = tokio::time::timeout(LIMIT, writer.append(record())).await;
    let error = error.expect("an answer").unwrap_err();
    assert!(!matches!(error, LogWriteError::Fenced(_)), "{error}");
    broker.start_again();
    let writer = open(&broker, "gone").await.unwrap();
    writer.append(record()).await.unwrap();
    assert_eq!(committed(&broker, "gone").await, ["a"]);
}
