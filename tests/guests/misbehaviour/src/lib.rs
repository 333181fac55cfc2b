//! What a guest can do wrong in any export.
//!
//! A hostile guest is told by its configuration key `misbehave`: `WHAT-EXPORT`, such as
//! `trap-poll`, does one of [`GENERAL`]; every other word is the guest's own. `after` lets that many
//! calls of the export pass first.

use std::hint::black_box;
use std::time::Duration;

use tidegate_sdk::bindings::types::{Config, Failure};

/// What any export can be told to do. `once` is `retriable` one time only.
pub const GENERAL: [&str; 11] = [
    "trap",
    "panic",
    "loop",
    "alloc",
    "recurse",
    "slow",
    "exit",
    "log",
    "fatal",
    "retriable",
    "once",
];

/// How long `slow` sleeps: longer than any call may take.
const SLOW: Duration = Duration::from_secs(3600);
/// The pause `retriable` asks for, in milliseconds.
const PAUSE: u32 = 20;

/// What a guest was told to do.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The value of `misbehave`.
    pub word: String,
    calls_left: u32,
}

impl Orders {
    /// Reads `misbehave` and `after`.
    pub fn new(config: &Config) -> Self {
        let word = get(config, "misbehave").unwrap_or_default().to_owned();
        let calls_left = get(config, "after")
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        Self { word, calls_left }
    }

    /// The guest's own word, if there is one and its time has come; else an empty one. Counts a
    /// call.
    pub fn own_word(&mut self) -> String {
        if self.general().is_none() && self.due() {
            self.word.clone()
        } else {
            String::new()
        }
    }

    /// Does what the word says about `export`, if anything.
    pub fn obey(&mut self, export: &str) -> Result<(), Failure> {
        let Some(what) = self
            .general()
            .filter(|(_, of)| of == export)
            .map(|(what, _)| what)
        else {
            return Ok(());
        };
        if !self.due() {
            return Ok(());
        }
        match what {
            "trap" => std::process::abort(),
            "panic" => scream(),
            "loop" => spin(),
            "alloc" => hoard(),
            "recurse" => drop(black_box(recurse(black_box(1)))),
            "slow" => std::thread::sleep(SLOW),
            "exit" => std::process::exit(7),
            "log" => chatter(),
            "fatal" => return Err(Failure::Fatal(format!("told to fail in {export}"))),
            _ => return Err(again(export)),
        }
        Ok(())
    }

    /// As [`Orders::obey`], once: the next call of the export is well-behaved.
    pub fn obey_once(&mut self, export: &str) -> Result<(), Failure> {
        let once = self
            .general()
            .is_some_and(|(what, of)| what == "once" && of == export);
        let result = self.obey(export);
        if once && result.is_err() {
            self.word.clear();
        }
        result
    }

    /// What to do and in which export.
    fn general(&self) -> Option<(&'static str, String)> {
        let (what, of) = self.word.split_once('-')?;
        let what = GENERAL.iter().find(|known| **known == what)?;
        Some((what, of.to_owned()))
    }

    fn due(&mut self) -> bool {
        let due = self.calls_left == 0;
        self.calls_left = self.calls_left.saturating_sub(1);
        due
    }
}

/// The value of a key.
pub fn get<'a>(config: &'a Config, key: &str) -> Option<&'a str> {
    config
        .iter()
        .find(|(known, _)| known == key)
        .map(|(_, value)| value.as_str())
}

fn again(export: &str) -> Failure {
    Failure::Retriable((format!("told to be tried again in {export}"), Some(PAUSE)))
}

#[allow(clippy::panic)]
fn scream() {
    panic!("told to panic");
}

/// Never ends and never calls the host.
pub fn spin() {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes and touches memory until there is none.
fn hoard() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> [u64; 64] {
    let mut frame = recurse(black_box(depth + 1));
    if let Some(first) = frame.first_mut() {
        *first += depth;
    }
    frame
}

/// Writes more and longer lines than anyone wants.
fn chatter() {
    let long = "x".repeat(4 << 20);
    tidegate_sdk::bindings::log::write("error", &long, &[]);
    for line in 0..100_000 {
        tidegate_sdk::bindings::log::write("info", &format!("line {line}"), &[]);
        eprintln!("stderr line {line}");
    }
}
