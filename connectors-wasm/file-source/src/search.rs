//! Where to read on: which of the files around a path holds a place, and which comes next.

use std::fs::File;
use std::io::{self, ErrorKind};

use tidegate_sdk::prelude::*;

use crate::contents::HEAD_BYTES;
use crate::identity::{FileId, Seen};
use crate::place::{Newest, Place};
use crate::rotated::{Neighbour, Neighbours};

/// What is to be read next.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Whatever the path names, from its start.
    Start,
    /// What is behind a place, wherever its file is now.
    Behind(Place),
    /// The file that came after this one, which is finished.
    After(Place),
}

/// A file and where to begin in it.
#[derive(Debug)]
pub struct Next {
    pub found: Neighbour,
    pub position: u64,
    pub newest: Newest,
}

impl Next {
    fn at(found: Neighbour, position: u64, newest: &Newest) -> Self {
        Self {
            found,
            position,
            newest: newest.clone(),
        }
    }
}

/// Opens what a path names now. None: nothing.
pub fn open_path(path: &str) -> Result<Option<Neighbour>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let doing = format!(
                "open {path} (check who may read it, and that it is no link to a place outside of the \
                 directory that the connector was granted)"
            );
            return Err(Failure::from(error).context(doing));
        }
    };
    let seen = Seen::of(&file).or_fail(format!("look at {path}"))?;
    Ok(Some(Neighbour {
        path: path.to_owned(),
        file,
        seen,
    }))
}

/// What is to be read, if it is there.
pub fn next(path: &str, neighbours: &Neighbours, wanted: &Wanted) -> Result<Option<Next>> {
    // The path first, the directory afterwards: what is rotated in between is read as the path's.
    let at_path = open_path(path)?;
    let doing = || format!("look for rotated files beside {path}");
    match wanted {
        Wanted::Start => first(neighbours, 0, at_path).or_fail(doing()),
        Wanted::Behind(place) if !place.has_identity() => {
            let mut position = place.position;
            if at_path
                .as_ref()
                .is_some_and(|one| position > one.seen.length)
            {
                log::warn!("{path} is shorter than position {position}, reading it from the start");
                position = 0;
            }
            first(neighbours, position, at_path).or_fail(doing())
        }
        Wanted::Behind(place) => behind(path, neighbours, place, at_path).or_fail(doing()),
        Wanted::After(place) => after(neighbours, place, true, at_path).or_fail(doing()),
    }
}

/// What the path names, which is the first file that is followed.
fn first(
    neighbours: &Neighbours,
    position: u64,
    at_path: Option<Neighbour>,
) -> io::Result<Option<Next>> {
    let Some(found) = at_path else {
        return Ok(None);
    };
    let mut newest = Newest::default();
    neighbours.skip_all(&mut newest)?;
    Ok(Some(Next::at(found, position, &newest)))
}

/// The rest of the file that was read up to `place`.
fn behind(
    path: &str,
    neighbours: &Neighbours,
    place: &Place,
    at_path: Option<Neighbour>,
) -> io::Result<Option<Next>> {
    let Some((directory, id)) = place.file else {
        return Ok(None);
    };
    if !place.has_contents() {
        // Nothing of it was seen, so it may have been truncated as well: all that came since is read.
        return after(neighbours, place, false, at_path);
    }
    let next = |found| Some(Next::at(found, place.position, &place.newest));
    let holds = |one: &Neighbour| place.is_in(&one.file, one.seen.length);
    let comparable = directory == neighbours.directory();
    let is = |one: &Option<Neighbour>, id| one.as_ref().is_some_and(|one| one.seen.file == id);
    if let Some(found) = &at_path
        && found.seen.file == id
        && holds(found)?
    {
        return Ok(at_path.and_then(next));
    }
    if comparable
        && !is(&at_path, id)
        && let Some(found) = neighbours.find(id)?
        && holds(&found)?
    {
        log::info!(
            "{path} was rotated, going on at position {} of {}, where its lines are now",
            place.position,
            found.path
        );
        return Ok(next(found));
    }
    // A copy under the old name: restored, saved by an editor, or on a device that got another number.
    // Too little in common, and it would be a new file with the same first line.
    if let Some(found) = &at_path
        && (!comparable || is_telling(place))
        && place.position > 0
        && holds(found)?
    {
        return Ok(at_path.and_then(next));
    }
    let mut after_copy = place.clone();
    if let Some(copy) = copy(neighbours, place, at_path.as_ref())? {
        if copy.seen.length > place.position {
            log::info!(
                "{path} was truncated or replaced, going on at position {} of {}, which holds its \
                 lines",
                place.position,
                copy.path
            );
            return Ok(next(copy));
        }
        // Nothing is missing.
        after_copy
            .newest
            .finish(copy.seen.file, copy.seen.modified_ns);
    } else if at_path.is_some() {
        say_lost(path, neighbours, place)?;
    }
    after(neighbours, &after_copy, false, at_path)
}

/// What was written after the file of `place`: what rotation left, the oldest first, and in the end
/// what the path names. `finished`: its rest was read.
fn after(
    neighbours: &Neighbours,
    place: &Place,
    finished: bool,
    at_path: Option<Neighbour>,
) -> io::Result<Option<Next>> {
    let newest = &place.newest;
    let left = place.file.map(|(_, id)| id).filter(|_| finished);
    let current = at_path.as_ref().map(|found| found.seen.file);
    for found in neighbours.newer_than(newest)? {
        let id: Option<FileId> = Some(found.seen.file);
        let is_copy = is_telling(place) && place.is_in(&found.file, found.seen.length)?;
        if id != left && id != current && !is_copy {
            log::info!("going on with {}, which was rotated meanwhile", found.path);
            return Ok(Some(Next::at(found, 0, newest)));
        }
    }
    let Some(found) = at_path else {
        return Ok(None);
    };
    // Saved by an editor, which writes a new file and gives it the old name.
    let is_same = finished
        && left != current
        && is_telling(place)
        && place.is_in(&found.file, found.seen.length)?;
    let position = if is_same { place.position } else { 0 };
    Ok(Some(Next::at(found, position, newest)))
}

/// A file that rotation left and that begins with what was read, as copytruncate makes them.
fn copy(
    neighbours: &Neighbours,
    place: &Place,
    at_path: Option<&Neighbour>,
) -> io::Result<Option<Neighbour>> {
    if place.position == 0 {
        return Ok(None);
    }
    // What was copied before the last look holds nothing that is new.
    let since = Newest {
        ns: place.newest.ns - 1,
        finished: Vec::new(),
    };
    for found in neighbours.newer_than(&since)? {
        let is_path = at_path.is_some_and(|one| one.seen.file == found.seen.file);
        if !is_path && place.is_in(&found.file, found.seen.length)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether so much was read that another file has not the same contents up to there by accident.
fn is_telling(place: &Place) -> bool {
    place.position >= HEAD_BYTES as u64 && place.has_contents()
}

fn say_lost(path: &str, neighbours: &Neighbours, place: &Place) -> io::Result<()> {
    let compressed = neighbours.compressed(&place.newest)?;
    let where_else = match compressed.as_slice() {
        [] => String::new(),
        some => format!(
            " ({} compressed files beside it are newer than that, and are not read: {})",
            some.len(),
            some.join(", ")
        ),
    };
    log::warn!(
        "{path} was truncated, removed or replaced after {} bytes of it were read, and no file beside \
         it begins with them: lines that stood behind them cannot be read{where_else}; going on with \
         what was written since, from its start",
        place.position
    );
    Ok(())
}
