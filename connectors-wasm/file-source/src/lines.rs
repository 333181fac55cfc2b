//! A block of bytes that were read, and the lines in it.
//!
//! A line ends with `\n`, `\r\n` or `\r` alone, as for Kafka's reader. A `\r` that is the last byte read
//! waits for the next one.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2_iter};
use tidegate_sdk::{Limits, Records};

use crate::contents::TAIL_BYTES;

/// How much one read asks for. Big: every read is a call to the host.
const BLOCK: usize = 256 * 1024;

/// Bytes that were read and not yet taken as lines.
#[derive(Debug, Default)]
pub struct Lines {
    block: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes from `start` on that are known to hold no line end.
    scanned: usize,
    /// There may be a `\r` in the block. Most files have none, and are searched for `\n` alone.
    returns: bool,
    /// A whole line waits: one that did not fit.
    full: bool,
    /// The bytes before `start`, as many as count for a position.
    before: Vec<u8>,
}

/// What was taken.
#[derive(Debug, Default)]
pub struct Taken {
    /// Bytes of the file.
    pub bytes: u64,
    /// Lines that were too long: where each began, counted from the start of what was taken, and its
    /// length.
    pub too_long: Vec<(u64, u64)>,
}

impl Lines {
    /// None yet; these bytes stand before the first that will be read.
    pub fn after(before: Vec<u8>) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// The bytes before those that are waiting, as many as count for a position.
    pub fn before(&self) -> &[u8] {
        &self.before
    }

