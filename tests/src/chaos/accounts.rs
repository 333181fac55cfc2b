//! What has to be true after a storm.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::World;
use super::pipelines::{LINES, Table, line};
use crate::wait::{wait_or_give_up, wait_until};

/// For everything to arrive once it is calm: longest pauses between attempts included.
const LIMIT: Duration = Duration::from_secs(240);

impl World {
    /// Panics with what is missing, doubled or failed.
    pub(super) fn account(&mut self) {
        let written = self.lines.written();
        let last = self.wait_for_lines(written);
        for n in 0..written {
            assert!(
                last.contains_key(&line(n)),
                "line {n} of {written} is not in the topic"
            );
        }
        let foreign: Vec<_> = last.keys().filter(|text| !is_line(text, written)).collect();
        assert!(foreign.is_empty(), "nobody wrote {foreign:?}");
        self.wait_for_file(&last);
        let tables = std::mem::take(&mut self.tables);
        for table in &tables {
            self.account_table(table, &last);
        }
        wait_until("every record of every topic is in the file", LIMIT, || {
            self.recreated.missing() == 0
        });
        for name in ["lines", "file", "again", "Sqlite", "Postgres"] {
            self.worker.rest().wait_for_state(name, "RUNNING");
            let status = self
                .worker
                .rest()
                .get(&format!("/connectors/{name}/status"))
                .body;
            assert!(!status.to_string().contains("FAILED"), "{status}");
        }
    }

    /// Rows are the records of the topic, one for one.
    fn account_table(&mut self, table: &Table, records: &BTreeMap<String, usize>) {
        let wanted: i64 = records.values().map(|count| *count as i64).sum();
        let rows = || table.target.number("SELECT count(*) FROM items");
        if wait_or_give_up(LIMIT, || (rows() == Some(wanted)).then_some(())).is_none() {
            self.tell();
            panic!("{}: {:?} rows of {wanted} records", table.name, rows());
        }
        let mut stored: BTreeMap<String, usize> = BTreeMap::new();
        for (id, _) in table.target.rows("SELECT id, name FROM items") {
            *stored.entry(line(id)).or_default() += 1;
        }
        assert!(
            stored == *records,
            "{}: rows and records differ",
            table.name
        );
    }

    /// How often each line is in the topic, once all are.
    fn wait_for_lines(&mut self, written: usize) -> BTreeMap<String, usize> {
        let kafka = self.broker.client();
        let mut count = BTreeMap::new();
        let all = wait_or_give_up(LIMIT, || {
            // Counting is dear: first there have to be enough, and no more may come.
            let before = kafka.count(LINES);
            if (before as usize) < written {
                return None;
            }
            count = BTreeMap::new();
            kafka.read_each(LINES, |record| {
                use rdkafka::Message;
                let text = String::from_utf8_lossy(record.payload().unwrap_or_default());
                *count.entry(text.into_owned()).or_default() += 1;
            });
            (count.len() >= written && kafka.count(LINES) == before).then_some(())
        });
        if all.is_none() {
            self.tell();
            panic!("{} of {written} lines are in the topic", count.len());
        }
        count
    }

    fn wait_for_file(&mut self, records: &BTreeMap<String, usize>) {
        let mut missing = Vec::new();
        let all = wait_or_give_up(LIMIT, || {
            let text = fs::read_to_string(&self.lines.output).unwrap_or_default();
            let there: std::collections::BTreeSet<&str> = text.lines().collect();
            missing = records
                .keys()
                .filter(|line| !there.contains(line.as_str()))
                .cloned()
                .collect();
            missing.is_empty().then_some(())
        });
        if all.is_none() {
            self.tell();
            panic!(
                "{} lines are not in the file, such as {:?}",
                missing.len(),
                missing.first()
            );
        }
        // A crash may leave half a line; the sink cuts it off when it starts.
        let text = fs::read_to_string(&self.lines.output).unwrap();
        let broken: Vec<&str> = text
            .lines()
            .filter(|line| !records.contains_key(*line))
            .collect();
        assert!(broken.is_empty(), "broken lines in the file: {broken:?}");
    }

    fn tell(&mut self) {
        eprintln!("{}", self.worker.process().log_tail());
        eprintln!(
            "{:#}",
            self.worker.rest().get("/connectors?expand=status").body
        );
    }
}

fn is_line(text: &str, written: usize) -> bool {
    let number = text
        .strip_prefix("{\"id\":")
        .and_then(|rest| rest.split(',').next());
    number
        .and_then(|n| n.parse().ok())
        .is_some_and(|n: usize| n < written && line(n) == text)
}
