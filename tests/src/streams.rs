//! What `numbered-source` wrote, counted: streams of the numbers 0, 1, 2, ...

use std::collections::BTreeMap;

use crate::kafka::Kafka;

/// The numbers of each stream, in the order in which they lie in the topic.
#[derive(Debug, Default)]
pub struct Streams(BTreeMap<u64, Vec<u64>>);

impl Streams {
    /// What a consumer with `isolation.level=read_committed` sees now.
    pub fn read(kafka: &Kafka, topic: &str) -> Self {
        let mut streams = Self::default();
        for record in kafka.read_committed(topic) {
            streams.add(&record.text());
        }
        streams
    }

    /// One more record.
    pub fn add(&mut self, value: &str) {
        let (stream, number) = value.split_once(' ').expect("STREAM NUMBER");
        let numbers = self.0.entry(stream.parse().unwrap()).or_default();
        numbers.push(number.parse().unwrap());
    }

    /// How far every one of so many streams has come without a gap.
    pub fn least(&self, streams: usize) -> u64 {
        let reached = |stream: u64| {
            let mut numbers = self.0.get(&stream).cloned().unwrap_or_default();
            numbers.sort_unstable();
            numbers.dedup();
            let gapless = (0..).zip(&numbers).take_while(|(at, n)| at == *n);
            gapless.count() as u64
        };
        (0..streams as u64).map(reached).min().unwrap_or(0)
    }

    /// Every number below the highest is there, in every stream: nothing is lost.
    #[track_caller]
    pub fn assert_complete(&self, streams: usize) {
        assert_eq!(self.0.len(), streams, "streams");
        for (stream, numbers) in &self.0 {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let gap = (0..).zip(&sorted).find(|(at, number)| at != *number);
            assert_eq!(gap, None, "stream {stream} has a gap (expected, found)");
        }
    }

    /// Complete, in order, and every number once.
    #[track_caller]
    pub fn assert_exact(&self, streams: usize) {
        assert_eq!(self.0.len(), streams, "streams");
        for (stream, numbers) in &self.0 {
            let wrong = (0..).zip(numbers).find(|(at, number)| at != *number);
            assert_eq!(
                wrong, None,
                "stream {stream} repeats or leaves out (expected, found)"
            );
        }
    }

    /// Numbers that came more than once.
    pub fn repeats(&self) -> usize {
        let repeats = self.0.values().map(|numbers| {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            numbers.len() - sorted.len()
        });
        repeats.sum()
    }
}
