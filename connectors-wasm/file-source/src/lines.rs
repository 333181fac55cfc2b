//! A block of bytes that were read, and the lines in it.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};
use tidegate_sdk::{Limits, Records};

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
}

impl Lines {
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
        Ok(filled)
    }

    /// Moves whole lines to `records`, up to its limits, and answers how many bytes of the file
    /// they were.
    pub fn take(&mut self, records: &mut Records, limits: Limits) -> u64 {
        let block = self.block.get(self.start..self.end).unwrap_or_default();
        let unseen = block.get(self.scanned..).unwrap_or_default();
        let (mut taken, mut bytes, mut full) = (0, records.bytes(), false);
        for end in memchr_iter(b'\n', unseen) {
            let end = self.scanned + end;
            let line = block.get(taken..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let too_much = bytes + line.len() > limits.max_bytes && !records.is_empty();
            full = too_much || records.len() >= limits.max_records;
            if full {
                break;
            }
            push(records, line);
            bytes += line.len();
            taken = end + 1;
        }
        self.scanned = if full { 0 } else { block.len() - taken };
        self.start += taken;
        taken as u64
    }

    /// Whether a whole line waits: one that did not fit.
    pub fn has_line(&self) -> bool {
        memchr(
            b'\n',
            self.waiting().get(self.scanned..).unwrap_or_default(),
        )
        .is_some()
    }

    /// Gives the memory back, except for what is waiting.
    pub fn rest(&mut self) {
        if self.block.len() > self.end - self.start {
            self.block = self.waiting().to_vec();
            self.end = self.block.len();
            self.start = 0;
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
