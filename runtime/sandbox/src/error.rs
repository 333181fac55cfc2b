//! What a call into a guest can end in, beside its result.

use tidegate_model::columns::ColumnError;
use tidegate_model::offset::OffsetError;

/// A call that brought no result. Only the first two leave the instance alive.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The guest asks to be called again with the same input, after a pause or the host's own.
    #[error("{reason}")]
    Retriable {
        /// The guest's words.
        reason: String,
        /// How long to wait.
        after_ms: Option<u32>,
    },
    /// The guest gave up.
    #[error("{0}")]
    Fatal(String),
    /// The guest trapped.
    #[error("{export} trapped: {trace}")]
    Trap {
        /// Which export was called.
        export: &'static str,
        /// Message and wasm backtrace.
        trace: String,
    },
    /// The guest's memory may not grow further.
    #[error(
        "{export} hit the memory limit of {limit_bytes} bytes \
         (tidegate.task.memory.max.bytes): {trace}"
    )]
    Memory {
        /// Which export was called.
        export: &'static str,
        /// The limit.
        limit_bytes: usize,
        /// Message and wasm backtrace.
        trace: String,
    },
    /// The call computed too long.
    #[error("{export} used more than {limit_ms} ms of CPU time (tidegate.task.call.cpu.max.ms)")]
    CpuTime {
        /// Which export was called.
        export: &'static str,
        /// The limit.
        limit_ms: u64,
    },
    /// The call took too long, host calls included.
    #[error("{export} did not answer within {limit_ms} ms (tidegate.task.call.timeout.ms)")]
    WallTime {
        /// Which export was called.
        export: &'static str,
        /// The limit.
        limit_ms: u64,
    },
    /// What the guest answered cannot be.
    #[error("{export} answered something malformed: {reason}")]
    Malformed {
        /// Which export was called.
        export: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier call ended the instance.
    #[error("{export} was called on an instance that has already ended")]
    Ended {
        /// Which export was called.
        export: &'static str,
    },
    /// The instance could not be made.
    #[error("instantiate the component: {0}")]
    Instantiate(String),
    /// A directory that was granted could not be opened.
    #[error("open the granted directory {path}: {reason}")]
    Directory {
        /// The directory.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// What is kept of a guest's words, or of a trace with its names in it: they end in logs, statuses
/// and REST answers, and a guest can make them as long as its memory.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// The beginning of a guest's text.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push_str(" ... (shortened)");
        text.shrink_to_fit();
    }
    text
}

impl CallError {
    pub(crate) fn malformed(export: &'static str, reason: impl ToString) -> Self {
        Self::Malformed {
            export,
            reason: shortened(reason.to_string()),
        }
    }

    pub(crate) fn column(export: &'static str) -> impl Fn(ColumnError) -> Self {
        move |e| Self::malformed(export, e)
    }

    pub(crate) fn offset(export: &'static str) -> impl Fn(OffsetError) -> Self {
        move |e| Self::malformed(export, e)
    }

    /// Which of the limits this is, as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Retriable { .. } => "retriable",
            Self::Fatal(_) => "fatal",
            Self::Trap { .. } => "trap",
            Self::Memory { .. } => "memory",
            Self::CpuTime { .. } => "cpu_time",
            Self::WallTime { .. } => "wall_time",
            Self::Malformed { .. } => "malformed",
            Self::Ended { .. } => "ended",
            Self::Instantiate(_) | Self::Directory { .. } => "instantiate",
        }
    }
}

impl From<crate::bindings::types::Failure> for CallError {
    fn from(failure: crate::bindings::types::Failure) -> Self {
        use crate::bindings::types::Failure;
        match failure {
            Failure::Retriable((reason, after_ms)) => Self::Retriable {
                reason: shortened(reason),
                after_ms,
            },
            Failure::Fatal(reason) => Self::Fatal(shortened(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("short".to_owned()), "short");
        let cut = shortened("ü".repeat(MAX_TEXT_BYTES));
        assert!(cut.len() < MAX_TEXT_BYTES + 32 && cut.ends_with("(shortened)"));
    }
}
