//! State topics of the distributed mode: followed from their beginning, and read to their end
//! whatever stands there.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tidegate_kafka::{Kafka, KafkaSettings, StateRecord, TailSink, TopicTail};
use tidegate_tests::broker::Broker;
use tidegate_tests::java;
use tidegate_tests::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for everything that could wrongly be answered to be answered.
const WRONG: Duration = Duration::from_secs(2);

fn kafka(broker: &Broker) -> Kafka {
    let mut settings = KafkaSettings::default();
    let servers = ("bootstrap.servers".to_owned(), broker.bootstrap());
    settings.common.extend([servers]);
    Kafka::new(settings).unwrap().0
}

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<StateRecord>>>);

impl TailSink for Kept {
    fn record(&mut self, record: StateRecord) {
        self.0.lock().unwrap().push(record);
    }
}

impl Kept {
    fn values(&self) -> Vec<String> {
        let records = self.0.lock().unwrap();
        let text = |record: &StateRecord| {
            String::from_utf8(record.value.clone().unwrap_or_default()).unwrap()
        };
        records.iter().map(text).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn follow(broker: &Broker, topic: &str) -> (TopicTail, Kept) {
    let kept = Kept::default();
    let tail = TopicTail::open(&kafka(broker), topic, Box::new(kept.clone())).unwrap();
    (tail, kept)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn transactional(broker: &Broker, id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("transactional.id", id)
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer
}

/// A transaction that holds these values and is still open.
fn begin(producer: &BaseProducer, topic: &str, values: &[&str]) {
    producer.begin_transaction().unwrap();
    for value in values {
        let record = BaseRecord::<str, str>::to(topic).payload(value);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(LIMIT).unwrap();
}

fn plain<'a>(values: &'a [&'a str]) -> impl Iterator<Item = (Option<&'a str>, &'a str)> {
    values.iter().map(|value| (None, *value))
}

#[test]
fn an_empty_topic_ends_at_once() {
    let broker = Broker::shared();
    broker.client().create_topic("empty", 1);
    let (tail, kept) = follow(broker, "empty");
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.count(), 0);
}

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    let broker = Broker::shared();
    broker.client().create_topic("settled", 1);
    broker.client().produce("settled", plain(&["a"]));
    let producer = transactional(broker, "settled");
    begin(&producer, "settled", &["b", "c"]);
    producer.commit_transaction(LIMIT).unwrap();
    let (tail, kept) = follow(broker, "settled");
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.values(), ["a", "b", "c"]);

    begin(&producer, "settled", &["never"]);
    producer.abort_transaction(LIMIT).unwrap();
    run(tail.read_to_end()).unwrap();
    begin(&producer, "settled", &["d"]);
    producer.commit_transaction(LIMIT).unwrap();
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.values(), ["a", "b", "c", "d"]);
}

#[test]
fn an_open_transaction_of_somebody_else_is_waited_for() {
    let broker = Broker::shared();
    broker.client().create_topic("open", 1);
    broker.client().produce("open", plain(&["a"]));
    let producer = transactional(broker, "open");
    begin(&producer, "open", &["b"]);
    // Behind the open transaction, and so not readable yet although it is acked.
    broker.client().produce("open", plain(&["c"]));
    let (tail, kept) = follow(broker, "open");
    run(async {
        let early = tokio::time::timeout(WRONG, tail.read_to_end()).await;
        assert!(
            early.is_err(),
            "the end was reached before the transaction ended"
        );
        assert_eq!(kept.values(), ["a"]);
        let (read, ()) = tokio::join!(tail.read_to_end(), async {
            tokio::task::block_in_place(|| producer.commit_transaction(LIMIT)).unwrap();
        });
        read.unwrap();
        assert_eq!(kept.values(), ["a", "b", "c"]);
    });
}

