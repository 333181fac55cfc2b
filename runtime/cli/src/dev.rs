//! `tidegate dev`: a worker and a Kafka in one process. State lives in a temporary directory, since
//! the records do not survive either and offsets without their records would be wrong.

use std::path::PathBuf;

use tidegate_kafka::EmbeddedKafka;
use tidegate_model::config::ConfigMap;
use tidegate_worker::{Mode, WorkerSettings};

use crate::arguments::Dev;
use crate::error::CliError;
use crate::worker_process::AtStart;
use crate::{logging, worker_process};

const NOTICE: &str = "\
tidegate dev: a worker with a Kafka in memory, for trying out on one machine.
  It keeps at most 5 MiB a partition: a source waits until a sink has read what it wrote, so create
  sinks first. Nothing is kept when it ends. For real work: tidegate standalone worker.properties";

pub(crate) fn run(options: &Dev) -> Result<(), CliError> {
    logging::start(&options.logging)?;
    let state = tempfile::tempdir().map_err(CliError::Start)?;
    let raw = settings(options, state.path().display().to_string())?;
    let kafka = EmbeddedKafka::start()?;
    let bootstrap_servers = kafka.bootstrap_servers().to_owned();
    let settings = WorkerSettings::parse(&raw, Mode::Dev(kafka))?;
    eprintln!("{NOTICE}");
    let start = AtStart {
        plugins: &options.plugins,
        connectors: &options.connectors,
        distributed: false,
    };
    worker_process::run(settings, &start, |addresses| {
        let url = addresses.first().map_or("", String::as_str);
        eprintln!(
            "Ready.\n  REST    {url}\n  Kafka   {bootstrap_servers}\nNext:\n  \
             curl --data-binary @plugin.wasm {url}/plugins\n  \
             tidegate --help"
        );
    })
}

fn settings(options: &Dev, state_directory: String) -> Result<ConfigMap, CliError> {
    let current = std::env::current_dir().map_err(CliError::Start)?;
    let directories = if options.directories.is_empty() {
        vec![current]
    } else {
        options.directories.clone()
    };
    let list: Vec<String> = directories
        .iter()
        .map(|d| d.display().to_string())
        .collect();
    let mut raw: ConfigMap = [
        ("tidegate.state.directory", state_directory),
        ("tidegate.directories", list.join(",")),
        ("listeners", format!("http://127.0.0.1:{}", options.port)),
        // What one types at a prompt is text.
        (
            "key.converter",
            "org.apache.kafka.connect.storage.StringConverter".to_owned(),
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter".to_owned(),
        ),
        ("offset.flush.interval.ms", "1000".to_owned()),
        // What is not acked is not counted yet, and must not add up to what the embedded Kafka keeps.
        ("tidegate.source.in.flight.max.bytes", "524288".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    // Compiled plugins are worth keeping between runs: the next upload is instant.
    if let Some(cache) = cache_directory() {
        raw.insert(
            "tidegate.cache.directory".to_owned(),
            cache.display().to_string(),
        );
    }
    for setting in &options.settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("--set {setting}: write KEY=VALUE")))?;
        raw.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(raw)
}

fn cache_directory() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("tidegate").join("compiled"))
}
