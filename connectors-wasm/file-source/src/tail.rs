//! One file that is read and followed.
//!
//! What is followed is a file, not a path. At its end the open file is compared with what its path
//! names now. The same file, with other contents: it was truncated or rewritten. Another file: it was
//! rotated; the old one stays open for a moment, because its writer may not have noticed, and then the
//! next one is read from its start. Which that is, and where the file of a stored position went while
//! nothing ran, `search.rs` finds out.

use std::io::{Seek, SeekFrom};
use std::time::Instant;

use tidegate_sdk::prelude::*;

use crate::contents::{self, TAIL_BYTES};
use crate::identity::{FileId, Seen};
use crate::late::Late;
use crate::lines::{self, Lines};
use crate::open::Open;
use crate::place::{Newest, Place};
use crate::rotated::Neighbours;
use crate::search::{self, Next, Wanted};

/// How long a rotated file is still read before the new one.
const GRACE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1000 });

/// How much of a line that is too long is given up in one poll: a call has a limit of CPU time.
const GIVE_UP_BYTES: u64 = 16 << 20;

/// One file and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: String,
    partition: Partition,
    neighbours: Neighbours,
    /// What to open next.
    wanted: Wanted,
    open: Option<Open>,
    /// The file that was read before, if it may still grow.
    late: Option<Late>,
    /// Where the first line that was not emitted begins.
    position: u64,
    newest: Newest,
    /// The file and the position of the last checkpoint.
    reported: Option<(FileId, u64)>,
    lines: Lines,
    /// The beginning of a line that is too long, if there is one.
    given_up: Option<GivenUp>,
    max_line: usize,
    /// That the path names nothing was said.
    missed: bool,
}

/// A line that is too long to hold, and has no end yet.
#[derive(Debug)]
struct GivenUp {
    bytes: u64,
    /// What stands before it.
    before: Vec<u8>,
}

/// What looking for more bytes brought.
#[derive(PartialEq, Eq)]
enum Found {
    /// Something: try to take lines again.
    News,
    Nothing,
}

impl Tail {
    /// Follows `path` from what was stored for it on. `rotated`: a pattern of what its rotation leaves.
    pub fn new(
        path: String,
        stored: Option<&Offset>,
        rotated: Option<String>,
        max_line: usize,
    ) -> Self {
        Self {
            partition: Partition::new().with("filename", path.as_str()),
            neighbours: Neighbours::of(&path, rotated),
            path,
            wanted: stored.map_or(Wanted::Start, |offset| {
                Wanted::Behind(Place::from_offset(offset))
            }),
            open: None,
            late: None,
            position: 0,
            newest: Newest::default(),
            reported: None,
            lines: Lines::default(),
            given_up: None,
            max_line,
            missed: false,
        }
    }

    /// Adds new lines to `records`, and the position behind them. Answers whether there is more to do,
    /// even without a record.
    pub fn read(&mut self, records: &mut Records, limits: Limits) -> Result<bool> {
        let given_up_before = self.given_up();
        let mut busy;
        loop {
            self.take(records, limits);
            busy = self.given_up() >= given_up_before.saturating_add(GIVE_UP_BYTES);
            if busy {
                break;
            }
            let full = records.len() >= limits.max_records || records.bytes() >= limits.max_bytes;
            if full || self.lines.has_line() || self.look(records)? == Found::Nothing {
                break;
            }
        }
        if let Some(late) = &mut self.late
            && !late
                .read(records)
                .or_fail(format!("read what was before {}", self.path))?
        {
            self.late = None;
        }
        self.report(records);
        Ok(busy)
    }

    fn take(&mut self, records: &mut Records, limits: Limits) {
        if let Some(given_up) = self.given_up.take() {
            let Some(rest) = self.lines.give_up_line() else {
                self.given_up = Some(given_up);
                return;
            };
            let bytes = given_up.bytes + rest;
            self.refuse(records, self.position, bytes);
            self.position += bytes;
        }
        let taken = self.lines.take(records, limits, self.max_line);
        for (start, bytes) in taken.too_long {
            self.refuse(records, self.position + start, bytes);
        }
        self.position += taken.bytes;
    }

