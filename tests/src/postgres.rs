//! A real PostgreSQL on loopback, with passwords (SCRAM) and TLS.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Signal, geteuid};

use crate::certificates::Certificates;
use crate::ports::free_port;
use crate::process::Process;
use crate::scratch::Scratch;

/// Owns every database, and may do anything.
pub const USER: &str = "alice";
/// A user who is let in with TLS only.
pub const TLS_USER: &str = "tlsonly";
/// The password of both.
pub const PASSWORD: &str = "alice-secret";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A server. Ends with the value, or with the process.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    scratch: Scratch,
    port: u16,
    certificates: Certificates,
    process: Option<Process>,
}

impl Postgres {
    /// The one that the tests of a file share who do nothing to it but make databases.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    /// Makes and starts one that forgets on a loss of power, which tests do not need.
    pub fn start() -> Self {
        Self::start_with("fsync = off\n")
    }

    /// The same with the durability that PostgreSQL has by itself, and room to write.
    pub fn start_durable() -> Self {
        Self::start_with("max_wal_size = 4GB\n")
    }

    /// The same with lines of `postgresql.conf` of one's own.
    pub fn start_with(settings: &str) -> Self {
        let scratch = Scratch::new("postgres");
        let mut server = Self {
            programs: programs(),
            certificates: Certificates::create(&scratch.join("tls")),
            scratch,
            port: free_port(),
            process: None,
        };
        server.create(settings);
        server.start_again();
        server.run_sql(
            "postgres",
            &format!("CREATE ROLE {TLS_USER} LOGIN SUPERUSER PASSWORD '{PASSWORD}'"),
        );
        server
    }

    /// Where it listens, on 127.0.0.1 and on 127.0.0.2; its certificate is for the first.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running server").pid()
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// What a connector's `connection.url` says; without user and password.
    pub fn url(&self, database: &str) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and answers its name.
    pub fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs statements as [`USER`]; panics with the server's words if one fails.
    pub fn run_sql(&self, database: &str, sql: &str) {
        self.rows(database, sql);
    }

    /// The rows of a query, columns with `|` between, NULL as nothing.
    pub fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let output = self
            .client(database)
            .args(["-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn client(&self, database: &str) -> Command {
        let mut client = Command::new(self.programs.join("psql"));
        client
            .args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", USER])
            .args(["-p", &self.port.to_string(), "-d", database])
            .env("PGPASSWORD", PASSWORD);
        client
    }

    /// Ends it at once, as a crash does: every session is cut.
    pub fn stop_immediately(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::QUIT);
            process.wait(STOP_LIMIT);
        }
    }

    /// Starts it on the data and port it had.
    pub fn start_again(&mut self) {
        let mut command = self.as_owner("postgres");
        command.arg("-D").arg(self.data());
        let mut process = Process::spawn(command, &self.scratch.join("server.log"));
        process.wait_ready("PostgreSQL starts", START_LIMIT, |_| {
            let answer = self
                .client("postgres")
                .args(["-c", "SELECT 1"])
                .output()
                .unwrap();
            answer.status.success().then_some(())
        });
        self.process = Some(process);
    }

    fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// A program of the server's. It refuses to run as root, so then it is the package's user's;
    /// and it is stopped with this process, the way that leaves nothing behind.
    pub(crate) fn as_owner(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if let Some((user, group)) = owner() {
            let (user, group) = (user.to_string(), group.to_string());
            command.args(["--reuid", &user, "--regid", &group, "--clear-groups"]);
        }
        command.arg("--").arg(self.programs.join(program));
        command
    }

    fn create(&self, more: &str) {
        let directory = self.scratch.path();
        let password = self.scratch.join("password");
        fs::write(&password, PASSWORD).unwrap();
        fs::create_dir(self.data()).unwrap();
        for path in [self.data(), password.clone()] {
            give(&path, None);
        }
        let made = self
            .as_owner("initdb")
            .arg("-D")
            .arg(self.data())
            .arg(format!("--pwfile={}", password.display()))
            .args(["-U", USER, "--auth=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .current_dir(directory)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {errors}");
        let key = self.data().join("server.pem");
        fs::copy(&self.certificates.server, &key).unwrap();
        give(&key, Some(0o600));
        let settings = format!(
            "listen_addresses = '127.0.0.1,127.0.0.2'\nport = {}\nunix_socket_directories = ''\n\
             max_connections = 200\ndeadlock_timeout = 100ms\nssl = on\nssl_cert_file = 'server.pem'\n\
             ssl_key_file = 'server.pem'\nlog_line_prefix = '%m %p %u %d '\n{more}",
            self.port
        );
        append(&self.data().join("postgresql.conf"), &settings);
        let hosts = format!(
            "hostssl all {TLS_USER} 127.0.0.0/8 scram-sha-256\n\
             host all {TLS_USER} 127.0.0.0/8 reject\n\
             host all all 127.0.0.0/8 scram-sha-256\n"
        );
        fs::write(self.data().join("pg_hba.conf"), hosts).unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_immediately();
        }
    }
}

/// The newest installed version's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    found.sort();
    match found.pop() {
        Some((_, programs)) => programs,
        None => panic!("no PostgreSQL server is installed, run: apt-get install postgresql"),
    }
}

/// User and group of the package's user, if this process is root's.
fn owner() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let line = line.expect("a user named postgres, run: apt-get install postgresql");
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next().unwrap(), ids.next().unwrap()))
}

pub(crate) fn give(path: &Path, mode: Option<u32>) {
    if let Some(mode) = mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if let Some((user, group)) = owner() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap();
    fs::write(path, old + text).unwrap();
}
