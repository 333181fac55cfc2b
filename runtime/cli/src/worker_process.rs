//! A worker from start to end: build, serve, wait for a signal, drain in order. A second signal
//! ends the process at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tidegate_cluster::SledStore;
use tidegate_kafka::Kafka;
use tidegate_sandbox::{CompilerCommand, Sandbox, SandboxOptions};
use tidegate_worker::{Coordination, Ended, Worker, WorkerSettings, cluster_settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::CliError;
use crate::properties;

/// What runs beside REST and Kafka needs few threads; guests have their own.
const RUNTIME_THREADS: usize = 2;

/// How long open requests may delay the end of the tasks: a client that never ends its request shall
/// not keep them from their last commit.
const REST_DRAIN: Duration = Duration::from_secs(3);

/// Exit code of a second signal: ended by force.
const FORCED: i32 = 130;

/// What a worker begins with.
pub(crate) struct AtStart<'a> {
    /// Components to upload.
    pub(crate) plugins: &'a [PathBuf],
    /// Connectors to create or configure.
    pub(crate) connectors: &'a [PathBuf],
    /// Whether it is one of many.
    pub(crate) distributed: bool,
}

/// Runs a worker until a signal.
pub(crate) fn run(
    settings: WorkerSettings,
    start: &AtStart<'_>,
    announce: impl FnOnce(&[String]),
) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    let done = runtime.block_on(serve(settings, start, announce));
    // Whatever still blocks (a broker that does not answer) shall not hold the process.
    runtime.shutdown_background();
    done
}

async fn serve(
    settings: WorkerSettings,
    start: &AtStart<'_>,
    announce: impl FnOnce(&[String]),
) -> Result<(), CliError> {
    // Files are read before anything starts: a typo shall not leave half a worker.
    let connectors = start
        .connectors
        .iter()
        .map(|path| properties::connector(path))
        .collect::<Result<Vec<_>, _>>()?;
    let plugins = start
        .plugins
        .iter()
        .map(|path| properties::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut signals = Signals::new()?;
    let metrics_handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|e| CliError::Start(std::io::Error::other(e)))?;
    // Before it joins: a second start by mistake shall not disturb the cluster.
    let listeners = bind(&settings.listeners).await?;
    let worker = build(settings, start.distributed).await?;
    let (stop, stopped) = watch::channel(false);
    let (addresses, servers) = serve_rest(listeners, &worker, metrics_handle, &stopped)?;
    announce(&addresses);
    for (path, component) in start.plugins.iter().zip(plugins) {
        if let Err(error) = worker.upload(component).await {
            worker.shut_down(false).await;
            return Err(CliError::Usage(format!(
                "upload {}: {error}",
                path.display()
            )));
        }
    }
    for (name, config) in connectors {
        match worker.put_config(&name, config).await {
            Ok(_) => {}
            Err(error) => {
                worker.shut_down(false).await;
                return Err(CliError::Usage(format!("create connector {name}: {error}")));
            }
        }
    }
    let ended = tokio::select! {
        () = signals.next() => None,
        ended = worker.ended() => Some(ended),
    };
    match &ended {
        None => tracing::info!("stopping; a second signal ends the process at once"),
        Some(Ended::Removed) => tracing::info!("removed from the cluster; stopping"),
        Some(Ended::Failed(_)) => tracing::error!("stopping"),
    }
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("ended by a second signal");
        std::process::exit(FORCED);
    });
    // Refuse requests first, then end the tasks, which flush and commit.
    let _ = stop.send(true);
    let answered = async {
        for server in servers {
            let _ = server.await;
        }
    };
    if timeout(REST_DRAIN, answered).await.is_err() {
        tracing::warn!("requests are still open; the tasks end without waiting for them");
    }
    worker.shut_down(ended == Some(Ended::Removed)).await;
    tracing::info!("stopped");
    match ended {
        Some(Ended::Failed(reason)) => Err(CliError::NotAMember(reason)),
        _ => Ok(()),
    }
}

async fn build(settings: WorkerSettings, distributed: bool) -> Result<Worker, CliError> {
    for directory in &settings.directories {
        if !directory.is_dir() {
            tracing::warn!(
                "connectors cannot use {}: it is not a directory (tidegate.directories)",
                directory.display()
            );
        }
    }
    if !settings.ignored.is_empty() {
        tracing::warn!(
            "these keys of the worker's configuration mean nothing here: {}",
            settings.ignored.join(", ")
        );
    }
    let (kafka, ignored) = Kafka::new(settings.kafka.clone())?;
    if !ignored.is_empty() {
        tracing::warn!(
            "these Kafka client settings mean nothing here: {}",
            ignored.join(", ")
        );
    }
    let sandbox = Sandbox::new(SandboxOptions {
        cache_directory: settings.cache_directory.clone(),
        compiler: CompilerCommand {
            program: std::env::current_exe().map_err(CliError::Start)?,
            arguments: vec![crate::COMPILE.to_owned()],
        },
        limits: settings.limits,
    })?;
    let coordination = if distributed {
        Coordination::Cluster(Box::new(cluster_settings(&settings)?))
    } else {
        let store = Arc::new(SledStore::open(&settings.state_directory)?);
        Coordination::Standalone {
            log: store.clone(),
            store,
        }
    };
    Ok(Worker::start(settings, coordination, sandbox, kafka).await?)
}

/// Takes the ports.
async fn bind(addresses: &[String]) -> Result<Vec<TcpListener>, CliError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|error| refused(address, &error))?);
    }
    Ok(listeners)
}

fn refused(address: &str, error: &std::io::Error) -> CliError {
    CliError::Listen {
        address: address.to_owned(),
        reason: error.to_string(),
    }
}

type Server = tokio::task::JoinHandle<()>;

fn serve_rest(
    listeners: Vec<TcpListener>,
    worker: &Worker,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    stopped: &watch::Receiver<bool>,
) -> Result<(Vec<String>, Vec<Server>), CliError> {
    let router = tidegate_api::router(worker.clone(), metrics);
    let (mut addresses, mut servers) = (Vec::new(), Vec::new());
    for listener in listeners {
        let address = listener.local_addr();
        let address = address.map_err(|error| refused("a port", &error))?;
        addresses.push(format!("http://{address}"));
        let (router, mut stopped) = (router.clone(), stopped.clone());
        servers.push(tokio::spawn(async move {
            let shutdown = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(shutdown)
                .await
            {
                tracing::error!("serve REST: {error}");
            }
        }));
    }
    Ok((addresses, servers))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(CliError::Start)?,
            interrupt: signal(SignalKind::interrupt()).map_err(CliError::Start)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
