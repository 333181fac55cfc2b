//! File names with wildcards: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`, in any part of a path.
//!
//! Reading starts at the last directory before the first wildcard. Those above it may not be
//! visible: the sandbox shows only what was granted.

use std::fs;
use std::io::{self, ErrorKind};

/// Whether a name has wildcards.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The files that match, sorted.
pub fn expand(pattern: &str) -> io::Result<Vec<String>> {
    let mut parts = pattern.split('/').peekable();
    let mut base = Vec::new();
    while let Some(part) = parts.next_if(|part| !is_pattern(part)) {
        base.push(part);
    }
    let mut found = vec![base.join("/")];
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let mut next = Vec::new();
        for directory in &found {
            list(directory, part, last, &mut next)?;
        }
        found = next;
    }
    found.sort_unstable();
    Ok(found)
}

/// Adds what matches `part` in a directory: files if it is the last part, else directories.
fn list(directory: &str, part: &str, last: bool, found: &mut Vec<String>) -> io::Result<()> {
    // "" before a leading slash is the root, "" alone is where the process is.
    let visible = if directory.is_empty() { "." } else { directory };
    let entries = match fs::read_dir(visible) {
        Ok(entries) => entries,
        // A directory that comes later, or went while we looked.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| matches(part, name)) else {
            continue;
        };
        let path = if directory.is_empty() {
            name.to_owned()
        } else {
            format!("{directory}/{name}")
        };
        let wanted = fs::metadata(&path).is_ok_and(|m| if last { m.is_file() } else { m.is_dir() });
        if wanted {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether one name matches one part of a pattern. Names with a leading dot are hidden from
/// patterns without one.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    let (mut pattern, mut name) = (pattern.as_slice(), name.as_slice());
    // Where to go on after a mismatch: behind the last star, with one more character in it.
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        if let Some(after) = pattern.strip_prefix(&['*']) {
            pattern = after;
            retry = Some((after, name));
        } else if let Some((after, rest)) = step(pattern, name) {
            (pattern, name) = (after, rest);
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some((after, [_, rest @ ..])) = retry {
            (pattern, name) = (after, rest);
            retry = Some((after, rest));
        } else {
            return false;
        }
    }
}

/// Matches one character, and answers what is left of both.
fn step<'a>(pattern: &'a [char], name: &'a [char]) -> Option<(&'a [char], &'a [char])> {
    let (c, rest) = name.split_first()?;
    match pattern {
        ['?', after @ ..] => Some((after, rest)),
        ['[', after @ ..] => {
            let (negated, set) = match after {
                ['!', set @ ..] => (true, set),
                set => (false, set),
            };
            // A bracket right at the start is a member, not the end.
            let end = 1 + set.get(1..)?.iter().position(|c| *c == ']')?;
            let (set, after) = set.split_at_checked(end)?;
            (contains(set, *c) != negated).then_some((after.get(1..)?, rest))
        }
        [same, after @ ..] if same == c => Some((after, rest)),
        _ => None,
    }
}

fn contains(mut set: &[char], c: char) -> bool {
    loop {
        match set {
            [low, '-', high, rest @ ..] => {
                if (*low..=*high).contains(&c) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*.log", "a.log"),
            ("a*b*c", "aXbYbZc"),
            ("?.txt", "é.txt"),
            ("[a-c]1", "b1"),
            ("[!a-c]1", "d1"),
            ("[]]", "]"),
            ("*", ""),
            (".*", ".hidden"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.log", "a.log.1"),
            ("?", ""),
            ("[a-c]", "d"),
            ("*", ".hidden"),
            ("[a", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn only_files_are_found_and_they_are_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for name in ["b/2.log", "a/1.log", "a/1.txt", "a/deep/3.log"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(dir.path().join("a/x.log")).unwrap();
        let found = expand(&format!("{root}/*/*.log")).unwrap();
        assert_eq!(
            found,
            [format!("{root}/a/1.log"), format!("{root}/b/2.log")]
        );
        assert!(expand(&format!("{root}/none/*.log")).unwrap().is_empty());
    }
}
