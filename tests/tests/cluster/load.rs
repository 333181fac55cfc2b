//! Continuous load while workers are killed, stopped, woken, restarted, added and removed: nothing is
//! lost, and what is exactly-once neither lacks nor repeats anything.

use serde_json::{Value, json};
use tidegate_tests::broker::Broker;
use tidegate_tests::brokers::Brokers;
use tidegate_tests::cluster::{Cluster, LIMIT, SESSION};
use tidegate_tests::items::{ItemCount, items};
use tidegate_tests::postgres::Postgres;
use tidegate_tests::streams::Streams;
use tidegate_tests::target::Target;
use tidegate_tests::wait::{wait_or_give_up, wait_until};

const STREAMS: usize = 8;
const ITEMS: usize = 200_000;

/// What everything is done to: sources that never end, and a sink into a database.
struct Load {
    cluster: Cluster,
    topic: String,
    source: Value,
    target: Target,
}

impl Load {
    /// Three workers and twelve tasks: eight of a source, four of a sink.
    fn start(bootstrap: &str, replicas: i32, name: &str, exactly_once: bool) -> Self {
        let support = if exactly_once { "enabled" } else { "disabled" };
        let cluster = Cluster::at(bootstrap, name, replicas as usize)
            .set("exactly.once.source.support", support)
            .start_with_connectors(3);
        cluster.rest(0).upload_guests(&["sql-sink"]);
        let (topic, kafka) = (format!("{name}-numbers"), cluster.kafka());
        kafka.create_replicated_topic(&topic, 3, replicas);
        let source = json!({
            "connector.class": "numbered-source",
            "topic": topic,
            "streams": STREAMS.to_string(),
            "tasks.max": "8",
            "batch": "5",
        });
        let items_topic = format!("{name}-items");
        kafka.create_replicated_topic(&items_topic, 4, replicas);
        let texts: Vec<String> = items(0..ITEMS).collect();
        let keyed: Vec<(String, &String)> =
            (0..).map(|id: usize| id.to_string()).zip(&texts).collect();
        kafka.produce(
            &items_topic,
            keyed
                .iter()
                .map(|(key, text)| (Some(key.as_str()), text.as_str())),
        );
        let target = Target::postgres(Postgres::shared());
        target.execute("CREATE TABLE items (id BIGINT NOT NULL, name TEXT, price DOUBLE PRECISION, is_even BOOLEAN)");
        let mut sink = json!({
            "connector.class": "sql-sink",
            "topics": items_topic,
            "tasks.max": "4",
            "value.converter": "JsonConverter",
            "value.converter.schemas.enable": "false",
            "table.name.format": "items",
            // Slow enough for everything to happen to it while it works.
            "consumer.override.max.poll.records": "500",
        });
        for (key, value) in target.connection() {
            sink[key] = json!(value);
        }
        let load = Self {
            cluster,
            topic,
            source,
            target,
        };
        load.cluster
            .rest(1)
            .put("/connectors/numbers/config", &load.source)
            .expect(201);
        load.cluster
            .rest(2)
            .put("/connectors/items/config", &sink)
            .expect(201);
        load.cluster.wait_balanced(3, 12);
        load.cluster.wait_running("numbers", 8);
        load
    }

    /// Waits until every stream has come on by some records since the call.
    fn wait_progress(&self) {
        let kafka = self.cluster.kafka();
        let start = Streams::read(&kafka, &self.topic).least(STREAMS);
        wait_until("every stream comes on", LIMIT, || {
            Streams::read(&kafka, &self.topic).least(STREAMS) > start + 20
        });
    }

    /// A worker that neither leads nor is the first, which tests ask.
    fn victim(&self) -> usize {
        let leader = self.cluster.leader();
        (1..3).find(|number| *number != leader).unwrap_or(1)
    }

