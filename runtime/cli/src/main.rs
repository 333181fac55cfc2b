//! The `tidegate` command: runs a worker, and talks to one.
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod cluster;
mod connector;
mod dev;
mod error;
mod logging;
mod plugin;
mod properties;
mod standalone;
mod table;
mod worker;
mod worker_process;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::arguments::{Arguments, Command};
use crate::error::CliError;

/// The hidden subcommand that the worker starts for each compilation.
const COMPILE: &str = "compile-component";

fn main() -> ExitCode {
    // A closed pipe (`tidegate plugin list | head`) shall end a command, not make it panic. Workers
    // must not die of one, but they write to sockets with their own error handling.
    let serves = std::env::args()
        .nth(1)
        .is_some_and(|first| ["standalone", "worker", "dev"].contains(&first.as_str()));
    if !serves {
        sigpipe::reset();
    }
    // Before anything else: this process is to have nothing but the compiler in it.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == COMPILE)
    {
        return tidegate_sandbox::compile_child();
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error}");
            error.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), CliError> {
    match arguments.command {
        Command::Standalone(options) => standalone::run(&options),
        Command::Worker(options) => worker::run(&options),
        Command::Dev(options) => dev::run(&options),
        Command::Plugin { server, command } => plugin::run(&server, command),
        Command::Connector { server, command } => connector::run(&server, command),
        Command::Cluster { server, command } => cluster::run(&server, command),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "tidegate", &mut std::io::stdout());
            Ok(())
        }
    }
}