    /// The position, if it is another one than last time.
    fn report(&mut self, records: &mut Records) {
        let Some(open) = &self.open else {
            return;
        };
        let now = (open.seen.file, self.position);
        if self.reported != Some(now) {
            let place = self.place(open);
            records.checkpoint(&self.partition, &place.to_offset());
            self.reported = Some(now);
        }
    }

    /// A line that is too long is a record that cannot be handled, and the next one may be fine.
    fn refuse(&self, records: &mut Records, position: u64, bytes: u64) {
        records.refuse(format!(
            "the line at position {position} of {} has {bytes} bytes, more than line.max.bytes ({}): \
             raise that, or have it skipped with errors.tolerance=all",
            self.path, self.max_line
        ));
    }

    /// Reads on, after all lines were taken.
    fn look(&mut self, records: &mut Records) -> Result<Found> {
        if self.given_up.is_some() || self.lines.waiting().len() > self.max_line {
            let before = self.lines.before().to_vec();
            let line = self.given_up.get_or_insert(GivenUp { bytes: 0, before });
            line.bytes += self.lines.give_up();
        }
        if !self.is_open(records)? {
            return Ok(Found::Nothing);
        }
        let end = self.end();
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        let was_at_end = open.at_end;
        if was_at_end {
            // The cheap look of an idle file: nothing is read.
            let now = search::open_path(&self.path)?.map(|found| found.seen);
            if now.is_some_and(|now| now == open.seen && now.length == end) {
                open.left = None;
                return Ok(Found::Nothing);
            }
            // A WASI stream that met the end stays there; a seek makes a new one.
            open.file
                .seek(SeekFrom::Start(end))
                .or_fail(format!("seek in {}", open.path))?;
        }
        let read = self
            .lines
            .fill(&mut open.file)
            .or_fail(format!("read {}", open.path))?;
        open.at_end = read == 0;
        if read > 0 {
            // An empty file looks the same after everything that was written into it went elsewhere.
            let nothing_seen = open.seen.length == 0;
            let check = was_at_end || open.is_unsure();
            if nothing_seen || (check && !self.is_as_it_was()?) {
                self.lose_track();
            }
            return Ok(Found::News);
        }
        self.lines.rest();
        self.compare(records)
    }

    /// Whether the contents before the position are still what was read; remembers if so.
    fn is_as_it_was(&mut self) -> Result<bool> {
        let end = self.end();
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        let doing = format!("look at {}", open.path);
        let now = Seen::of(&open.file).or_fail(&doing)?;
        if !open.is_as_it_was(now).or_fail(&doing)? {
            return Ok(false);
        }
        open.seen = now;
        self.newest.see(now.modified_ns);
        let before = self
            .given_up
            .as_ref()
            .map_or(self.lines.before(), |line| &line.before);
        open.sure = open.place(self.position, before, &self.newest);
        open.sure_end = end.min(now.length);
        Ok(true)
    }

    /// The file was truncated or rewritten: reads on behind the last place that was sure, wherever that
    /// is now.
    fn lose_track(&mut self) {
        if let Some(open) = self.open.take() {
            let is_sure = self.position <= open.sure_end;
            let place = if is_sure {
                self.place(&open)
            } else {
                open.sure
            };
            self.wanted = Wanted::Behind(place);
        }
        self.lines = Lines::default();
        self.given_up = None;
    }

    /// At the end of the open file: is it still the file that the path names, and as it was?
    fn compare(&mut self, records: &mut Records) -> Result<Found> {
        let now = search::open_path(&self.path)?.map(|found| found.seen);
        let Some(open) = &mut self.open else {
            return Ok(Found::Nothing);
        };
        if now.is_some_and(|now| now.file == open.seen.file) {
            self.missed = false;
            open.left = None;
            if self.is_as_it_was()? {
                return Ok(Found::Nothing);
            }
            self.lose_track();
            return Ok(Found::News);
        }
        let found_elsewhere = open.path != self.path;
        if now.is_none() && !found_elsewhere {
            self.miss("is gone");
            return Ok(Found::Nothing);
        }
        if open.left.get_or_insert_with(Instant::now).elapsed() < GRACE {
            return Ok(Found::Nothing);
        }
        self.leave(records)
    }

