//! One file that is read and followed.
//!
//! At its end the open file is compared with what its path names now. The same file, shorter: it
//! was truncated and is read from the start. Another file: it was rotated; the old one stays open
//! for a moment, because its writer may not have noticed, and then the new one is read from its
//! start. What is not seen: a file that was truncated and written past the old position
//! between two looks, and a rotation while nothing ran (an offset is a position, not a file).

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::time::Instant;

use tidegate_sdk::prelude::*;

use crate::identity::Seen;
use crate::lines::{self, Lines};

/// How long a rotated file is still read before the new one.
const GRACE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1000 });

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
    /// That the path names nothing was said.
    missed: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    seen: Seen,
    /// The last read brought nothing.
    at_end: bool,
    /// Since when the path names another file.
    left: Option<Instant>,
}

/// What looking for more bytes brought.
#[derive(PartialEq, Eq)]
enum Found {
    /// Something: try to take lines again.
    News,
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
            missed: false,
        }
    }

    /// Adds new lines to `records`, and the position behind them.
    pub fn read(&mut self, records: &mut Records, limits: Limits) -> Result<()> {
        loop {
            self.position += self.lines.take(records, limits);
            let full = records.len() >= limits.max_records || records.bytes() >= limits.max_bytes;
            if full || self.lines.has_line() || self.look(records)? == Found::Nothing {
                break;
            }
        }
        if self.position != self.reported.unwrap_or(0) {
            records.checkpoint(
                &self.partition,
                &Offset::new().with("position", self.position),
            );
            self.reported = Some(self.position);
        }
        Ok(())
    }

    /// Reads on, after all lines were taken.
    fn look(&mut self, records: &mut Records) -> Result<Found> {
        if self.lines.waiting().len() > self.max_line {
            return Err(Failure::fatal(format!(
                "the line at position {} of {} is longer than line.max.bytes ({}), raise that or leave the file out",
                self.position, self.path, self.max_line
            )));
        }
        if !self.is_open()? {
            return Ok(Found::Nothing);
        }
        let end = self.end();
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        // The cheap look of an idle file: nothing is read, nothing is allocated.
        let idle = |now: Seen| now.same_file(&open.seen) && now.length == end;
        if open.at_end && Seen::at(&self.path).is_ok_and(idle) {
            open.left = None;
            return Ok(Found::Nothing);
        }
        if open.at_end {
            // A WASI stream that met the end stays there; a seek makes a new one.
            open.file
                .seek(SeekFrom::Start(end))
                .or_fail(format!("seek in {}", self.path))?;
        }
        let read = self
            .lines
            .fill(&mut open.file)
            .or_fail(format!("read {}", self.path))?;
        open.at_end = read == 0;
        if read > 0 {
            return Ok(Found::News);
        }
        self.lines.rest();
        self.compare(records)
    }

    /// At the end of the open file: is it still the file that the path names?
    fn compare(&mut self, records: &mut Records) -> Result<Found> {
        let now = match Seen::at(&self.path) {
            Ok(now) => now,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.miss("is gone");
                return Ok(Found::Nothing);
            }
            Err(error) => {
                return Err(Failure::from(error).context(format!("look at {}", self.path)));
            }
        };
        self.missed = false;
        let end = self.end();
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        if now.same_file(&open.seen) {
            open.left = None;
            if now.length >= end {
                return Ok(Found::Nothing);
            }
            log::warn!("{} was truncated, reading it from the start", self.path);
        } else {
            if open.left.get_or_insert_with(Instant::now).elapsed() < GRACE {
                return Ok(Found::Nothing);
            }
            log::info!("{} was rotated, reading the new file", self.path);
            // The old file is complete, so what stands behind its last line end is a line too.
            if !self.lines.waiting().is_empty() {
                lines::push(records, self.lines.waiting());
            }
        }
        self.open = None;
        self.position = 0;
        self.lines = Lines::default();
        Ok(Found::News)
    }

    /// Opens the path at the position unless it is open; false: it names nothing yet.
    fn is_open(&mut self) -> Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // To a guest both look the same.
                self.miss("does not exist or its directory is not granted");
                return Ok(false);
            }
            Err(error) => {
                let doing = format!("open {} (check who may read it)", self.path);
                return Err(Failure::from(error).context(doing));
            }
        };
        let seen = Seen::of(&file).or_fail(format!("look at {}", self.path))?;
        if self.position > seen.length {
            log::warn!(
                "{} is shorter than position {}, reading it from the start",
                self.path,
                self.position
            );
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position))
            .or_fail(format!("seek in {}", self.path))?;
        self.open = Some(Open {
            file,
            seen,
            at_end: false,
            left: None,
        });
        self.missed = false;
        Ok(true)
    }

    /// How far the open file was read.
    fn end(&self) -> u64 {
        self.position + self.lines.waiting().len() as u64
    }

    fn miss(&mut self, how: &str) {
        if !self.missed {
            log::warn!("{} {how}, waiting for it", self.path);
            self.missed = true;
        }
    }
}
