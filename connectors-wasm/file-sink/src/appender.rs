//! A file that grows by whole lines, or not at all.
//!
//! A write that fails half-way leaves the beginning of a batch behind, and the host repeats the
//! batch. So the half is taken back; where that is impossible, the next batch begins on a line
//! of its own. The same holds for a half line that a crash left.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use tidegate_sdk::prelude::*;

/// The pause before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// What the appender needs of a file.
pub trait Target: Write {
    /// Cuts the file.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Its length now.
    fn length(&self) -> io::Result<u64>;
    /// Makes what was written survive a loss of power.
    fn sync(&self) -> io::Result<()>;
    /// Opens it anew: a WASI stream on which a write failed takes no other.
    fn reopen(&mut self, path: &str) -> io::Result<()>;
}

impl Target for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn reopen(&mut self, path: &str) -> io::Result<()> {
        *self = open(path)?;
        Ok(())
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A file and whether it ends with a whole line.
#[derive(Debug)]
pub struct Appender<T = File> {
    path: String,
    target: T,
    half_line: bool,
}

impl Appender {
    /// Opens a file to append to, and creates it if need be.
    pub fn open(path: String) -> Result<Self> {
        let target = open(&path).map_err(|error| explain(error, "open", &path))?;
        // A file that may be written but not read is taken to be whole.
        let half_line = ends_with_half_line(&path).unwrap_or(false);
        if half_line {
            log::warn!("{path} does not end with a line end, starting on a line of its own");
        }
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
            half_line: false,
        }
    }

    #[cfg(test)]
    pub fn target(&mut self) -> &mut T {
        &mut self.target
    }

    /// Writes lines: all of them, or an error and nothing that could spoil the next line.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        if self.half_line {
            self.write(b"\n")?;
            self.half_line = false;
        }
        self.write(lines)
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<()> {
        self.target
            .sync()
            .map_err(|error| explain(error, "sync", &self.path))
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
            self.half_line = true;
        }
        if let Err(cause) = self.target.reopen(&self.path) {
            log::warn!("open {} again: {cause}", self.path);
        }
    }
}

fn ends_with_half_line(path: &str) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
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