    /// Bytes that are waiting, the beginning of a line if all lines were taken.
    pub fn waiting(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads as much as fits into the block and answers how much that was; 0 at the end.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.block.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Growing by a block, not by doubling: only a long line gets here with a full block.
        self.block.resize(self.end + BLOCK, 0);
        let old = self.end;
        let mut filled = 0;
        while let Some(space) = self
            .block
            .get_mut(self.end..)
            .filter(|space| !space.is_empty())
        {
            match from.read(space) {
                Ok(0) => break,
                Ok(read) => {
                    self.end += read;
                    filled += read;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let new = self.block.get(old..self.end).unwrap_or_default();
        self.returns = (self.returns && old > 0) || memchr(b'\r', new).is_some();
        Ok(filled)
    }

    /// Moves whole lines to `records`, up to its limits. Lines of more than `max_line` bytes are left out.
    pub fn take(&mut self, records: &mut Records, limits: Limits, max_line: usize) -> Taken {
        let block = self.block.get(self.start..self.end).unwrap_or_default();
        let unseen = block.get(self.scanned..).unwrap_or_default();
        let mut taking = Taking {
            records,
            limits,
            max_line,
            block,
            taken: 0,
            too_long: Vec::new(),
        };
        self.full = if self.returns {
            let mut ends = memchr2_iter(b'\n', b'\r', unseen).map(|end| self.scanned + end);
            !ends.all(|end| taking.line_of_either_end(end))
        } else {
            let mut ends = memchr_iter(b'\n', unseen).map(|end| self.scanned + end);
            !ends.all(|end| taking.line(end, end + 1))
        };
        let (taken, too_long) = (taking.taken, taking.too_long);
        let open_return = usize::from(self.returns && block.last() == Some(&b'\r'));
        self.scanned = if self.full {
            0
        } else {
            (block.len() - taken).saturating_sub(open_return)
        };
        self.pass(taken);
        Taken {
            bytes: taken as u64,
            too_long,
        }
    }

    /// Whether a whole line waits: one that did not fit.
    pub fn has_line(&self) -> bool {
        self.full
    }

    /// Gives up all that is waiting, but for a `\r` at its end, and answers how much that was: the
    /// beginning of a line that is too long to hold.
    pub fn give_up(&mut self) -> u64 {
        let waiting = self.waiting();
        let rest = usize::from(waiting.last() == Some(&b'\r'));
        let given_up = waiting.len() - rest;
        self.pass(given_up);
        self.scanned = 0;
        given_up as u64
    }

    /// Gives up bytes up to the first line end, and that. None: there is none.
    pub fn give_up_line(&mut self) -> Option<u64> {
        let waiting = self.waiting();
        let end = memchr2_iter(b'\n', b'\r', waiting).next()?;
        let behind = match waiting.get(end..) {
            Some([b'\n', ..]) => end + 1,
            Some([b'\r', b'\n', ..]) => end + 2,
            Some([b'\r', _, ..]) => end + 1,
            _ => return None,
        };
        self.pass(behind);
        self.scanned = 0;
        Some(behind as u64)
    }

    /// Gives the memory back, except for what is waiting.
    pub fn rest(&mut self) {
        if self.block.len() > self.end - self.start {
            self.block = self.waiting().to_vec();
            self.end = self.block.len();
            self.start = 0;
        }
    }

    /// Leaves bytes behind.
    fn pass(&mut self, bytes: usize) {
        let passed = self.block.get(self.start..self.start + bytes);
        let passed = passed.unwrap_or_default();
        let from_passed = passed.len().min(TAIL_BYTES);
        let keep = TAIL_BYTES - from_passed;
        self.before.drain(..self.before.len().saturating_sub(keep));
        let last = passed.get(passed.len() - from_passed..).unwrap_or_default();
        self.before.extend_from_slice(last);
        self.start += bytes;
    }
}

/// Lines on their way out of a block.
struct Taking<'a> {
    records: &'a mut Records,
    limits: Limits,
    max_line: usize,
    block: &'a [u8],
    taken: usize,
    too_long: Vec<(u64, u64)>,
}

impl Taking<'_> {
    /// Takes the line up to `end`, the next one begins at `next`. False: it does not fit.
    #[inline]
    fn line(&mut self, end: usize, next: usize) -> bool {
        let line = self.block.get(self.taken..end).unwrap_or_default();
        let too_much =
            self.records.bytes() + line.len() > self.limits.max_bytes && !self.records.is_empty();
        if too_much || self.records.len() >= self.limits.max_records {
            return false;
        }
        if line.len() > self.max_line {
            self.too_long.push((self.taken as u64, line.len() as u64));
        } else {
            push(self.records, line);
        }
        self.taken = next;
        true
    }

    fn line_of_either_end(&mut self, end: usize) -> bool {
        match self.block.get(end..) {
            // The second half of an end that was taken.
            _ if end < self.taken => true,
            Some([b'\r', b'\n', ..]) => self.line(end, end + 2),
            // Perhaps half an end: the next byte tells.
            Some([b'\r']) => true,
            _ => self.line(end, end + 1),
        }
    }
}

/// A record of a line. Its value is a string, so bytes that are no UTF-8 become U+FFFD, as in
/// Java.
#[inline]
pub fn push(records: &mut Records, line: &[u8]) {
    if std::str::from_utf8(line).is_ok() {
        records.push_value(line);
    } else {
        records.push_value(String::from_utf8_lossy(line).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of these blocks, each read at once, and what waits in the end.
    fn lines_of(blocks: &[&str]) -> (usize, u64, String) {
        let mut lines = Lines::default();
        let mut records = Records::to("t");
        let limits = Limits {
            max_records: 100,
            max_bytes: 1000,
        };
        let mut bytes = 0;
        for block in blocks {
            lines.fill(&mut block.as_bytes()).unwrap();
            bytes += lines.take(&mut records, limits, 1000).bytes;
        }
        let waiting = String::from_utf8(lines.waiting().to_vec()).unwrap();
        (records.len(), bytes, waiting)
    }

    #[test]
    fn a_return_alone_ends_a_line_once_the_next_byte_is_known() {
        for (blocks, wanted) in [
            (&["a\r\nb\rc\n\n\nl"][..], (5, 9, "l")),
            (&["one\r", "two\n"], (2, 8, "")),
            (&["one\r", "\ntwo\n"], (2, 9, "")),
            (&["one\r"], (0, 0, "one\r")),
            (&["one\r", "\r", "x"], (2, 5, "x")),
            (&["a\nb\r", "c"], (2, 4, "c")),
            (&["a\r\n", "b\nc"], (2, 5, "c")),
        ] {
            let (records, bytes, waiting) = lines_of(blocks);
            assert_eq!((records, bytes, waiting.as_str()), wanted, "{blocks:?}");
        }
    }

    #[test]
    fn a_line_that_is_given_up_ends_as_any_other() {
        for (rest, passed, waiting) in [
            ("x\nnext", Some(2), "next"),
            ("x\r\nnext", Some(3), "next"),
            ("x\rnext", Some(2), "next"),
            ("x\r", None, "x\r"),
            ("x", None, "x"),
        ] {
            let mut lines = Lines::default();
            lines.fill(&mut rest.as_bytes()).unwrap();
            assert_eq!(lines.give_up_line(), passed, "{rest:?}");
            assert_eq!(lines.waiting(), waiting.as_bytes(), "{rest:?}");
        }
    }

    #[test]
    fn the_bytes_before_a_position_are_kept() {
        let mut lines = Lines::after(b"before".to_vec());
        let mut records = Records::to("t");
        let limits = Limits {
            max_records: 100,
            max_bytes: 10_000,
        };
        lines.fill(&mut b"one\ntwo".as_slice()).unwrap();
        lines.take(&mut records, limits, 1000);
        assert_eq!(lines.before(), b"beforeone\n");
        let long = format!("\n{}\nx", "y".repeat(500));
        lines.fill(&mut long.as_bytes()).unwrap();
        lines.take(&mut records, limits, 1000);
        assert_eq!(lines.before(), format!("{}\n", "y".repeat(255)).as_bytes());
        assert_eq!(lines.waiting(), b"x");
    }
}