    /// Kills, pauses past the lease, restarts, adds, removes.
    fn suffer(&mut self) {
        let cluster = &mut self.cluster;
        // SIGKILL of one, then of the one that leads.
        for number in [1, cluster.leader()] {
            cluster.worker(number).kill();
            cluster.wait_running("numbers", 8);
            cluster.worker(number).start_again();
            cluster.wait_members(3);
        }
        self.wait_progress();

        // SIGSTOP past the lease: the others take over, and what wakes up finds nothing to do.
        let zombie = self.victim();
        self.cluster.pause(zombie);
        let status = self.cluster.wait_status("the others take over", |status| {
            let workers = status["workers"].as_array();
            workers.is_some_and(|workers| workers.len() == 2)
        });
        assert!(
            !status.to_string().contains(&self.cluster.id(zombie)),
            "{status}"
        );
        self.wait_progress();
        self.cluster.resume(zombie);
        self.cluster.wait_members(3);
        self.wait_progress();

        // A rolling restart without static members, one worker more, one for good less.
        for number in 0..3 {
            let ended = self.cluster.worker(number).stop();
            assert_eq!(ended.code(), Some(0));
            self.cluster.worker(number).start_again();
            self.cluster.wait_members(3);
        }
        let added = self.cluster.add();
        self.cluster.wait_balanced(4, 12);
        let id = self.cluster.id(added);
        self.cluster
            .rest(0)
            .delete(&format!("/cluster/workers/{id}"))
            .expect(202);
        assert_eq!(self.cluster.worker(added).wait_ended().code(), Some(0));
        self.cluster.wait_balanced(3, 12);
        self.wait_progress();

        // Fewer tasks while a zombie holds the old ones.
        let zombie = self.victim();
        self.cluster.pause(zombie);
        self.source["tasks.max"] = json!("4");
        let source = self.source.clone();
        let cluster = &self.cluster;
        let asked = (0..3).find(|number| *number != zombie).unwrap_or(0);
        wait_until("the configuration is taken", LIMIT, || {
            let answer = cluster
                .rest(asked)
                .put("/connectors/numbers/config", &source);
            answer.status == 200
        });
        self.cluster
            .wait_status("the zombie is given up", |status| {
                status["workers"].as_array().map(Vec::len) == Some(2)
            });
        self.wait_progress();
        self.cluster.resume(zombie);
        self.cluster.wait_balanced(3, 8);
        self.cluster.wait_running("numbers", 4);
        self.wait_progress();
    }

    /// Stops the source and waits for the sink; answers what is in the topic.
    fn finish(&self) -> Streams {
        let rest = self.cluster.rest(0);
        rest.call("PUT", "/connectors/numbers/stop").expect(204);
        rest.wait_for_status("numbers", "STOPPED", |status| {
            status["connector"]["state"] == "STOPPED" && status["tasks"] == json!([])
        });
        // A worker answers when it has read the change; its tasks end in their graceful time.
        wait_until("all tasks have ended", LIMIT, || {
            let before = self.cluster.kafka().count(&self.topic);
            wait_or_give_up(SESSION / 2, || None::<()>);
            self.cluster.kafka().count(&self.topic) == before
        });
        let count = "SELECT count(*) FROM items";
        wait_until("the sink has everything", LIMIT * 2, || {
            self.target
                .number(count)
                .is_some_and(|rows| rows >= ITEMS as i64)
        });
        let rows = self.target.rows("SELECT id, name FROM items");
        ItemCount::of(ITEMS, rows).assert_exact();
        Streams::read(&self.cluster.kafka(), &self.topic)
    }
}

/// At-least-once sources lose nothing; a sink with a ledger stays exact all the same.
#[test]
fn nothing_is_lost_whatever_happens_to_workers() {
    let mut load = Load::start(&Broker::shared().bootstrap(), 1, "load", false);
    load.suffer();
    load.finish().assert_complete(STREAMS);
}

/// Exactly-once sources neither lose nor repeat anything that read_committed sees (D8).
#[test]
fn exactly_once_sources_repeat_nothing_whatever_happens_to_workers() {
    let mut load = Load::start(&Broker::shared().bootstrap(), 1, "exact", true);
    load.suffer();
    load.finish().assert_exact(STREAMS);
}

/// Three brokers with replication: one is killed, whatever it led and coordinated, and a worker with it;
/// then another one.
#[test]
fn a_lost_broker_of_three_costs_nothing() {
    let mut brokers = Brokers::start();
    let mut load = Load::start(&brokers.bootstrap(), 3, "replicated", true);
    load.wait_progress();
    for number in 0..2 {
        brokers.kill(number);
        let victim = load.victim();
        load.cluster.worker(victim).kill();
        load.cluster.wait_members(2);
        load.wait_progress();
        load.cluster.worker(victim).start_again();
        load.cluster.wait_members(3);
        brokers.start_again(number);
    }
    load.cluster.wait_running("numbers", 8);
    load.wait_progress();
    load.finish().assert_exact(STREAMS);
}
