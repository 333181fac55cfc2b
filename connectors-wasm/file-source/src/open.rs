//! A file that is being read, and what is known of it.

use std::fs::File;
use std::io;
use std::time::Instant;

use tidegate_sdk::prelude::Duration;

use crate::contents::{self, Fingerprint, HEAD_BYTES};
use crate::identity::{FileId, Seen};
use crate::place::{Newest, Place};
use crate::rotated::Neighbour;

/// How long a file may be read without looking whether it is still what was read before. A check
/// is a call to the host; what came since the last one is read again if the file was rewritten.
const CHECK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 50 });

/// An open file.
#[derive(Debug)]
pub struct Open {
    pub file: File,
    /// The path under which it was found.
    pub path: String,
    pub seen: Seen,
    /// The last read brought nothing.
    pub at_end: bool,
    /// Since when the path that is followed names another file.
    pub left: Option<Instant>,
    /// The last place that is known to be in this file.
    pub sure: Place,
    /// Up to where the bytes that were read are known to be of this file.
    pub sure_end: u64,
    directory: FileId,
    head: Vec<u8>,
    checked: Option<Instant>,
}

impl Open {
    /// What was found, to be read from a place on.
    pub fn new(found: Neighbour, directory: FileId, sure: Place) -> io::Result<Self> {
        Ok(Self {
            head: contents::read_at(&found.file, 0, HEAD_BYTES)?,
            file: found.file,
            path: found.path,
            seen: found.seen,
            at_end: false,
            left: None,
            sure_end: sure.position,
            sure,
            directory,
            checked: None,
        })
    }

    /// A position in it, behind these bytes.
    pub fn place(&self, position: u64, before: &[u8], newest: &Newest) -> Place {
        Place {
            position,
            file: Some((self.directory, self.seen.file)),
            head: Fingerprint::of(self.settled_head(position)),
            tail: Fingerprint::of(before),
            newest: newest.clone(),
        }
    }

    /// The first bytes, but for a line at their end that may not be written to its end.
    fn settled_head(&self, position: u64) -> &[u8] {
        let lines = memchr::memrchr(b'\n', &self.head).map_or(0, |end| end + 1);
        let read = usize::try_from(position).unwrap_or(usize::MAX);
        let settled = if self.head.len() == HEAD_BYTES {
            HEAD_BYTES
        } else {
            lines.max(read).min(self.head.len())
        };
        self.head.get(..settled).unwrap_or_default()
    }

    /// Whether it is time to look at the contents again.
    pub fn is_unsure(&self) -> bool {
        self.checked.is_none_or(|at| at.elapsed() >= CHECK_EVERY)
    }

    /// Whether the file is still the one that was read. `now`: what a look just now told.
    pub fn is_as_it_was(&mut self, now: Seen) -> io::Result<bool> {
        if !self.sure.is_in(&self.file, now.length)? {
            return Ok(false);
        }
        if self.head.len() < HEAD_BYTES && now.length > self.head.len() as u64 {
            self.head = contents::read_at(&self.file, 0, HEAD_BYTES)?;
        }
        self.checked = Some(Instant::now());
        Ok(true)
    }

    /// Whether no name is left for it.
    pub fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink == 0)
    }
}
