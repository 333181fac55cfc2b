//! The other files beside a path: those that its rotation left, and wherever else its file went.

use std::fs::{self, File};
use std::io;

use crate::glob;
use crate::identity::{FileId, Seen};
use crate::place::Newest;

/// Ends of names whose contents are not lines any more.
const COMPRESSED: [&str; 7] = [".gz", ".zst", ".xz", ".bz2", ".zip", ".lz4", ".Z"];

/// Ends of names that other tools leave beside a file while they work on it.
const HELPERS: [&str; 9] = [
    ".tmp", ".swp", ".lock", ".lck", ".pid", ".pos", ".offset", ".part", ".idx",
];

/// Where to look, and which names rotation gives.
#[derive(Clone, Debug)]
pub struct Neighbours {
    directory: String,
    name: String,
    /// What the user says instead of [`is_rotated`]: a glob.
    pattern: Option<String>,
}

/// A file that was found beside the path, open.
#[derive(Debug)]
pub struct Neighbour {
    pub path: String,
    pub file: File,
    pub seen: Seen,
}

impl Neighbours {
    /// Of a path. `pattern`: which files its rotation leaves, if not the usual names.
    pub fn of(path: &str, pattern: Option<String>) -> Self {
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = if directory.is_empty() { "/" } else { directory };
        Self {
            directory: directory.to_owned(),
            name: name.to_owned(),
            pattern,
        }
    }

    /// Which directory this is, to compare with a later time.
    pub fn directory(&self) -> FileId {
        FileId::at(&self.directory).unwrap_or(FileId(0))
    }

    /// The file with this identity, whatever its name, if it is still there.
    pub fn find(&self, file: FileId) -> io::Result<Option<Neighbour>> {
        let mut paths = self.all()?;
        paths.extend(self.by_pattern()?);
        for path in paths {
            if FileId::at(&path).is_ok_and(|id| id == file)
                && let Some(found) = open(path)
                && found.seen.file == file
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What rotation left and was written after what was seen, the oldest first.
    pub fn newer_than(&self, newest: &Newest) -> io::Result<Vec<Neighbour>> {
        let mut found: Vec<Neighbour> = self.rotated()?.into_iter().filter_map(open).collect();
        found.retain(|one| {
            newest.is_before(one.seen.file, one.seen.modified_ns) && one.seen.length > 0
        });
        found.sort_by_key(|one| (one.seen.modified_ns, self.rank(&one.path)));
        Ok(found)
    }

    /// Everything that rotation has left is older than what is read from now on.
    pub fn skip_all(&self, newest: &mut Newest) -> io::Result<()> {
        for found in self.rotated()?.into_iter().filter_map(open) {
            newest.finish(found.seen.file, found.seen.modified_ns);
        }
        Ok(())
    }

    /// Orders names of one time, the oldest first: app.log.2 is older than app.log.1, app-2026-01-30.log is older
    /// than app-2026-01-31.log.
    fn rank(&self, path: &str) -> i64 {
        let name = file_name(path);
        let stem = self
            .name
            .rsplit_once('.')
            .map_or(&*self.name, |(stem, _)| stem);
        let mark = name
            .strip_prefix(&self.name)
            .or_else(|| name.strip_prefix(stem))
            .unwrap_or(name);
        let digits: String = mark.chars().filter(char::is_ascii_digit).take(18).collect();
        let number = digits.parse().unwrap_or(0);
        // As many digits as a counter has, not a date.
        if digits.len() <= 3 { -number } else { number }
    }

    /// Compressed files that rotation left and that were written after what was seen.
    pub fn compressed(&self, newest: &Newest) -> io::Result<Vec<String>> {
        let mut found = self.all()?;
        found.retain(|path| is_compressed(path) && is_rotated(&self.name, file_name(path)));
        let newer = |path: &String| {
            open(path.clone())
                .is_some_and(|one| newest.is_before(one.seen.file, one.seen.modified_ns))
        };
        found.retain(newer);
        Ok(found)
    }

    /// Paths of what rotation left.
    fn rotated(&self) -> io::Result<Vec<String>> {
        if self.pattern.is_some() {
            return self.by_pattern();
        }
        let mut found = self.all()?;
        found.retain(|path| !is_compressed(path) && is_rotated(&self.name, file_name(path)));
        Ok(found)
    }

    fn by_pattern(&self) -> io::Result<Vec<String>> {
        let Some(pattern) = &self.pattern else {
            return Ok(Vec::new());
        };
        let mut found = glob::expand(pattern)?;
        found.retain(|path| !is_compressed(path));
        Ok(found)
    }

    /// Everything else in the directory.
    fn all(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            // A name that is no text cannot be opened by a guest.
            if let Ok(name) = entry?.file_name().into_string()
                && name != self.name
            {
                found.push(format!("{}/{name}", self.directory));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Opens a regular file. None: it is another thing, went while we looked, or may not be read.
fn open(path: String) -> Option<Neighbour> {
    // To open a pipe would wait for somebody who writes into it.
    if !fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let file = File::open(&path).ok()?;
    let seen = Seen::of(&file).ok()?;
    Some(Neighbour { path, file, seen })
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn is_compressed(path: &str) -> bool {
    COMPRESSED.iter().any(|end| path.ends_with(end))
}

/// Whether rotating `name` gives names like `other`: `app.log.1`, `app.log-20260131`, `app.log.old`,
/// or with the mark before the ending: `app-2026-01-31.log`, `app.1.log`.
fn is_rotated(name: &str, other: &str) -> bool {
    let marked = |rest: &str| rest.starts_with(['.', '-', '_']) && rest.len() > 1;
    if HELPERS.iter().any(|end| other.ends_with(end)) {
        return false;
    }
    if other.strip_prefix(name).is_some_and(marked) {
        return true;
    }
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return false;
    };
    let middle = other
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(ending))
        .and_then(|rest| rest.strip_suffix('.'));
    // A date or a counter: app-errors.log and app-2.log are other logs.
    let is_mark = |m: &str| {
        let digits = m.bytes().filter(u8::is_ascii_digit).count();
        let counter = m.strip_prefix('.').unwrap_or_default();
        digits >= 6 || (digits > 0 && digits == counter.len())
    };
    middle.is_some_and(|m| marked(m) && is_mark(m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotation_gives_are_known() {
        for other in [
            "app.log.1",
            "app.log-20260131",
            "app.log.2026-01-31",
            "app.log_3",
            "app.log.old",
            "app-2026-01-31.log",
            "app.1.log",
        ] {
            assert!(is_rotated("app.log", other), "{other}");
        }
        for other in [
            "app.log",
            "app.logs",
            "app.log.",
            "app-errors.log",
            "app-2.log",
            "b.log",
            "xapp.log.1",
            "app.log.pos",
        ] {
            assert!(!is_rotated("app.log", other), "{other}");
        }
        assert!(is_rotated("messages", "messages.1") && !is_rotated(".log", "a-1.log"));
    }

    #[test]
    fn names_tell_which_file_is_older() {
        let neighbours = Neighbours::of("/a1/app2.log", None);
        for [older, newer] in [
            ["app2.log.12", "app2.log.2"],
            ["app2.log.1", "app2.log"],
            ["app2.log-20260130", "app2.log-20260131"],
            ["app2-2026-01-31.log", "app2-2026-02-01.log"],
            ["app2-2026-01-31.1.log", "app2-2026-01-31.2.log"],
        ] {
            assert!(
                neighbours.rank(older) < neighbours.rank(newer),
                "{older} {newer}"
            );
        }
    }
}
