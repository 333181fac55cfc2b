//! Which file a path or an open file is. `std` does not tell on WASI, so `rustix` asks.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::Stat;

/// Device and inode (on WASI: what the runtime makes of them), and the length.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    file: (u64, u64),
    /// Bytes.
    pub length: u64,
}

impl Seen {
    /// What the path names now.
    pub fn at(path: &str) -> io::Result<Self> {
        Ok(rustix::fs::stat(path)?.into())
    }

    /// What is open.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(rustix::fs::fstat(file)?.into())
    }

    /// Whether both looks saw the same file.
    pub fn same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl From<Stat> for Seen {
    // The types of these fields differ by platform.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    fn from(stat: Stat) -> Self {
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        Self {
            file: (stat.st_dev.into(), stat.st_ino.into()),
            length,
        }
    }
}