/// Whoever has no record in or behind a transaction that stays open goes on without it, and whoever has
/// one is told where it is and how to abort it.
#[test]
fn a_transaction_that_hangs_holds_those_alone_who_have_records_behind_it() {
    let broker = Broker::shared();
    let client = broker.client();
    client.create_topic("hanging", 1);
    let record = |key, value| [(Some(key), value)].into_iter();
    client.produce("hanging", record("mine", "a"));
    // The coordinator gives it up only after the test.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("transactional.id", "hanging")
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    begin(&producer, "hanging", &["never"]);
    client.produce("hanging", record("other", "b"));
    let (tail, kept) = follow(broker, "hanging");
    run(async {
        let began = Instant::now();
        let mine = tail.read_own_to_end(|key| key == b"mine");
        let others = tail.read_own_to_end(|key| key == b"other");
        let all = tail.read_to_end();
        let (mine, others, all) =
            tokio::join!(async { (mine.await, began.elapsed()) }, others, all);
        mine.0.unwrap();
        assert!(mine.1 < LIMIT / 2, "{:?}", mine.1);
        assert_eq!(kept.values(), ["a"]);
        for answer in [others, all] {
            let text = answer.unwrap_err().to_string();
            let command = format!(
                "kafka-transactions.sh --bootstrap-server {} abort --topic hanging --partition 0 \
                 --start-offset 1",
                broker.bootstrap()
            );
            assert!(text.contains(&command), "{text}");
        }
        // Now there is one of its own too.
        tokio::task::block_in_place(|| client.produce("hanging", record("mine", "c")));
        let early = tail.read_own_to_end(|key| key == b"mine");
        let early = tokio::time::timeout(LIMIT / 4, early).await;
        assert!(early.is_err(), "c was passed over");
        let (read, ()) = tokio::join!(tail.read_own_to_end(|key| key == b"mine"), async {
            // As the message says.
            let mut command = java::command("128m");
            command.args([
                "org.apache.kafka.tools.TransactionsCommand",
                "--bootstrap-server",
                &broker.bootstrap(),
                "abort",
                "--topic",
                "hanging",
                "--partition",
                "0",
                "--start-offset",
                "1",
            ]);
            tokio::task::block_in_place(|| java::run(command));
        });
        read.unwrap();
        assert_eq!(kept.values(), ["a", "b", "c"]);
    });
}

#[test]
fn all_partitions_are_read_and_gaps_do_not_matter() {
    let broker = Broker::shared();
    broker.client().create_topic("wide", 25);
    let (tail, kept) = follow(broker, "wide");
    let texts: Vec<String> = (0..5000).map(|n| format!("{n}")).collect();
    let records = texts
        .iter()
        .map(|text| (Some(text.as_str()), text.as_str()));
    broker.client().produce("wide", records);
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.count(), 5000);
    // Gaps, as compaction leaves them: offsets that no record has.
    let producer = transactional(broker, "wide");
    for _ in 0..3 {
        begin(&producer, "wide", &["never", "never", "never"]);
        producer.abort_transaction(LIMIT).unwrap();
    }
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.count(), 5000);
    let (again, kept) = follow(broker, "wide");
    run(again.read_to_end()).unwrap();
    assert_eq!(kept.count(), 5000);
}

#[test]
fn with_nothing_new_the_end_takes_a_round_trip() {
    let broker = Broker::shared();
    broker.client().create_topic("quick", 25);
    let producer = transactional(broker, "quick");
    begin(&producer, "quick", &["a", "b", "c", "d"]);
    producer.commit_transaction(LIMIT).unwrap();
    let (tail, _) = follow(broker, "quick");
    run(async {
        tail.read_to_end().await.unwrap();
        let mut took = Vec::new();
        for _ in 0..20 {
            let start = Instant::now();
            tail.read_to_end().await.unwrap();
            took.push(start.elapsed());
        }
        took.sort();
        println!("read to the end with nothing new: {took:?}");
        // Less than one wait of a fetch, by far: no request stands behind it.
        assert!(took[10] < Duration::from_millis(50), "{took:?}");
    });
}

#[test]
fn a_broker_that_was_away_only_delays() {
    let mut broker = Broker::start();
    broker.client().create_topic("bounced", 3);
    broker.client().produce("bounced", plain(&["a", "b"]));
    let (tail, kept) = follow(&broker, "bounced");
    run(tail.read_to_end()).unwrap();
    broker.kill();
    run(async {
        let without = tokio::time::timeout(WRONG, tail.read_to_end()).await;
        assert!(without.is_err(), "the end was reached without a broker");
    });
    broker.start_again();
    broker.client().produce("bounced", plain(&["c"]));
    run(tail.read_to_end()).unwrap();
    let mut values = kept.values();
    values.sort();
    assert_eq!(values, ["a", "b", "c"]);
}

#[test]
fn a_topic_created_anew_is_read_again() {
    let broker = Broker::shared();
    broker.client().create_topic("anew", 1);
    broker.client().produce("anew", plain(&["a", "b", "c"]));
    let (tail, kept) = follow(broker, "anew");
    run(tail.read_to_end()).unwrap();
    broker.client().delete_topic("anew");
    wait_until("the topic has gone", LIMIT, || {
        broker.client().partitions("anew").is_empty()
    });
    broker.client().create_topic("anew", 1);
    broker.client().produce("anew", plain(&["d"]));
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.values(), ["a", "b", "c", "d"]);
}

#[test]
fn a_tail_may_come_before_its_topic() {
    let broker = Broker::shared();
    let (tail, kept) = follow(broker, "late");
    run(async {
        let early = tokio::time::timeout(WRONG, tail.read_to_end()).await;
        assert!(early.is_err());
    });
    broker.client().create_topic("late", 1);
    broker.client().produce("late", plain(&["a"]));
    run(tail.read_to_end()).unwrap();
    assert_eq!(kept.values(), ["a"]);
}
