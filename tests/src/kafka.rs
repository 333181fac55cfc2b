//! A Kafka client of the tests' own, to prepare and inspect topics with.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::wait::{wait_for, wait_or_give_up, wait_until};

const LIMIT: Duration = Duration::from_secs(30);
/// Without a record for this long, a read is stuck.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it was.
    pub partition: i32,
    /// Where it was there.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The text of a header; panics if there is none.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        let value = found.and_then(|(_, value)| value.as_deref());
        let value = value.unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers));
        std::str::from_utf8(value).unwrap()
    }

    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.value.clone().expect("a value")).unwrap()
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(message),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// What Kafka answers once it knows who leads: a busy broker has its internal topics, and those that were
/// created a moment ago, a while after it told of them.
fn settled<T>(what: &str, mut ask: impl FnMut() -> Result<T, KafkaError>) -> T {
    let answered = wait_for(what, LIMIT, || match ask() {
        Err(error) if error.rdkafka_error_code().is_some_and(is_settling) => None,
        answer => Some(answer),
    });
    answered.unwrap()
}

fn is_settling(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

fn is_outage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::NotLeaderForPartition
    )
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    headers
        .iter()
        .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        .collect()
}

/// A cluster, by its bootstrap servers.
#[derive(Debug, Clone)]
pub struct Kafka {
    bootstrap: String,
}

