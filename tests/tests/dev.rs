//! `tidegate dev`: a worker with a Kafka in memory, for a first hour without a broker.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate_tests::files::append_lines;
use tidegate_tests::paths;
use tidegate_tests::ports::free_port;
use tidegate_tests::process::{Process, command};
use tidegate_tests::rest::Rest;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(60);

/// Through source, embedded Kafka and sink: what works against a broker but not here is found by whoever
/// tries Tidegate first.
#[test]
fn lines_go_through_an_embedded_kafka_from_file_to_file() {
    let scratch = Scratch::new("dev");
    let (input, output) = (scratch.join("in.txt"), scratch.join("out.txt"));
    append_lines(&input, 0, 1000);
    let source = scratch.join("source.properties");
    let text = "name=source\nconnector.class=FileStreamSource\nfile=in.txt\ntopic=lines\n";
    fs::write(&source, text).unwrap();
    let sink = scratch.join("sink.properties");
    let text = "name=sink\nconnector.class=FileStreamSink\nfile=out.txt\ntopics.regex=lin\\\\w+\n";
    fs::write(&sink, text).unwrap();

    let port = free_port();
    let mut dev = command(paths::tidegate());
    dev.current_dir(scratch.path())
        .args(["dev", "--port", &port.to_string()])
        .args(["--set", "value.converter=StringConverter"]);
    for plugin in ["file-source", "file-sink"] {
        dev.arg("--plugin").arg(paths::guest(plugin));
    }
    dev.args([&source, &sink]);
    let mut process = Process::spawn(dev, &scratch.join("dev.log"));
    process.wait_ready("dev answers", LIMIT, |_| Rest::new(port).try_get("/"));

    // The topic that is made has several partitions.
    let sorted = |file: &Path| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let written = sorted(&input);
    wait_until("all lines arrive", LIMIT, || sorted(&output) == written);
    let rest = Rest::new(port);
    rest.wait_for_state("source", "RUNNING");
    rest.wait_for_state("sink", "RUNNING");
}
