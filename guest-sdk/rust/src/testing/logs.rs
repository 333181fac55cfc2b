//! What a connector logged, kept by thread so that tests do not see each other's lines.

use std::cell::RefCell;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The lines that this thread has logged since the last call, as `level: message`.
pub fn logs() -> Vec<String> {
    LINES.take()
}

/// Stands in for the host's log interface.
pub(crate) mod log_host {
    use super::LINES;

    pub(crate) fn enabled(level: &str) -> bool {
        level != "trace"
    }

    pub(crate) fn write(level: &str, message: &str, _fields: &[(String, String)]) {
        LINES.with_borrow_mut(|lines| lines.push(format!("{level}: {message}")));
    }
}
