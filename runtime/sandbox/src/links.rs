//! Symbolic links with an absolute target, inside what was granted.
//!
//! `wasmtime-wasi` resolves paths below one open directory and refuses every absolute link, for it
//! cannot know where that leads. Here it is known: such a link is followed on the host, and if it ends
//! in a granted directory, the call is made again with the path below that one. The sandbox stays where
//! it was: the second call is resolved below an open directory like the first.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsError, FsResult};

use crate::state::HostState;
use crate::wasi::DirectoryGrant;

/// As many links as Linux follows for one path.
const MAX_LINKS: usize = 40;

const TYPES: &str = "wasi:filesystem/types@0.2.12";
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// The directories that a guest got, and the numbers it got them under.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    granted: Vec<(String, PathBuf)>,
    open: Vec<(u32, PathBuf)>,
}

impl Roots {
    pub(crate) fn of(grants: &[DirectoryGrant]) -> Self {
        let granted = grants
            .iter()
            .map(|grant| (grant.guest_path.clone(), grant.host_path.clone()))
            .collect();
        Self {
            granted,
            open: Vec::new(),
        }
    }

    /// The guest was told of its directories.
    fn opened(&mut self, directories: &[(Resource<Descriptor>, String)]) {
        for (directory, guest_path) in directories {
            let granted = self.granted.iter().find(|(path, _)| path == guest_path);
            if let Some((_, host_path)) = granted {
                self.open.retain(|(number, _)| *number != directory.rep());
                self.open.push((directory.rep(), host_path.clone()));
            }
        }
    }

    /// Where a path leads if an absolute link is on its way: the directory, and the path below it.
    fn through_links(
        &self,
        directory: u32,
        path: &str,
        flags: PathFlags,
    ) -> Option<(Resource<Descriptor>, String)> {
        let (_, start) = self.open.iter().find(|(number, _)| *number == directory)?;
        let end = resolve(start, path, flags.contains(PathFlags::SYMLINK_FOLLOW))?;
        let below = |(number, root): &(u32, PathBuf)| {
            let rest = end.strip_prefix(root).ok()?.to_str()?.to_owned();
            Some((*number, rest))
        };
        // The innermost directory: it may be granted for writing, the one around it for reading.
        let (number, rest) = self
            .open
            .iter()
            .filter_map(below)
            .min_by_key(|(_, rest)| rest.len())?;
        let rest = if rest.is_empty() {
            ".".to_owned()
        } else {
            rest
        };
        Some((Resource::new_borrow(number), rest))
    }
}

