//! A real PgBouncer in front of a PostgreSQL, which hands each transaction to the next of two
//! server processes.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::ports::free_port;
use crate::postgres::{PASSWORD, Postgres, USER};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait::wait_until;

const PROGRAM: &str = "/usr/sbin/pgbouncer";
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running pooler. Ends with the value, or with the process.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _scratch: Scratch,
    _process: Process,
}

impl PgBouncer {
    /// One that pools the transactions of the databases of `server`; none, with a word about it, if
    /// it is not installed.
    pub fn start(server: &Postgres) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("skipped: there is no {PROGRAM}, run: apt-get install pgbouncer");
            return None;
        }
        let scratch = Scratch::new("pgbouncer");
        let port = free_port();
        let users = scratch.join("users");
        fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n",
            server.port(),
            users.display()
        );
        let file = scratch.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let mut command = server.as_owner(PROGRAM);
        command.arg(&file);
        for path in [scratch.path(), &users, &file] {
            crate::postgres::give(path, None);
        }
        let process = Process::spawn(command, &scratch.join("log"));
        wait_until("PgBouncer listens", START_LIMIT, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(Self {
            port,
            _scratch: scratch,
            _process: process,
        })
    }

    /// What a connector's `connection.url` says; without user and password.
    pub fn url(&self, database: &str) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{database}", self.port)
    }
}
