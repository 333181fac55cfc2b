//! A file that grows by whole lines, or not at all.
//!
//! A write that fails half-way leaves the beginning of a batch behind, and the host repeats the
//! batch. So the half is taken back; where that is impossible, the next batch begins on a line
//! of its own. A half line that a crash left is cut off when the file is opened: it is part of a
//! batch that was not accepted, which comes again.
//!
//! The file is the one that the path names: after a rotation or a removal a new one is begun.

use std::fs::File;
use std::io::{self, ErrorKind};

use tidegate_sdk::prelude::*;

use crate::target::{self, Target};

/// The pause before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// A file and whether it ends with a whole line.
#[derive(Debug)]
pub struct Appender<T = File> {
    path: String,
    target: T,
    half_line: Option<HalfLine>,
}

/// What stands behind the last line end.
#[derive(Clone, Copy, Debug)]
enum HalfLine {
    /// Part of a batch that was not accepted, behind this length, which could not be cut off yet.
    Ours(u64),
    /// Something that is kept.
    Theirs,
}

impl Appender {
    /// Opens a file to append to, and creates it if need be.
    pub fn open(path: String) -> Result<Self> {
        let mut target = target::open(&path).map_err(|error| explain(error, "open", &path))?;
        let half_line = begin_on_a_line(&mut target, &path);
        Ok(Self {
            path,
            target,
            half_line,
        })
    }
}

impl<T: Target> Appender<T> {
    #[cfg(test)]
    pub fn over(target: T) -> Self {
        Self {
            path: "test".to_owned(),
            target,
            half_line: None,
        }
    }

    #[cfg(test)]
    pub fn target(&mut self) -> &mut T {
        &mut self.target
    }

    /// Writes lines: all of them, or an error and nothing that could spoil the next line.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.follow()?;
        self.write_lines(lines)?;
        // Removed while it was written: nobody will ever read that.
        if !self.is_named()? && self.target.is_removed() {
            self.follow()?;
            self.write_lines(lines)?;
        }
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<()> {
        self.target
            .sync()
            .map_err(|error| explain(error, "sync", &self.path))
    }

    /// Opens the file that the path names now, if that is another one.
    fn follow(&mut self) -> Result<()> {
        if self.is_named()? {
            return Ok(());
        }
        // What the next flush speaks for is in the old file too.
        self.sync()?;
        self.target
            .reopen(&self.path)
            .map_err(|error| explain(error, "open", &self.path))?;
        self.half_line = begin_on_a_line(&mut self.target, &self.path);
        log::info!(
            "{} was rotated or removed, going on in a new file",
            self.path
        );
        Ok(())
    }

    fn is_named(&self) -> Result<bool> {
        self.target
            .is_named(&self.path)
            .map_err(|error| explain(error, "look at", &self.path))
    }

    fn write_lines(&mut self, lines: &[u8]) -> Result<()> {
        let done = match self.half_line {
            None => true,
            Some(HalfLine::Ours(end)) => self.target.cut(end).is_ok(),
            Some(HalfLine::Theirs) => false,
        };
        if !done {
            self.write(b"\n")?;
        }
        self.half_line = None;
        self.write(lines)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let before = self.target.length();
        let before = before.map_err(|error| explain(error, "measure", &self.path))?;
        match self.target.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.take_back(before);
                Err(explain(error, "write", &self.path))
            }
        }
    }

    /// After a write that failed, however much of it arrived: the file was `before` bytes long.
    fn take_back(&mut self, before: u64) {
        let cut = match self.target.length() {
            Ok(length) if length > before => self.target.cut(before),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(cause) = cut {
            log::warn!("{} keeps part of a batch that failed: {cause}", self.path);
            self.half_line.get_or_insert(HalfLine::Ours(before));
        }
        if let Err(cause) = self.target.reopen(&self.path) {
            log::warn!("open {} again: {cause}", self.path);
        }
    }
}

/// Cuts off a half line at the end of the file. Answers what of it is still there.
fn begin_on_a_line(target: &mut impl Target, path: &str) -> Option<HalfLine> {
    // A file that may be written but not read is taken to be whole.
    let (end, length) = target.last_line_end(path).ok()?;
    if end == length {
        return None;
    }
    if end == 0 {
        // Nothing shows that this is ours: it is kept, and gets an end.
        log::warn!("{path} does not end with a line end, starting on a line of its own");
        return Some(HalfLine::Theirs);
    }
    match target.cut(end) {
        Ok(()) => {
            log::warn!(
                "{path} ended with {} bytes of a line that was not written to its end, cut them off",
                length - end
            );
            None
        }
        Err(cause) => {
            log::warn!("{path} ends with half a line, which cannot be cut off: {cause}");
            Some(HalfLine::Ours(end))
        }
    }
}

/// WASI's EIO. Writes go through a WASI stream, which tells that one failed and not why, so this is
/// also what a full disk looks like.
const WASI_EIO: i32 = 29;

/// Names the file and what to do.
fn explain(error: io::Error, doing: &str, path: &str) -> Failure {
    if error.raw_os_error() == Some(WASI_EIO) && doing != "open" {
        let reason = format!(
            "{doing} {path}: {error} (the disk may be full: make room, or see what is wrong with \
             it; it is tried again)"
        );
        return Failure::retry_after(FULL_PAUSE, reason);
    }
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            let reason = format!("{doing} {path}: {error} (make room, it is tried again)");
            return Failure::retry_after(FULL_PAUSE, reason);
        }
        ErrorKind::NotFound => {
            "create its directory, and check that it is granted to the connector"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "check who may write it, and that its directory is granted to the connector"
        }
        ErrorKind::IsADirectory => "name a file in it",
        _ => "restart the task when this is fixed",
    };
    Failure::fatal(format!("{doing} {path}: {error} ({advice})"))
}