/// Follows a path on the host. None: no absolute link is on its way, or it has no end.
fn resolve(start: &Path, path: &str, follow_last: bool) -> Option<PathBuf> {
    let mut at = start.to_owned();
    let mut rest: VecDeque<OsString> = parts(Path::new(path)).collect();
    let (mut links, mut absolute) = (0, false);
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let target = if rest.is_empty() && !follow_last {
            None
        } else {
            // What is no link, or is not there, is left to the call that comes after this.
            std::fs::read_link(&next).ok()
        };
        let Some(target) = target else {
            at = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return None;
        }
        if target.is_absolute() {
            absolute = true;
            at = PathBuf::from("/");
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(part);
        }
    }
    absolute.then_some(at)
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Puts the calls that follow links in the place of `wasmtime-wasi`'s.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(PREOPENS)?.func_wrap(
        "get-directories",
        |mut store: wasmtime::StoreContextMut<'_, HostState>, (): ()| {
            let directories = store.data_mut().filesystem().get_directories()?;
            store.data_mut().roots.opened(&directories);
            Ok((directories,))
        },
    )?;
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store: wasmtime::StoreContextMut<'_, HostState>,
         (fd, follow, path, how, flags): (
            Resource<Descriptor>,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            Box::new(async move {
                let host = store.data_mut();
                let first = host
                    .filesystem()
                    .open_at(again(&fd), follow, path.clone(), how, flags)
                    .await;
                let answer = match host.links_of(&first, &fd, &path, follow) {
                    Some((fd, path)) => {
                        host.filesystem()
                            .open_at(fd, follow, path, how, flags)
                            .await
                    }
                    None => first,
                };
                Ok((plain(answer)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.stat-at",
        |mut store: wasmtime::StoreContextMut<'_, HostState>,
         (fd, follow, path): (Resource<Descriptor>, PathFlags, String)| {
            Box::new(async move {
                let host = store.data_mut();
                let first = host
                    .filesystem()
                    .stat_at(again(&fd), follow, path.clone())
                    .await;
                let answer = match host.links_of(&first, &fd, &path, follow) {
                    Some((fd, path)) => host.filesystem().stat_at(fd, follow, path).await,
                    None => first,
                };
                Ok((plain(answer)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.metadata-hash-at",
        |mut store: wasmtime::StoreContextMut<'_, HostState>,
         (fd, follow, path): (Resource<Descriptor>, PathFlags, String)| {
            Box::new(async move {
                let host = store.data_mut();
                let first = host
                    .filesystem()
                    .metadata_hash_at(again(&fd), follow, path.clone())
                    .await;
                let answer = match host.links_of(&first, &fd, &path, follow) {
                    Some((fd, path)) => host.filesystem().metadata_hash_at(fd, follow, path).await,
                    None => first,
                };
                Ok((plain(answer)?,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl HostState {
    /// The directory and the path to try instead, if a link was refused that leads to something granted.
    fn links_of<T>(
        &self,
        answer: &FsResult<T>,
        directory: &Resource<Descriptor>,
        path: &str,
        flags: PathFlags,
    ) -> Option<(Resource<Descriptor>, String)> {
        let refused = answer.as_ref().err()?.downcast_ref()?;
        matches!(refused, ErrorCode::NotPermitted)
            .then(|| self.roots.through_links(directory.rep(), path, flags))?
    }
}

fn again(directory: &Resource<Descriptor>) -> Resource<Descriptor> {
    Resource::new_borrow(directory.rep())
}

/// An answer as the guest gets it; what is no answer traps.
fn plain<T>(answer: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match answer.map_err(FsError::downcast) {
        Ok(value) => Ok(Ok(value)),
        Err(Ok(code)) => Ok(Err(code)),
        Err(Err(trap)) => Err(trap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn absolute_links_lead_where_the_host_says_and_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [a, b] = ["a", "b"].map(|name| root.join(name));
        for directory in [&a, &b] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("file"), "").unwrap();
        }
        symlink(a.join("file"), a.join("own")).unwrap();
        symlink(b.join("file"), a.join("other")).unwrap();
        symlink("own", a.join("relative")).unwrap();
        symlink(&b, a.join("directory")).unwrap();
        symlink("/etc/passwd", a.join("outside")).unwrap();
        symlink(a.join("loop"), a.join("loop")).unwrap();
        symlink("file", a.join("plain")).unwrap();
        let roots = Roots {
            granted: Vec::new(),
            open: vec![(1, a.clone()), (2, b.clone())],
        };
        let leads = |path, follow| {
            let flags = if follow {
                PathFlags::SYMLINK_FOLLOW
            } else {
                PathFlags::empty()
            };
            roots
                .through_links(1, path, flags)
                .map(|(fd, path)| (fd.rep(), path))
        };
        for (path, wanted) in [
            ("own", Some((1, "file"))),
            ("relative", Some((1, "file"))),
            ("other", Some((2, "file"))),
            ("directory/file", Some((2, "file"))),
            ("directory/none", Some((2, "none"))),
            ("outside", None),
            ("loop", None),
            ("plain", None),
            ("file", None),
        ] {
            let wanted = wanted.map(|(fd, path)| (fd, path.to_owned()));
            assert_eq!(leads(path, true), wanted, "{path}");
        }
        assert_eq!(leads("own", false), None, "the link itself was meant");
        assert!(leads("directory/file", false).is_some());
    }
}
