//! The file that was read before the one that is followed now, in case its writer did not notice the
//! rotation: what still comes is read, behind what came meanwhile.

use std::fs::File;
use std::io;
use std::time::Instant;

use tidegate_sdk::prelude::*;

use crate::contents;
use crate::identity::Seen;
use crate::lines;

/// How often to look. Hardly ever there is something.
const LOOK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// How much is read at once. A line that is longer ends the watch.
const BLOCK: usize = 256 * 1024;

/// A file that was left, open.
#[derive(Debug)]
pub struct Late {
    file: File,
    path: String,
    /// How far it was read.
    end: u64,
    looked: Instant,
    said: bool,
}

impl Late {
    /// A file that was read up to `end`.
    pub fn new(file: File, path: String, end: u64) -> Self {
        Self {
            file,
            path,
            end,
            looked: Instant::now(),
            said: false,
        }
    }

    /// Adds the lines that came since, if it is time to look. False: nothing more is to be expected.
    pub fn read(&mut self, records: &mut Records) -> io::Result<bool> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(true);
        }
        self.looked = Instant::now();
        let now = Seen::of(&self.file)?;
        if now.length <= self.end {
            let named = rustix::fs::fstat(&self.file)?.st_nlink > 0;
            return Ok(named && now.length == self.end);
        }
        let block = contents::read_at(&self.file, self.end, BLOCK)?;
        let Some(last) = memchr::memrchr(b'\n', &block) else {
            if block.len() < BLOCK {
                return Ok(true);
            }
            log::warn!(
                "{} got a line of more than {BLOCK} bytes after it was rotated, which is not read",
                self.path
            );
            return Ok(false);
        };
        if !self.said {
            log::warn!(
                "{} got {} more bytes after it was rotated and left: its writer goes on with it, and \
                 its lines come behind those of the new file",
                self.path,
                now.length - self.end
            );
            self.said = true;
        }
        for line in block
            .get(..last)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
        {
            lines::push(records, line.strip_suffix(b"\r").unwrap_or(line));
        }
        self.end += last as u64 + 1;
        Ok(true)
    }
}
