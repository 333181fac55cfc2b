//! Compilation, once per digest: in a child process with limits of its own, since a compiler fed
//! with bytes of strangers may run long or large, and from then on from the cache.

use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, geteuid, setrlimit};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::{SandboxError, config};
use crate::precompiled;

/// What the compiler process may use. The largest guest known (StarlingMonkey, 12 MB) takes 18
/// CPU-seconds and well under a gigabyte.
const CHILD_MEMORY_BYTES: u64 = 4 << 30;
const CHILD_CPU_SECONDS: u64 = 120;
/// The largest code taken from the compiler; the largest guest known makes 37 MB.
const CODE_BYTES: u64 = 512 << 20;
/// The longest reason taken from it.
const REASON_BYTES: u64 = 64 << 10;
/// Compilers at work at once: an upload more waits for its turn.
const CHILDREN: usize = 2;
const CHILD_WALL: Duration = Duration::from_secs(180);

/// How to start the compiler: this program with these arguments has to call [`compile_child`].
#[derive(Debug, Clone)]
pub struct CompilerCommand {
    /// Usually the running executable.
    pub program: PathBuf,
    /// The hidden subcommand.
    pub arguments: Vec<String>,
}

/// Why a component could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component itself is at fault.
    #[error("{0}")]
    Invalid(String),
    /// The compiler used more memory, CPU or wall time than it may.
    #[error("the compiler ended early ({0}); the component needs more than compiling may use")]
    Limits(String),
    /// The compiler could not be run.
    #[error("run the compiler process: {0}")]
    Process(String),
}

/// Reads a component from standard input and writes machine code to standard output. To be called
/// first thing in a process of its own; the exit code is its result.
pub fn compile_child() -> std::process::ExitCode {
    let limit = |resource, value| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(value),
                maximum: Some(value),
            },
        )
    };
    let compiled = limit(Resource::As, CHILD_MEMORY_BYTES)
        .and_then(|()| limit(Resource::Cpu, CHILD_CPU_SECONDS))
        .map_err(|e| e.to_string())
        .and_then(|()| {
            let mut component = Vec::new();
            std::io::stdin()
                .read_to_end(&mut component)
                .map_err(|e| e.to_string())?;
            let engine = Engine::new(&config()).map_err(|e| format!("{e:#}"))?;
            engine
                .precompile_component(&component)
                .map_err(|e| format!("{e:#}"))
        });
    let written = compiled.and_then(|code| {
        std::io::stdout()
            .lock()
            .write_all(&code)
            .map_err(|e| format!("write the code: {e}"))
    });
    match written {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            std::process::ExitCode::FAILURE
        }
    }
}

pub(crate) struct Compiler {
    children: tokio::sync::Semaphore,
    command: CompilerCommand,
    directory: PathBuf,
    engine: Engine,
    engine_hash: u64,
}

impl Compiler {
    pub(crate) fn new(
        engine: &Engine,
        command: CompilerCommand,
        directory: PathBuf,
    ) -> Result<Self, SandboxError> {
        private_directory(&directory).map_err(|reason| SandboxError::Cache {
            path: directory.display().to_string(),
            reason,
        })?;
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine_hash = hasher.finish();
        Ok(Self {
            children: tokio::sync::Semaphore::new(CHILDREN),
            command,
            directory,
            engine: engine.clone(),
            engine_hash,
        })
    }

    /// The compiled component of these bytes, and whether it came from the cache.
    pub(crate) async fn component(
        &self,
        digest: &str,
        bytes: &[u8],
    ) -> Result<(Component, bool), CompileError> {
        let path = self
            .directory
            .join(format!("{digest}-{:016x}.cwasm", self.engine_hash));
        if let Some(code) = read_checked(&path) {
            match precompiled::load(&self.engine, &code) {
                Ok(component) => return Ok((component, true)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), "compile again what the cache holds: {error:#}");
                }
            }
        }
        let code = self.compile(bytes).await?;
        let component = precompiled::load(&self.engine, &code)
            .map_err(|e| CompileError::Process(format!("load the compiled code: {e:#}")))?;
        if let Err(error) = write_checked(&path, &code) {
            tracing::warn!(path = %path.display(), "compiled code is not cached: {error}");
        }
        Ok((component, false))
    }

    async fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let _turn = self.children.acquire().await;
        let process = |e: std::io::Error| CompileError::Process(e.to_string());
        let mut child = tokio::process::Command::new(&self.command.program)
            .args(&self.command.arguments)
            // Whatever secrets the worker's environment has are none of the compiler's business.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(process)?;
        let mut stdin = child.stdin.take();
        let feed = async {
            // A child that ends early says why on stderr; the broken pipe is only its echo.
            if let Some(stdin) = &mut stdin {
                let _ = stdin.write_all(bytes).await;
            }
            drop(stdin.take());
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let run = async {
            // A child that says more than that finds its pipe closed, and ends.
            let (code, reason, ()) = tokio::join!(
                read_at_most(stdout, CODE_BYTES),
                read_at_most(stderr, REASON_BYTES),
                feed
            );
            Ok((child.wait().await?, code?, reason?))
        };
        let (status, code, reason) = tokio::time::timeout(CHILD_WALL, run)
            .await
            .map_err(|_| CompileError::Limits(format!("after {} s", CHILD_WALL.as_secs())))?
            .map_err(process)?;
        if status.success() {
            return Ok(code);
        }
        let reason = String::from_utf8_lossy(&reason).trim().to_owned();
        // An exit code of 1 is ours and comes with a reason; anything else is a signal or an
        // abort for want of memory.
        if status.code() == Some(1) && !reason.is_empty() {
            return Err(CompileError::Invalid(reason));
        }
        Err(CompileError::Limits(status.to_string()))
    }
}

async fn read_at_most(
    pipe: Option<impl tokio::io::AsyncRead + Unpin>,
    limit_bytes: u64,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit_bytes).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn private_directory(path: &Path) -> Result<(), String> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| e.to_string())?;
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if metadata.uid() != geteuid().as_raw() {
        return Err(format!(
            "it belongs to user {}, not to this one",
            metadata.uid()
        ));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err("other users may enter it: chmod 700 it".to_owned());
    }
    Ok(())
}

const CHECKSUM_BYTES: usize = 32;

/// The code in a cache file, if it is whole.
fn read_checked(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let code = bytes.split_off_checked(CHECKSUM_BYTES)?;
    (Sha256::digest(&code).as_slice() == bytes).then_some(code)
}

trait SplitOffChecked: Sized {
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOffChecked for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (self.len() >= at).then(|| self.split_off(at))
    }
}

/// Writes beside and renames, so that a reader never meets half a file.
fn write_checked(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    drop(file);
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_cache_file_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.cwasm");
        write_checked(&path, b"code").unwrap();
        assert_eq!(read_checked(&path).as_deref(), Some(b"code".as_slice()));
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_checked(&path), None);
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(read_checked(&path), None);
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache");
        private_directory(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private_directory(&path).unwrap_err().contains("chmod 700"));
    }
}
