//! Children that cannot outlive this process, and the signals to treat them with.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{wait_for, wait_or_give_up};

/// A command whose process the kernel kills when this process ends, however it ends. For
/// [`Process::spawn`]; a plain `spawn` would tie it to the calling thread.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A running child whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a [`command`]. Standard output and error are appended to `log`.
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Self {
            child: spawn_from_keeper(command),
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!(
            "process {} ends, its log is {}",
            self.pid(),
            self.log.display()
        );
        wait_for(&what, limit, || self.ended())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` answers something; panics with the log's end if the process dies first.
    pub fn wait_ready<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let mut ended = None;
        let found = wait_or_give_up(limit, || {
            ready(self).map(Some).or_else(|| {
                ended = self.ended();
                ended.map(|_| None)
            })
        });
        match (found.flatten(), ended) {
            (Some(found), _) => found,
            (None, Some(status)) => panic!("{what}: {}\n{}", describe(status), self.log_tail()),
            (None, None) => panic!(
                "{what}: not within {} s\n{}",
                limit.as_secs(),
                self.log_tail()
            ),
        }
    }

    /// The end of the log, for a panic's text.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(30)..)
            .unwrap_or_default();
        format!("--- {}\n{}", self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

type Job = (Command, Sender<Child>);

/// The kernel watches the thread that forked, not its process, and each test runs on a thread of
/// its own: so one thread that never ends starts all children.
fn spawn_from_keeper(command: Command) -> Child {
    static KEEPER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (jobs, incoming) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in incoming {
                let child = command
                    .spawn()
                    .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
                let _ = answer.send(child);
            }
        });
        Mutex::new(jobs)
    });
    let (answer, child) = channel();
    keeper.lock().unwrap().send((command, answer)).unwrap();
    child.recv().unwrap()
}
