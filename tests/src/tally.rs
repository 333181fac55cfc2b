//! Counts what became of numbered lines on their way.

use std::fmt;

/// What arrived of lines numbered 0 to `expected` - 1.
#[derive(Debug)]
pub struct Tally {
    seen: Vec<u32>,
    highest: Option<usize>,
    /// Lines that overtook an earlier one, repeats apart: first sightings out of order.
    pub out_of_order: usize,
    /// Lines that nobody sent.
    pub foreign: Vec<String>,
}

impl Tally {
    /// Of nothing yet.
    pub fn new(expected: usize) -> Self {
        Self {
            seen: vec![0; expected],
            highest: None,
            out_of_order: 0,
            foreign: Vec::new(),
        }
    }

    /// Of lines in the order in which they arrived.
    pub fn of<'a>(expected: usize, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tally = Self::new(expected);
        lines.into_iter().for_each(|line| tally.add(line));
        tally
    }

    /// One more line arrived.
    pub fn add(&mut self, line: &str) {
        let number = crate::files::number_of(line);
        let Some((number, count)) = number.and_then(|n| Some((n, self.seen.get_mut(n)?))) else {
            self.foreign.push(line.to_owned());
            return;
        };
        *count += 1;
        if *count > 1 {
            return;
        }
        match self.highest {
            Some(highest) if number < highest => self.out_of_order += 1,
            _ => self.highest = Some(number),
        }
    }

    /// Lines that never arrived.
    pub fn missing(&self) -> usize {
        self.seen.iter().filter(|count| **count == 0).count()
    }

    /// Arrivals beyond the first of each line.
    pub fn duplicates(&self) -> usize {
        self.seen
            .iter()
            .map(|count| count.saturating_sub(1) as usize)
            .sum()
    }

    /// All lines arrived, in order apart from repeats, and nothing else did.
    #[track_caller]
    pub fn assert_complete(&self) {
        let first = self.seen.iter().position(|count| *count == 0);
        assert_eq!(
            self.missing(),
            0,
            "lines missing, the first is {first:?}; {self}"
        );
        assert_eq!(self.out_of_order, 0, "lines out of order; {self}");
        assert!(
            self.foreign.is_empty(),
            "foreign lines; {self}: {:.5?}",
            self.foreign
        );
    }

    /// Complete, and every line came once.
    #[track_caller]
    pub fn assert_exact(&self) {
        self.assert_complete();
        assert_eq!(self.duplicates(), 0, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, duplicates) = (self.missing(), self.duplicates());
        let Self {
            out_of_order,
            foreign,
            ..
        } = self;
        let sent = self.seen.len();
        let foreign = foreign.len();
        write!(
            f,
            "{sent} sent, {missing} missing, {duplicates} duplicates, {out_of_order} out of order, {foreign} foreign"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::line;

    fn tally(numbers: &[usize]) -> Tally {
        let lines: Vec<String> = numbers.iter().map(|n| line(*n)).collect();
        Tally::of(4, lines.iter().map(String::as_str))
    }

    #[test]
    fn repeats_are_not_disorder() {
        let tally = tally(&[0, 1, 2, 1, 2, 3]);
        assert_eq!(
            (tally.missing(), tally.duplicates(), tally.out_of_order),
            (0, 2, 0)
        );
        tally.assert_complete();
    }

    #[test]
    fn losses_disorder_and_strangers_are_seen() {
        let mut tally = tally(&[0, 2, 1, 9]);
        tally.add("half a li");
        assert_eq!(
            (tally.missing(), tally.duplicates(), tally.out_of_order),
            (1, 0, 1)
        );
        assert_eq!(tally.foreign.len(), 2);
    }
}