impl Kafka {
    /// Makes no connection yet.
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .create()
            .unwrap()
    }

    /// Creates a topic.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create(NewTopic::new(name, partitions, TopicReplication::Fixed(1)));
    }

    /// Creates a topic that keeps the last record of each key.
    pub fn create_compacted_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        self.create(topic.set("cleanup.policy", "compact"));
    }

    /// Creates a topic of one partition with this configuration.
    pub fn create_configured_topic(&self, name: &str, key: &str, value: &str) {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        self.create(topic.set(key, value));
    }

    /// Gives a topic more partitions. A broker that has just come up may need to be asked again.
    pub fn add_partitions(&self, name: &str, count: usize) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let wanted = [NewPartitions::new(name, count)];
        wait_until(&format!("{count} partitions of {name}"), LIMIT, || {
            let _ = block_on(admin.create_partitions(&wanted, &AdminOptions::new()));
            self.partitions(name).len() >= count
        });
    }

    /// Sets one configuration of a topic, and all others to their defaults.
    pub fn configure_topic(&self, name: &str, key: &str, value: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let wanted = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        wait_until(&format!("{name} has {key}={value}"), LIMIT, || {
            let asked = admin.alter_configs([&wanted], &AdminOptions::new());
            block_on(asked).is_ok_and(|answers| answers.iter().all(Result::is_ok))
        });
    }

    /// Creates a topic with so many replicas, of which all but one have to have a record.
    pub fn create_replicated_topic(&self, name: &str, partitions: i32, replicas: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        self.create(topic);
    }

    fn create(&self, topic: NewTopic<'_>) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let answers = runtime
            .block_on(admin.create_topics([&topic], &options))
            .unwrap();
        answers.into_iter().for_each(|answer| drop(answer.unwrap()));
    }

    /// Produces records and waits for their acks.
    pub fn produce<'a>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
    ) {
        let records = records.into_iter().map(|(key, value)| (key, Some(value)));
        self.produce_nullable(topic, records);
    }

    /// The same; a value that is none is a tombstone.
    pub fn produce_nullable<'a>(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>,
    ) {
        let producer: BaseProducer = self
            .config()
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .create()
            .unwrap();
        for (key, value) in records {
            let mut record = BaseRecord::<str, str>::to(topic);
            record.key = key;
            record.payload = value;
            while let Err((error, again)) = producer.send(record) {
                assert_eq!(
                    error,
                    KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
                );
                producer.poll(Duration::from_millis(10));
                record = again;
            }
        }
        producer.flush(LIMIT).unwrap();
    }

    /// The partitions of a topic; none if it does not exist.
    pub fn partitions(&self, topic: &str) -> Vec<i32> {
        let consumer = self.consumer("tests-metadata");
        let metadata = settled("metadata", || consumer.fetch_metadata(Some(topic), LIMIT));
        metadata
            .topics()
            .iter()
            .flat_map(|t| t.partitions())
            .map(|p| p.id())
            .collect()
    }

    /// Whether every replica of every topic has what its leader has.
    pub fn is_in_sync(&self) -> bool {
        let metadata = self.consumer("tests-metadata").fetch_metadata(None, LIMIT);
        metadata.is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|t| t.partitions());
            partitions.all(|p| p.isr().len() == p.replicas().len())
        })
    }

    /// The end of each partition.
    pub fn ends(&self, topic: &str) -> Vec<(i32, i64)> {
        let consumer = self.consumer("tests-watermarks");
        let end = |partition| {
            let (_, high) = settled("watermarks", || {
                consumer.fetch_watermarks(topic, partition, LIMIT)
            });
            (partition, high)
        };
        self.partitions(topic).into_iter().map(end).collect()
    }

    /// How many records were ever written to a topic; none if it does not exist.
    pub fn count(&self, topic: &str) -> i64 {
        self.ends(topic).iter().map(|(_, end)| end).sum()
    }

    /// Shows all records that are there now, each partition in its order.
    pub fn read_each(&self, topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) {
        let ends: Vec<(i32, i64)> = self
            .ends(topic)
            .into_iter()
            .filter(|(_, end)| *end > 0)
            .collect();
        let consumer = self.consumer("tests-read");
        let mut assignment = TopicPartitionList::new();
        for (partition, _) in &ends {
            assignment
                .add_partition_offset(topic, *partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut left: Vec<(i32, i64)> = ends;
        while !left.is_empty() {
            let message = wait_or_give_up(READ_LIMIT, || consumer.poll(Duration::from_secs(1)))
                .unwrap_or_else(|| {
                    panic!("no records of {topic}, left are partitions and ends {left:?}")
                })
                .unwrap();
            let (partition, next) = (message.partition(), message.offset() + 1);
            if left.iter().any(|(p, end)| *p == partition && next <= *end) {
                each(&message);
            }
            left.retain(|(p, end)| *p != partition || next < *end);
        }
    }

    /// All records that are there now.
    pub fn read(&self, topic: &str) -> Vec<Record> {
        let mut records = Vec::new();
        self.read_each(topic, |message| records.push(record(message)));
        records
    }

    /// All records that are there now and belong to no transaction that is open or aborted.
    pub fn read_committed(&self, topic: &str) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", "tests-read-committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        // Where the last transaction that has ended ends: somebody may go on writing behind it.
        let stable = |partition| {
            // A broker may be on its way down.
            let asked = || consumer.fetch_watermarks(topic, partition, LIMIT / 10).ok();
            let (_, end) = wait_for("the end of a partition", LIMIT, asked);
            (partition, end)
        };
        let mut left: Vec<(i32, i64)> = self.partitions(topic).into_iter().map(stable).collect();
        for (partition, _) in &left {
            assignment
                .add_partition_offset(topic, *partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut records = Vec::new();
        while !left.is_empty() {
            let polled = wait_or_give_up(READ_LIMIT, || consumer.poll(Duration::from_secs(1)));
            match polled.unwrap_or_else(|| panic!("no end of {topic} in {left:?}")) {
                Ok(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    if left.iter().any(|(p, end)| *p == partition && offset < *end) {
                        records.push(record(&message));
                    }
                    left.retain(|(p, end)| *p != partition || offset + 1 < *end);
                }
                Err(KafkaError::PartitionEOF(partition)) => left.retain(|(p, _)| *p != partition),
                // Of a broker that is down: librdkafka turns to another one.
                Err(KafkaError::MessageConsumption(code)) if is_outage(code) => {}
                Err(error) => panic!("read {topic}: {error}"),
            }
        }
        records
    }

    /// The values that are there now, as text.
    pub fn read_texts(&self, topic: &str) -> Vec<String> {
        self.read(topic).iter().map(Record::text).collect()
    }

    /// Deletes a topic, and waits until it is gone.
    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let answers = runtime
            .block_on(admin.delete_topics(&[name], &options))
            .unwrap();
        answers.into_iter().for_each(|answer| drop(answer.unwrap()));
    }

    /// What a group has committed for each partition of a topic; none where it has not.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<(i32, Option<i64>)> {
        let consumer = self.consumer(group);
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(topic) {
            asked.add_partition(topic, partition);
        }
        let answer = settled("committed offsets", || {
            consumer.committed_offsets(asked.clone(), LIMIT)
        });
        let offset = |offset| {
            if let Offset::Offset(offset) = offset {
                Some(offset)
            } else {
                None
            }
        };
        answer
            .elements()
            .iter()
            .map(|e| (e.partition(), offset(e.offset())))
            .collect()
    }

    /// What a group committed beside its offset of partition 0.
    pub fn committed_metadata(&self, group: &str, topic: &str) -> String {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, 0);
        let consumer = self.consumer(group);
        let answer = settled("committed metadata", || {
            consumer.committed_offsets(asked.clone(), LIMIT)
        });
        answer.elements()[0].metadata().to_owned()
    }

    /// Commits an offset of partition 0 for a group that has no members.
    pub fn commit(&self, group: &str, topic: &str, offset: i64, metadata: &str) {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(topic, 0);
        element.set_offset(Offset::Offset(offset)).unwrap();
        element.set_metadata(metadata);
        let consumer = self.consumer(group);
        settled("a commit", || consumer.commit(&list, CommitMode::Sync));
    }

    /// How many members a consumer group has; none if it does not exist.
    pub fn group_members(&self, group: &str) -> usize {
        let consumer = self.consumer("tests-groups");
        let groups = settled("the group", || {
            consumer.fetch_group_list(Some(group), LIMIT)
        });
        groups
            .groups()
            .iter()
            .map(|group| group.members().len())
            .sum()
    }
}
