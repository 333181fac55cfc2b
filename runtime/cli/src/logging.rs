//! The log: to standard error, since standard output belongs to answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::arguments::{LogFormat, Logging};
use crate::error::CliError;

/// At the end of every clean stop the wrapper of librdkafka reports, as an error, that the consumer it
/// is about to close has been closed. What matters about consumers comes by other targets.
const NOISE: &str = "rdkafka::consumer::base_consumer=off";

pub(crate) fn start(logging: &Logging) -> Result<(), CliError> {
    // What the user says of the same target comes later, and wins.
    let filter = EnvFilter::try_new(format!("{NOISE},{}", logging.log))
        .map_err(|e| CliError::Usage(format!("--log {}: {e}", logging.log)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match logging.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
