//! What a guest prints becomes lines of the task's log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tidegate_model::names::TaskId;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// A line longer than this is cut into several, so that a guest that never ends a line cannot
/// fill the host's memory.
const MAX_LINE_BYTES: usize = 8 << 10;

/// Lines a task may print in all; a runtime's panic message fits many times over, a flood does
/// not. Structured logging has a rate of its own.
const MAX_LINES: u32 = 10_000;

#[derive(Clone)]
pub(crate) struct LogStream {
    shared: Arc<Mutex<Lines>>,
}

struct Lines {
    id: TaskId,
    stream: &'static str,
    partial: Vec<u8>,
    left: u32,
}

impl LogStream {
    pub(crate) fn new(id: TaskId, stream: &'static str) -> Self {
        let lines = Lines {
            id,
            stream,
            partial: Vec::new(),
            left: MAX_LINES,
        };
        Self {
            shared: Arc::new(Mutex::new(lines)),
        }
    }
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.partial.len() >= MAX_LINE_BYTES {
                self.emit();
            }
            if byte != b'\n' {
                self.partial.push(byte);
            }
        }
    }

    fn emit(&mut self) {
        let line = std::mem::take(&mut self.partial);
        if line.is_empty() || self.left == 0 {
            return;
        }
        self.left -= 1;
        tracing::info!(
            target: "guest",
            connector = %self.id.connector,
            task = self.id.task,
            stream = self.stream,
            "{}", String::from_utf8_lossy(&line)
        );
        if self.left == 0 {
            tracing::warn!(
                target: "guest",
                connector = %self.id.connector,
                task = self.id.task,
                "{} lines printed to {}: further ones are dropped", MAX_LINES, self.stream
            );
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
