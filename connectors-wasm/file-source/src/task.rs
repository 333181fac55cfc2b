//! The connector: what it says about itself, and the work of a task.

use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::plan;
use crate::tail::Tail;

/// Rest between two looks at files without news: at first, and at most.
const SHORT_REST: Duration = Duration::from_millis(20);
const LONG_REST: Duration = Duration::from_secs(1);
/// How often files that match a pattern are looked for.
const REPLAN: Duration = Duration::from_secs(30);
/// Room for lines of this size is made beforehand.
const USUAL_LINE: usize = 128;

/// One task: the files it reads.
#[derive(Debug)]
pub struct FileSource {
    topic: String,
    batch_size: usize,
    tails: Vec<Tail>,
    /// The file that is read first by the next poll: each in turn, so that none starves.
    first: usize,
    rest: Duration,
}

impl Connector for FileSource {
    type Config = Config;

    fn describe() -> Description {
        Description::new("file-source", env!("CARGO_PKG_VERSION"))
            .documentation("Reads text files line by line and follows them while they grow.")
            .alias("FileStreamSource")
            .alias("FileStreamSourceConnector")
            .alias("org.apache.kafka.connect.file.FileStreamSourceConnector")
            .reads_files("file")
            .reads_files("rotated.files")
            .exactly_once()
            .replan_every(REPLAN)
    }

    fn validate(config: &Config) -> Vec<Issue> {
        if config.file.is_empty() {
            return vec![Issue::new("file", "file names no file, set it to a path")];
        }
        Vec::new()
    }

    fn plan(request: &PlanRequest<'_, Config>) -> Result<Vec<RawConfig>> {
        plan::tasks(request)
    }

    fn alter_offsets(_: &Config, offsets: &[(Partition, Option<Offset>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            if partition.str("filename").is_none() {
                let message = format!(
                    "partition {partition} has no filename, give it one: {{\"filename\":\"...\"}}"
                );
                return Err(Failure::fatal(message));
            }
            if let Some(offset) = offset
                && offset.u64("position").is_none()
            {
                let message = format!(
                    "offset {offset} has no position of 0 or more, give it one: {{\"position\":0}}"
                );
                return Err(Failure::fatal(message));
            }
        }
        Ok(true)
    }
}

impl SourceTask for FileSource {
    fn start(config: Config, _: &TaskContext, positions: &Positions) -> Result<Self> {
        let mut tails = Vec::new();
        for path in config.files()? {
            let partition = Partition::new().with("filename", path.as_str());
            let stored = positions.offset(&partition);
            let rotated = config.rotated_files.clone();
            tails.push(Tail::new(path, stored, rotated, config.line_max_bytes));
        }
        Ok(Self {
            topic: config.topic,
            batch_size: config.batch_size,
            tails,
            first: 0,
            rest: SHORT_REST,
        })
    }

    fn poll(&mut self, limits: Limits) -> Result<Poll> {
        let max_records = limits.max_records.min(self.batch_size);
        let limits = Limits {
            max_records,
            ..limits
        };
        let expected = limits.max_bytes.min(max_records.saturating_mul(USUAL_LINE));
        let mut records = Records::with_capacity(&self.topic, max_records, expected).of_strings();
        let first = self.first.min(self.tails.len());
        let mut busy = false;
        let (before, from_first) = self.tails.split_at_mut(first);
        for tail in from_first.iter_mut().chain(before) {
            if records.len() >= limits.max_records || records.bytes() >= limits.max_bytes {
                break;
            }
            busy |= tail.read(&mut records, limits)?;
        }
        self.first = (self.first + 1).checked_rem(self.tails.len()).unwrap_or(0);
        if records.says_nothing() {
            if busy {
                return Ok(Poll::Idle(Duration::ZERO));
            }
            let rest = self.rest;
            self.rest = (rest * 2).min(LONG_REST);
            return Ok(Poll::Idle(rest));
        }
        self.rest = SHORT_REST;
        Ok(records.into())
    }
}