    /// The open file is complete: goes on with the one after it, if that is there.
    fn leave(&mut self, records: &mut Records) -> Result<Found> {
        // What was written into it in the last moment counts as well.
        if !self.is_as_it_was()? {
            self.lose_track();
            return Ok(Found::News);
        }
        let Some(open) = &self.open else {
            return Ok(Found::Nothing);
        };
        self.newest.finish(open.seen.file, open.seen.modified_ns);
        let left = self.place(open);
        let removed = open.is_removed();
        let wanted = Wanted::After(left);
        let Some(next) = search::next(&self.path, &self.neighbours, &wanted)? else {
            self.miss("is gone");
            return Ok(Found::Nothing);
        };
        let how = if removed { "replaced" } else { "rotated" };
        log::info!("{} was {how}, going on with {}", open.path, next.found.path);
        // The old file is complete, so what stands behind its last line end is a line too.
        if next.position == 0 && self.given_up.is_none() {
            let rest = self.lines.waiting();
            let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
            if !self.lines.waiting().is_empty() {
                lines::push(records, rest);
            }
        }
        // By the position before, the new file could be found, but not the old one for ever: it may be
        // compressed or removed any moment.
        records.store_soon();
        let end = self.end();
        let left = self.open.take().filter(|_| !removed);
        self.late = left.map(|open| Late::new(open.file, open.path, end));
        self.enter(next)?;
        Ok(Found::News)
    }

    /// Opens what is wanted next; false: it is not there yet, or not to be read yet.
    fn is_open(&mut self, records: &mut Records) -> Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        match search::next(&self.path, &self.neighbours, &self.wanted)? {
            Some(next) => {
                records.store_soon();
                self.enter(next)?;
                // A file that nothing was stored of is stored before anything is read of it: whatever
                // happens then, it will be found by that.
                Ok(!matches!(self.wanted, Wanted::Start))
            }
            None => {
                // To a guest both look the same.
                self.miss("does not exist or its directory is not granted");
                Ok(false)
            }
        }
    }

    /// Begins to read a file.
    fn enter(&mut self, next: Next) -> Result<()> {
        let Next {
            mut found,
            position,
            mut newest,
        } = next;
        let doing = format!("read {}", found.path);
        let before = position.min(TAIL_BYTES as u64);
        let length = usize::try_from(before).unwrap_or(TAIL_BYTES);
        let before = contents::read_at(&found.file, position - before, length).or_fail(&doing)?;
        found.file.seek(SeekFrom::Start(position)).or_fail(&doing)?;
        newest.see(found.seen.modified_ns);
        let directory = self.neighbours.directory();
        let mut open = Open::new(found, directory, Place::default()).or_fail(&doing)?;
        open.sure = open.place(position, &before, &newest);
        self.newest = newest;
        self.open = Some(open);
        self.position = position;
        self.lines = Lines::after(before);
        self.given_up = None;
        self.missed = false;
        Ok(())
    }

    /// How far the open file was read, as lines.
    fn place(&self, open: &Open) -> Place {
        open.place(self.position, self.before(), &self.newest)
    }

    /// What stands before the position.
    fn before(&self) -> &[u8] {
        match &self.given_up {
            Some(line) => &line.before,
            None => self.lines.before(),
        }
    }

    /// How far the open file was read.
    fn end(&self) -> u64 {
        self.position + self.given_up() + self.lines.waiting().len() as u64
    }

    /// Bytes given up of a line that has no end yet.
    fn given_up(&self) -> u64 {
        self.given_up.as_ref().map_or(0, |line| line.bytes)
    }

    fn miss(&mut self, how: &str) {
        if !self.missed {
            log::warn!("{} {how}, waiting for it", self.path);
            self.missed = true;
        }
    }
}
