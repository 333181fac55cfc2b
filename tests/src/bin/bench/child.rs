//! Work in a process of its own, so that its CPU time and memory are counted alone.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tidegate_tests::meter::Meter;

use crate::report::Figures;

/// Runs this program with other arguments, and takes the figures that it prints.
pub fn run(arguments: &[&str]) -> Figures {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    Figures {
        seconds: answer["seconds"].as_f64().unwrap(),
        cpu_seconds: answer["cpu_seconds"].as_f64().unwrap(),
        peak_mib: answer["peak_mib"].as_u64().unwrap(),
    }
}

/// In that process: what it has cost since.
pub struct Watch {
    meter: Meter,
    start: Instant,
}

impl Watch {
    /// From now on.
    pub fn start() -> Self {
        Self {
            meter: Meter::start(std::process::id()),
            start: Instant::now(),
        }
    }

    /// Until now.
    pub fn print(self) {
        println!(
            "{}",
            json!({
                "seconds": self.start.elapsed().as_secs_f64(),
                "cpu_seconds": self.meter.cpu_seconds(),
                "peak_mib": self.meter.peak_mib(),
            })
        );
    }
}
