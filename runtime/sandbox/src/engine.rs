//! The engine all guests share, the threads they run on and the clock that interrupts them.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::bindings;
use crate::compile::{Compiler, CompilerCommand};
use crate::limits::Limits;
use crate::links;
use crate::state::HostState;

/// How often guests give control back; also the grain of CPU limits.
const EPOCH: Duration = Duration::from_millis(10);

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where compiled components are kept; made if missing, for this user alone.
    pub cache_directory: PathBuf,
    /// The program that compiles, in a process of its own.
    pub compiler: CompilerCommand,
    /// Limits of calls on connectors (describe, validate, plan).
    pub limits: Limits,
}

/// Why a sandbox cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refuses this machine or configuration.
    #[error("set up the wasm engine: {0}")]
    Engine(String),
    /// The threads for guests could not be started.
    #[error("start guest threads: {0}")]
    Threads(std::io::Error),
    /// The cache directory is not usable or not safe.
    #[error("prepare the cache directory {path}: {reason}")]
    Cache {
        /// The directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Compiles and runs components. One per worker; cheap to share.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) compiler: Compiler,
    pub(crate) limits: Limits,
    guests: Option<Runtime>,
}

impl Shared {
    pub(crate) fn guests(&self) -> &tokio::runtime::Handle {
        // Taken only while dropping.
        match &self.guests {
            Some(runtime) => runtime.handle(),
            None => unreachable!("the guest threads live as long as the sandbox"),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which an async caller must not do.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

/// The configuration that compiler and runtime have to agree on.
///
/// On-demand allocation and not the pool: a task is one instance that lives as long as the task,
/// so instantiation is not on any hot path, and no slot shape can refuse a component.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config
}

impl Sandbox {
    /// Starts the engine, the guest threads (one less than cores, at least one) and the ticker.
    ///
    /// # Errors
    /// [`SandboxError`] names what this machine lacks.
    pub fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        let engine = Engine::new(&config()).map_err(|e| SandboxError::Engine(format!("{e:#}")))?;
        let linker = linker(&engine).map_err(|e| SandboxError::Engine(format!("{e:#}")))?;
        let compiler = Compiler::new(&engine, options.compiler, options.cache_directory)?;
        start_ticker(&engine).map_err(SandboxError::Threads)?;
        // Last: dropped by an error that comes after it, a runtime panics in its async caller.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let guests = Builder::new_multi_thread()
            .worker_threads(cores.saturating_sub(1).max(1))
            .thread_name("guest")
            .enable_all()
            .build()
            .map_err(SandboxError::Threads)?;
        let shared = Shared {
            engine,
            linker,
            compiler,
            limits: options.limits,
            guests: Some(guests),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    links::add_to_linker(&mut linker)?;
    bindings::plugin::Plugin::add_to_linker::<_, wasmtime::component::HasSelf<HostState>>(
        &mut linker,
        |state| state,
    )?;
    Ok(linker)
}

/// Epochs move while the engine lives; the thread ends with it.
fn start_ticker(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH);
            }
        })?;
    Ok(())
}
