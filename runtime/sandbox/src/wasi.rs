//! WASI as a guest sees it: an empty environment, no sockets, stdio to the task's log, and only
//! the directories that were granted.

use std::path::PathBuf;

use tidegate_model::names::TaskId;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::CallError;
use crate::stdio::LogStream;

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileAccess {
    /// List and read.
    Read,
    /// Create, write and delete as well.
    Write,
}

/// A directory that a task may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// Where it is.
    pub host_path: PathBuf,
    /// How the guest's paths begin that mean it.
    pub guest_path: String,
    /// What the guest may do there.
    pub access: FileAccess,
}

pub(crate) fn context(id: &TaskId, grants: &[DirectoryGrant]) -> Result<WasiCtx, CallError> {
    let mut builder = WasiCtxBuilder::new();
    // Sockets stay linked, since language runtimes import them, and every use is refused.
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.stdout(LogStream::new(id.clone(), "stdout"));
    builder.stderr(LogStream::new(id.clone(), "stderr"));
    for grant in grants {
        let perms = match grant.access {
            FileAccess::Read => FsPerms::ReadOnly,
            FileAccess::Write => FsPerms::ReadWrite,
        };
        builder
            .preopened_dir(&grant.host_path, &grant.guest_path, perms)
            .map_err(|e| CallError::Directory {
                path: grant.host_path.display().to_string(),
                reason: format!("{e:#}"),
            })?;
    }
    Ok(builder.build())
}
