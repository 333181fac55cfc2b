//! Lines of the `log` crate on their way to the host.

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

struct HostLog;

static LOG: HostLog = HostLog;

impl Log for HostLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        host::enabled(name(metadata.level()))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut fields = Fields(vec![("target".to_owned(), record.target().to_owned())]);
        // A field that cannot be shown is not worth losing the line.
        let _ = record.key_values().visit(&mut fields);
        host::write(name(record.level()), &record.args().to_string(), &fields.0);
    }

    fn flush(&self) {}
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.to_string(), value.to_string()));
        Ok(())
    }
}

/// Installs the logger and takes over the host's level. Called before the rare calls (not before
/// `poll` and `put`), so that a level changed at run time is seen soon.
pub(crate) fn refresh() {
    // Fails from the second time on, which is as good.
    let _ = log::set_logger(&LOG);
    let levels = [
        LevelFilter::Trace,
        LevelFilter::Debug,
        LevelFilter::Info,
        LevelFilter::Warn,
    ];
    let enabled = |filter: &LevelFilter| filter.to_level().is_some_and(|l| host::enabled(name(l)));
    log::set_max_level(
        levels
            .into_iter()
            .find(enabled)
            .unwrap_or(LevelFilter::Error),
    );
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::log as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::log_host as host;
