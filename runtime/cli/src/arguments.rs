//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Moves data between Kafka and everything else, from configuration alone. Connectors are
/// WebAssembly components, uploaded over HTTP.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a worker in one process, against any Kafka.
    Standalone(Standalone),
    /// Runs one worker of a cluster: as many as you start with the same group.id share the work.
    Worker(Worker),
    /// Runs a worker with a Kafka in memory, for trying out; nothing of it is kept.
    Dev(Dev),
    /// Uploads, lists and deletes plugins.
    Plugin {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Creates, watches and steers connectors.
    Connector {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        command: ConnectorCommand,
    },
    /// Shows who is in the cluster and what runs where; sends workers away.
    Cluster {
        #[command(flatten)]
        server: Server,
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Prints completions for a shell, for example: tidegate completions bash >
    /// /etc/bash_completion.d/tidegate
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Standalone {
    /// The worker's configuration, with Kafka Connect's keys; docs/worker-configuration.md lists
    /// them.
    pub(crate) worker_properties: PathBuf,
    /// Connectors to create or update at the start: {"name","config"} or a flat map in .json, or
    /// .properties.
    pub(crate) connectors: Vec<PathBuf>,
    /// A component to upload at the start; may be given several times.
    #[arg(long = "plugin", value_name = "FILE")]
    pub(crate) plugins: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The worker's configuration, with Kafka Connect's keys of distributed mode; docs/cluster.md
    /// has an example.
    pub(crate) worker_properties: PathBuf,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Port of the REST API on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8083)]
    pub(crate) port: u16,
    /// A directory that connectors may read and write; may be given several times. The current
    /// directory if absent.
    #[arg(long = "allow-directory", value_name = "DIRECTORY")]
    pub(crate) directories: Vec<PathBuf>,
    /// Further worker configuration, such as --set offset.flush.interval.ms=1000.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Connectors to create at the start.
    pub(crate) connectors: Vec<PathBuf>,
    /// A component to upload at the start; may be given several times.
    #[arg(long = "plugin", value_name = "FILE")]
    pub(crate) plugins: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What to log, as in tracing's filters: info, debug, warn,guest=debug.
    #[arg(long, env = "TIDEGATE_LOG", default_value = "info")]
    pub(crate) log: String,
    /// How to log.
    #[arg(long, env = "TIDEGATE_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// The worker's REST address.
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_URL",
        default_value = "http://localhost:8083"
    )]
    pub(crate) url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Uploads components.
    Push {
        /// .wasm files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists the plugins of a worker.
    List {
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a plugin says of itself and how it is configured.
    Inspect {
        /// Its name, or any connector.class that means it.
        name: String,
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deletes a plugin; refused while a connector uses it.
    Delete {
        /// Its name.
        name: String,
        /// Only this version.
        #[arg(long)]
        version: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Creates connectors.
    Create {
        /// {"name","config"} or a flat map in .json, or .properties.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The state to create them in.
        #[arg(long, default_value = "running")]
        state: InitialState,
    },
    /// Lists connectors and what they are doing.
    List {
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a connector and its tasks are doing, with the trace of what failed.
    Status {
        /// Which connector.
        name: String,
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a connector's configuration, or replaces it.
    Config {
        /// Which connector.
        name: String,
        /// The new configuration, as for create.
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
        /// Print the configuration as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Stops the work and keeps the tasks.
    Pause {
        /// Which connector.
        name: String,
    },
    /// Goes on after pause or stop.
    Resume {
        /// Which connector.
        name: String,
    },
    /// Stops the work and ends the tasks.
    Stop {
        /// Which connector.
        name: String,
    },
    /// Starts a connector again, with its tasks.
    Restart {
        /// Which connector.
        name: String,
        /// Only this task.
        #[arg(long)]
        task: Option<u32>,
        /// Only what is FAILED.
        #[arg(long)]
        only_failed: bool,
    },
    /// Deletes a connector; its offsets survive.
    Delete {
        /// Which connector.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows workers, the leader, shards, tasks, weights and moves that are under way.
    Status {
        /// Print the worker's answer as JSON.
        #[arg(long)]
        json: bool,
        /// Show it again every so many seconds, until interrupted.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
        watch: Option<u64>,
    },
    /// Has a worker give all its tasks to the others and end, for good. For a restart, SIGTERM and
    /// group.instance.id are better: nothing moves then.
    Remove {
        /// Its id, as cluster status shows it.
        worker: String,
        /// Return at once, and not when it has gone.
        #[arg(long)]
        no_wait: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum InitialState {
    /// At work.
    Running,
    /// Without tasks until resumed.
    Paused,
    /// Without tasks until resumed.
    Stopped,
}

impl InitialState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }
}
