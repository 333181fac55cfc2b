//! Which file an open file is. `std` does not tell on WASI, so `rustix` asks.
//!
//! Inodes alone are not enough: they are used again after a removal, and devices get other numbers
//! after a restart of the machine. `contents.rs` is the other half.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::UNIX_EPOCH;

use rustix::fs::Stat;

use crate::contents;

/// Device and inode (on WASI: what the runtime makes of them) in one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub u64);

impl From<&Stat> for FileId {
    // The types of these fields differ by platform.
    #[allow(clippy::useless_conversion)]
    fn from(stat: &Stat) -> Self {
        let (device, inode): (u64, u64) = (stat.st_dev.into(), stat.st_ino.into());
        let bytes = device.to_be_bytes().into_iter().chain(inode.to_be_bytes());
        Self(contents::hash(bytes))
    }
}

impl FileId {
    /// What a path names. A symbolic link may be taken for another file than what it leads to: on
    /// WASI the two ways of asking differ there. Only for entries of a directory.
    pub fn at(path: &str) -> io::Result<Self> {
        Ok(Self::from(&rustix::fs::stat(path)?))
    }
}

/// What a look at an open file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which one it is.
    pub file: FileId,
    /// Bytes.
    pub length: u64,
    /// When it was written last, in nanoseconds since the epoch; 0: unknown.
    pub modified_ns: i64,
}

impl Seen {
    /// What is open.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let since = metadata.modified().ok();
        let since = since.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            file: FileId::from(&rustix::fs::fstat(file.as_fd())?),
            length: metadata.len(),
            modified_ns: since.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(0)),
        })
    }
}
