//! What is remembered of a file's contents: a hash of its first bytes, and one of the bytes before a
//! position. Together they tell whether a file is the one that was read up to there.

use std::fmt;
use std::fs::File;
use std::io;
use std::str::FromStr;

/// How many of the first bytes count, if there are as many.
pub const HEAD_BYTES: usize = 1024;
/// How many bytes before a position count.
pub const TAIL_BYTES: usize = 256;

/// FNV-1a with 64 bits. Stored with positions: keep it as it is.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A hash of some bytes, and how many they were. As text: `1024-0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    bytes: usize,
    hash: u64,
}

impl Fingerprint {
    /// None of no bytes: every file has them.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self {
            bytes: bytes.len(),
            hash: hash(bytes.iter().copied()),
        })
    }

    /// Whether these bytes stand in the file: at its start, or before `end`.
    pub fn stands(&self, file: &File, end: Option<u64>) -> io::Result<bool> {
        let bytes = self.bytes as u64;
        let Some(start) = end.map_or(Some(0), |end| end.checked_sub(bytes)) else {
            return Ok(false);
        };
        Ok(Self::of(&read_at(file, start, self.bytes)?) == Some(*self))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.bytes, self.hash)
    }
}

impl FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (bytes, hash) = text.split_once('-').ok_or(())?;
        let bytes = bytes.parse().map_err(|_| ())?;
        // What nobody wrote here is not read either: it would ask for that much memory.
        if bytes == 0 || bytes > HEAD_BYTES {
            return Err(());
        }
        let hash = u64::from_str_radix(hash, 16).map_err(|_| ())?;
        Ok(Self { bytes, hash })
    }
}

/// Up to `bytes` bytes from `start` on; fewer at the end of the file. Leaves the file where it is.
pub fn read_at(file: &File, start: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = vec![0; bytes];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_found_where_its_bytes_stand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let file = File::open(&path).unwrap();
        let stands = |bytes: &[u8], end| {
            let text = Fingerprint::of(bytes).unwrap().to_string();
            let read: Fingerprint = text.parse().unwrap();
            read.stands(&file, end).unwrap()
        };
        assert!(stands(b"one", None) && stands(b"two\n", Some(8)) && stands(b"two", Some(7)));
        assert!(!stands(b"one", Some(4)) && !stands(b"one\ntwo\nx", None));
        assert!(
            !stands(b"one\ntwo\n", Some(4)),
            "it would begin before the file"
        );
    }

    #[test]
    fn other_texts_are_no_fingerprints() {
        for text in ["", "5", "5-x", "-1", "0-0", "99999-0", "x-0"] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
        assert_eq!(Fingerprint::of(b""), None);
    }
}
