//! A source that rests does so for as long as it said: acks and commits do not wake it.

use std::time::Duration;

use rdkafka::message::Message;
use tidegate_tests::broker::Broker;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: i64 = 4;
const REST_MS: i64 = 500;

#[test]
fn an_acknowledgement_does_not_cut_a_rest_short() {
    let broker = Broker::shared();
    let topic = "ticks";
    broker.client().create_topic(topic, 1);
    let worker = Worker::setup(broker).start();
    worker.rest().upload_guests(&["hostile/numbered-source"]);
    let config = [
        ("connector.class", "numbered-source"),
        ("topic", topic),
        ("streams", "1"),
        ("batch", "1"),
        ("interval.ms", &REST_MS.to_string()),
    ];
    worker.rest().create(topic, &config);
    wait_until("some records", LIMIT, || {
        broker.client().count(topic) >= RECORDS
    });
    let mut times: Vec<i64> = Vec::new();
    broker.client().read_each(topic, |record| {
        times.extend(record.timestamp().to_millis());
    });
    for pair in times.windows(2) {
        // A record bears the time at which it was handed to the producer.
        assert!(pair[1] - pair[0] >= REST_MS - 50, "{times:?}");
    }
}
