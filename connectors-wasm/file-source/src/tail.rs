//! One file that is read and followed.
//!
//! At its end the open file is compared with what its path names now. The same file but shorter:
//! it was truncated and is read from the start. Another file: it was rotated; the old one stays
//! open for one more round, because its writer may not have noticed, and then the new one is
//! read from its start.

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom};

use tidegate_sdk::prelude::*;

use crate::identity::{self, Identity};
use crate::lines::{self, Lines};

/// One file and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: String,
    partition: Partition,
    /// Where the first line that was not emitted begins.
    position: u64,
    /// The position of the last checkpoint.
    reported: Option<u64>,
    open: Option<Open>,
    lines: Lines,
    max_line: usize,
    /// The path named another file the last time we looked.
    leaving: bool,
    /// That the path names nothing was said.
    missed: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Option<Identity>,
}

/// What looking for more bytes brought.
enum Found {
    Bytes,
    Nothing,
}

impl Tail {
    /// Follows `path` from `position` on.
    pub fn new(path: String, position: Option<u64>, max_line: usize) -> Self {
        Self {
            partition: Partition::new().with("filename", path.as_str()),
            path,
            position: position.unwrap_or(0),
            reported: position,
            open: None,
            lines: Lines::default(),
            max_line,
            leaving: false,
            missed: false,
        }
    }

    /// Adds new lines to `records`, and the position behind them.
    pub fn read(&mut self, records: &mut Records, limits: Limits) -> Result<()> {
        loop {
            self.position += self.lines.take(records, limits) as u64;
            let full = records.len() >= limits.max_records || records.bytes() >= limits.max_bytes;
            if full || self.ends_line() || matches!(self.look(records)?, Found::Nothing) {
                break;
            }
        }
        if self.reported != Some(self.position) && (self.position > 0 || self.reported.is_some()) {
            records.checkpoint(&self.partition, &Offset::new().with("position", self.position));
            self.reported = Some(self.position);
        }
        Ok(())
    }

    /// Whether a whole line waits that did not fit into the batch.
    fn ends_line(&self) -> bool {
        memchr::memchr(b'\n', self.lines.waiting()).is_some()
    }

    fn look(&mut self, records: &mut Records) -> Result<Found> {
        if self.lines.waiting().len() > self.max_line {
            return Err(Failure::fatal(format!(
                "the line at position {} of {} is longer than line.max.bytes ({}), raise it or exclude the file",
                self.position, self.path, self.max_line
            )));
        }
        if self.open.is_none() && !self.open()? {
            return Ok(Found::Nothing);
        }
        let Some(open) = &mut self.open else { return Ok(Found::Nothing) };
        let read = self.lines.fill(&mut open.file).or_fail(format!("read {}", self.path))?;
        if read > 0 {
            return Ok(Found::Bytes);
        }
        self.lines.rest();
        self.compare(records)
    }

    /// Opens the path at the position; false: it names nothing yet.
    fn open(&mut self) -> Result<bool> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.miss("does not exist");
                return Ok(false);
            }
            Err(error) => {
                return Err(Failure::from(error)
                    .context(format!("open {} (check its permissions and that the connector was granted its directory)", self.path)));
            }
        };
        let metadata = file.metadata().or_fail(format!("look at {}", self.path))?;
        if self.position > metadata.len() {
            log::warn!("{} is shorter than position {}, reading it from the start", self.path, self.position);
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position)).or_fail(format!("seek in {}", self.path))?;
        self.open = Some(Open { file, identity: identity::of(&metadata) });
        self.missed = false;
        self.leaving = false;
        Ok(true)
    }

    /// At the end of the open file: is it still the file that the path names?
    fn compare(&mut self, records: &mut Records) -> Result<Found> {
        let named = match fs::metadata(&self.path) {
            Ok(named) => named,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.miss("is gone");
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(Failure::from(error).context(format!("look at {}", self.path))),
        };
        self.missed = false;
        let known = self.open.as_ref().and_then(|open| open.identity);
        if identity::of(&named) != known {
            if !self.leaving {
                self.leaving = true;
                return Ok(Found::Nothing);
            }
            log::info!("{} was rotated, reading the new file", self.path);
            // The old file is complete, so what stands behind its last line end is a line too.
            if !self.lines.waiting().is_empty() {
                lines::push(records, self.lines.waiting());
            }
            self.restart();
            return Ok(Found::Bytes);
        }
        self.leaving = false;
        if named.len() < self.position + self.lines.waiting().len() as u64 {
            log::warn!("{} was truncated, reading it from the start", self.path);
            self.restart();
            return Ok(Found::Bytes);
        }
        Ok(Found::Nothing)
    }

    fn restart(&mut self) {
        self.open = None;
        self.position = 0;
        self.leaving = false;
        self.lines.clear();
    }

    fn miss(&mut self, how: &str) {
        if !self.missed {
            log::warn!("{} {how}, waiting for it", self.path);
            self.missed = true;
        }
    }
}
