//! What the appender needs of a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

/// How much is read at once to find the last line end.
const BLOCK: u64 = 64 * 1024;

/// A file that grows, and the path that names it.
pub trait Target: Write {
    /// Cuts the file.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Its length now.
    fn length(&self) -> io::Result<u64>;
    /// Makes what was written survive a loss of power.
    fn sync(&self) -> io::Result<()>;
    /// Opens what the path names, which is created if need be. Also after a write that failed: a WASI
    /// stream takes no other then.
    fn reopen(&mut self, path: &str) -> io::Result<()>;
    /// Whether the path still names this file.
    fn is_named(&self, path: &str) -> io::Result<bool>;
    /// Whether nothing names it any more.
    fn is_removed(&self) -> bool;
    /// Where the last whole line ends, 0 without any, and the length.
    fn last_line_end(&self, path: &str) -> io::Result<(u64, u64)>;
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

    fn is_named(&self, path: &str) -> io::Result<bool> {
        // A pipe or a device is what it is, and to open it may mean something.
        if !self.metadata()?.is_file() {
            return Ok(true);
        }
        match File::open(path) {
            Ok(named) => Ok(id(named)? == id(self)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            // It may be written and not read: nobody can tell.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn is_removed(&self) -> bool {
        rustix::fs::fstat(self).is_ok_and(|stat| stat.st_nlink == 0)
    }

    fn last_line_end(&self, path: &str) -> io::Result<(u64, u64)> {
        if !self.metadata()?.is_file() {
            return Ok((0, 0));
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut end = length;
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let block = read_at(&file, start, end - start)?;
            if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok((start + at as u64 + 1, length));
            }
            end = start;
        }
        Ok((0, length))
    }
}

/// Opens a file to append to, and creates it if need be.
pub fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Device and inode; their types differ by platform.
#[allow(clippy::useless_conversion)]
fn id(file: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_dev.into(), stat.st_ino.into()))
}

fn read_at(file: &File, start: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let mut filled = 0;
    while let Some(space) = read.get_mut(filled..).filter(|space| !space.is_empty()) {
        match rustix::io::pread(file, space, start + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    read.truncate(filled);
    Ok(read)
}
