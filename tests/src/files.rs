//! Files of numbered lines.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use crate::tally::Tally;

/// How long every line is, without its end.
pub const LINE_LENGTH: usize = 100;

/// Line `number`.
pub fn line(number: usize) -> String {
    format!("{:x<LINE_LENGTH$}", format!("line-{number:09}-"))
}

/// The number of a whole line of [`line`].
pub fn number_of(line: &str) -> Option<usize> {
    let (number, padding) = line.strip_prefix("line-")?.split_once('-')?;
    let whole = line.len() == LINE_LENGTH && padding.bytes().all(|byte| byte == b'x');
    number.parse().ok().filter(|_| whole)
}

/// Appends lines `from` to `to` - 1; makes the file if need be.
pub fn append_lines(path: &Path, from: usize, to: usize) {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for number in from..to {
        writeln!(out, "{}", line(number)).unwrap();
    }
    out.flush().unwrap();
}

/// About how many whole lines a growing file has, without reading it.
pub fn estimate_lines(path: &Path) -> usize {
    std::fs::metadata(path).map_or(0, |data| data.len() as usize / (LINE_LENGTH + 1))
}

/// Counts the lines of a file against what was sent.
pub fn tally_file(path: &Path, expected: usize) -> Tally {
    let mut tally = Tally::new(expected);
    for line in BufReader::with_capacity(1 << 20, File::open(path).unwrap()).lines() {
        tally.add(&line.unwrap());
    }
    tally
}

/// How many lines a file has; none if it does not exist.
pub fn count_lines(path: &Path) -> usize {
    let Ok(file) = File::open(path) else { return 0 };
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut count = 0;
    loop {
        let buffer = reader.fill_buf().unwrap();
        if buffer.is_empty() {
            return count;
        }
        count += buffer.iter().filter(|byte| **byte == b'\n').count();
        let length = buffer.len();
        reader.consume(length);
    }
}

/// The last whole line of a file, read from its end.
pub fn last_line(path: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096)))
        .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    tail.strip_suffix('\n')?.lines().last().map(str::to_owned)
}
