//! Running the Java classes of the real Kafka.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::paths;
use crate::process;

/// `java` with Kafka's class path and a heap, as a [`process::command`].
pub fn command(heap: &str) -> Command {
    let kafka = paths::kafka();
    let mut command = process::command("java");
    command
        .arg(format!("-Xmx{heap}"))
        .arg("-Djava.awt.headless=true")
        .arg(format!(
            "-Dlog4j2.configurationFile={}",
            kafka.join("log4j2.yaml").display()
        ))
        .arg("-cp")
        .arg(format!("{}/*", kafka.join("libs").display()));
    command
}

/// Runs a tool to its end and answers what it printed; panics if it fails.
pub fn run(mut command: Command) -> String {
    // Waited for at once, so the calling thread outlives it.
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs a class given as source text: Java compiles a single file by itself.
pub fn run_source(directory: &Path, class: &str, source: &str, arguments: &[&str]) -> String {
    let file = directory.join(format!("{class}.java"));
    fs::write(&file, source).unwrap();
    let mut command = command("128m");
    command.arg(file).args(arguments);
    run(command)
}
