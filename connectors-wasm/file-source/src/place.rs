//! A position and the file it belongs to, as they are stored.
//!
//! `{"position":42}` is Kafka's own form. The other entries say of which file that is; an offset
//! without them (Kafka's, or one that a user wrote) counts for whatever the path names.

use std::fs::File;
use std::io;

use tidegate_sdk::prelude::*;

use crate::contents::Fingerprint;
use crate::identity::FileId;

/// How far a file was read, and which file that was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where the first line begins that was not emitted.
    pub position: u64,
    /// The directory it was found in and the file. The directory is there to tell whether such
    /// numbers can be compared: after a restart of the machine both may differ.
    pub file: Option<(FileId, FileId)>,
    /// The first bytes.
    pub head: Option<Fingerprint>,
    /// The bytes before the position.
    pub tail: Option<Fingerprint>,
    /// What was seen so far.
    pub newest: Newest,
}

/// Up to when the followed files had been written when somebody looked: this one, those that were
/// finished before it, and what rotation had left before the first. What was rotated and not read is
/// newer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// Nanoseconds since the epoch.
    pub ns: i64,
    /// Files that were written last at that very time and are finished: within a tick of the clock,
    /// times do not tell.
    pub finished: Vec<FileId>,
}

/// Files of one time that are remembered. More are read again.
const MAX_FINISHED: usize = 16;

impl Newest {
    /// A followed file had been written at this time.
    pub fn see(&mut self, ns: i64) {
        if ns > self.ns {
            self.ns = ns;
            self.finished.clear();
        }
    }

    /// A file is finished that was written last at this time.
    pub fn finish(&mut self, file: FileId, ns: i64) {
        self.see(ns);
        if ns == self.ns && !self.finished.contains(&file) && self.finished.len() < MAX_FINISHED {
            self.finished.push(file);
        }
    }

    /// Whether a file is none of those that were followed or older than they.
    pub fn is_before(&self, file: FileId, ns: i64) -> bool {
        ns > self.ns || (ns == self.ns && !self.finished.contains(&file))
    }
}

impl Place {
    /// What was stored.
    pub fn from_offset(offset: &Offset) -> Self {
        let fingerprint = |key| offset.str(key).and_then(|text| text.parse().ok());
        Self {
            position: offset.u64("position").unwrap_or(0),
            file: offset.str("file").and_then(parse_file),
            head: fingerprint("head"),
            tail: fingerprint("tail"),
            newest: Newest {
                ns: offset.i64("newest").unwrap_or(0),
                finished: offset.str("finished").map_or_else(Vec::new, parse_files),
            },
        }
    }

    /// What is to be stored.
    pub fn to_offset(&self) -> Offset {
        let mut offset = Offset::new().with("position", self.position);
        if let Some((directory, file)) = self.file {
            offset = offset.with("file", format!("{:016x}-{:016x}", directory.0, file.0));
        }
        for (key, fingerprint) in [("head", self.head), ("tail", self.tail)] {
            if let Some(fingerprint) = fingerprint {
                offset = offset.with(key, fingerprint.to_string());
            }
        }
        if self.newest.ns > 0 {
            offset = offset.with("newest", self.newest.ns);
        }
        if !self.newest.finished.is_empty() {
            let files: Vec<String> = self
                .newest
                .finished
                .iter()
                .map(|f| format!("{:016x}", f.0))
                .collect();
            offset = offset.with("finished", files.join("-"));
        }
        offset
    }

    /// Whether it says to which file it belongs.
    pub fn has_identity(&self) -> bool {
        self.file.is_some()
    }

    /// Whether anything of the contents was seen.
    pub fn has_contents(&self) -> bool {
        self.head.is_some() || self.tail.is_some()
    }

    /// Whether an open file holds what was read up to here.
    pub fn is_in(&self, file: &File, length: u64) -> io::Result<bool> {
        let stands = |print: Option<Fingerprint>, end| match print {
            Some(print) => print.stands(file, end),
            None => Ok(true),
        };
        Ok(length >= self.position
            && stands(self.head, None)?
            && stands(self.tail, Some(self.position))?)
    }
}

fn parse_file(text: &str) -> Option<(FileId, FileId)> {
    match parse_files(text).as_slice() {
        [directory, file] => Some((*directory, *file)),
        _ => None,
    }
}

fn parse_files(text: &str) -> Vec<FileId> {
    let number = |text| u64::from_str_radix(text, 16).ok().map(FileId);
    text.split('-').filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_being_stored_and_kafkas_form_is_one() {
        let place = Place {
            position: 42,
            file: Some((FileId(1), FileId(u64::MAX))),
            head: Fingerprint::of(b"head"),
            tail: Fingerprint::of(b"tail"),
            newest: Newest {
                ns: 1_764_000_000_000_000_001,
                finished: vec![FileId(7), FileId(8)],
            },
        };
        let stored = place.to_offset();
        assert_eq!(stored.u64("position"), Some(42));
        assert_eq!(Place::from_offset(&stored), place);
        let kafkas = Offset::new().with("position", 7);
        let read = Place::from_offset(&kafkas);
        assert!(!read.has_identity());
        assert_eq!((read.position, read.to_offset()), (7, kafkas));
    }

    #[test]
    fn what_is_no_identity_is_none() {
        let odd = Offset::from_json(
            r#"{"position":1,"file":"x","head":7,"tail":"9-","newest":"n","finished":1}"#,
        );
        let place = Place::from_offset(&odd.unwrap());
        assert_eq!(
            place,
            Place {
                position: 1,
                ..Place::default()
            }
        );
    }
}
