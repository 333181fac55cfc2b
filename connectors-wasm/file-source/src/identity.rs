//! Whether two looks at a path saw the same file.

use std::fs::Metadata;

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(u64, u64);

/// The identity of a file; none where the platform does not tell.
#[cfg(unix)]
pub fn of(metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some(Identity(metadata.dev(), metadata.ino()))
}

/// The identity of a file; none where the platform does not tell.
#[cfg(not(unix))]
pub fn of(_: &Metadata) -> Option<Identity> {
    None
}
