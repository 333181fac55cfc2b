//! `bench sql`: JSON rows of a topic into a PostgreSQL table, inserted and upserted, beside Debezium's
//! JDBC sink on Kafka Connect, with the same configuration.

use std::time::{Duration, Instant};

use tidegate_tests::broker::Broker;
use tidegate_tests::meter::Meter;
use tidegate_tests::postgres::{PASSWORD, Postgres, USER};
use tidegate_tests::postgres_client::PostgresClient;
use tidegate_tests::rest::Rest;
use tidegate_tests::wait::wait_until;
use tidegate_tests::worker::Worker;

use crate::connect::Connect;
use crate::report::{self, Figures, Row};
use crate::sql_bare::{self, Job, Mode};
use crate::{Options, rows, say};

const LIMIT: Duration = Duration::from_secs(900);
const PARTITIONS: i32 = 4;
/// What makes Debezium's sink fastest here: rows of a statement, records of a poll, and the heap.
const JDBC_BATCH: &str = "3000";
const JDBC_HEAP: &str = "2g";

struct Bench {
    broker: Broker,
    server: Postgres,
    database: String,
    client: PostgresClient,
    records: usize,
}

enum Subject {
    Tidegate(Box<Worker>),
    Connect(Connect),
    Native,
    Bare,
}

/// Measures and prints.
pub fn run(options: &Options) {
    say("starting Kafka and PostgreSQL");
    let bench = Bench::start(options.records);
    let mut subjects = Vec::new();
    if options.wants("tidegate") {
        let worker = Worker::setup(&bench.broker)
            .set("offset.flush.interval.ms", "1000")
            .start();
        worker.rest().upload_guests(&["sql-sink"]);
        subjects.push(Subject::Tidegate(Box::new(worker)));
    }
    if options.wants("native") {
        subjects.push(Subject::Native);
    }
    if options.wants("bare") {
        subjects.push(Subject::Bare);
    }
    if options.wants("connect") {
        let mut connect =
            Connect::with_plugins(&bench.broker.bootstrap(), "jdbc-plugins", JDBC_HEAP);
        connect.launch(&[]);
        connect.wait_ready();
        subjects.push(Subject::Connect(connect));
    }
    let mut table = Vec::new();
    for mode in [Mode::Insert, Mode::Upsert] {
        table.extend(bench.alternate(mode, &mut subjects, options.runs));
    }
    println!(
        "\n{} JSON rows with schema, topic of {PARTITIONS} partitions to one table, one task\n",
        options.records
    );
    report::throughput(&table, options.records);
}

impl Bench {
    fn start(records: usize) -> Self {
        let broker = Broker::start();
        let server = Postgres::start_durable();
        let database = server.create_database();
        say(&format!("writing {records} rows"));
        broker.client().create_topic(rows::TOPIC, PARTITIONS);
        rows::produce(&broker.bootstrap(), records);
        Self {
            client: PostgresClient::new(server.port(), &database, USER, PASSWORD),
            broker,
            server,
            database,
            records,
        }
    }

    /// One run of each subject after the other, so that a busy minute hits all of them alike.
    fn alternate(&self, mode: Mode, subjects: &mut [Subject], runs: usize) -> Vec<Row> {
        let row = |subject: &Subject| Row {
            case: mode.word().to_owned(),
            subject: subject.name(),
            runs: Vec::new(),
        };
        let mut table: Vec<Row> = subjects.iter().map(row).collect();
        for run in 0..=runs {
            for (subject, row) in subjects.iter_mut().zip(&mut table) {
                say(&format!(
                    "{}: {}, run {run} (0 warms up)",
                    mode.word(),
                    row.subject
                ));
                let figures = self.measure(mode, subject, run);
                if run > 0 {
                    row.runs.push(figures);
                }
            }
        }
        table
    }

    fn measure(&self, mode: Mode, subject: &mut Subject, run: usize) -> Figures {
        let table = format!("{}_{}_{run}", subject.name(), mode.word());
        self.client.execute(&rows::create(&table));
        let figures = match subject {
            Subject::Native => sql_bare::run("sql-native", &self.job(mode, &table)),
            Subject::Bare => sql_bare::run("sql-bare", &self.job(mode, &table)),
            Subject::Tidegate(worker) => {
                let pid = worker.process().pid();
                self.through_connector(mode, &worker.rest(), pid, &table, &[])
            }
            Subject::Connect(connect) => {
                let tuned = [
                    ("batch.size", JDBC_BATCH),
                    ("use.reduction.buffer", "true"),
                    ("consumer.override.max.poll.records", JDBC_BATCH),
                    ("consumer.override.fetch.min.bytes", "1048576"),
                    ("consumer.override.max.partition.fetch.bytes", "10485760"),
                ];
                self.through_connector(mode, &connect.rest(), connect.pid(), &table, &tuned)
            }
        };
        let found = self.number(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(found, self.records, "{table}");
        self.client
            .execute(&format!("DROP TABLE {table}; CHECKPOINT"));
        figures
    }

    fn number(&self, sql: &str) -> usize {
        let number: i64 = self.client.try_rows(sql).expect("a server")[0].get(0);
        number as usize
    }

    fn job(&self, mode: Mode, table: &str) -> Job {
        Job {
            mode,
            bootstrap: self.broker.bootstrap(),
            database: format!(
                "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{}?sslmode=disable",
                self.server.port(),
                self.database
            ),
            table: table.to_owned(),
            records: self.records,
        }
    }

    fn through_connector(
        &self,
        mode: Mode,
        rest: &Rest,
        pid: u32,
        table: &str,
        tuned: &[(&str, &str)],
    ) -> Figures {
        let url = format!(
            "{}?sslmode=disable&reWriteBatchedInserts=true",
            self.server.url(&self.database)
        );
        let mut config = vec![
            (
                "connector.class",
                "io.debezium.connector.jdbc.JdbcSinkConnector",
            ),
            ("topics", rows::TOPIC),
            ("tasks.max", "1"),
            ("connection.url", &url),
            ("connection.username", USER),
            ("connection.password", PASSWORD),
            ("insert.mode", mode.word()),
            ("primary.key.mode", "record_value"),
            ("primary.key.fields", "id"),
            ("schema.evolution", "none"),
            ("collection.name.format", table),
            (
                "value.converter",
                "org.apache.kafka.connect.json.JsonConverter",
            ),
            ("value.converter.schemas.enable", "true"),
        ];
        config.extend(tuned);
        let meter = Meter::start(pid);
        let start = Instant::now();
        rest.create(table, &config);
        // The highest number comes near the end; only then is it worth the server's time to count.
        // (Its statistics would tell up to ten seconds late.)
        let highest = format!("SELECT coalesce(max(id), 0)::bigint FROM {table}");
        let count = format!("SELECT count(*) FROM {table}");
        wait_until("all rows are there", LIMIT, || {
            std::thread::sleep(Duration::from_millis(50));
            self.number(&highest) + 1 >= self.records && self.number(&count) >= self.records
        });
        let figures = Figures {
            seconds: start.elapsed().as_secs_f64(),
            cpu_seconds: meter.cpu_seconds(),
            peak_mib: meter.peak_mib(),
        };
        rest.delete(&format!("/connectors/{table}")).expect(204);
        wait_until("the connector is gone", LIMIT, || {
            rest.get(&format!("/connectors/{table}/status")).status == 404
        });
        figures
    }
}

impl Subject {
    fn name(&self) -> &'static str {
        match self {
            Self::Tidegate(_) => "tidegate",
            Self::Connect(_) => "connect",
            Self::Native => "native",
            Self::Bare => "bare",
        }
    }
}
