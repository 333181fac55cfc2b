//! A running query as its task holds it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tidegate_sandbox::{SinkBatch, SqlCursor, SqlError, SqlFuture, SqlValue};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::query;

/// Queries that one connection runs at a time: each has a thread and an open file.
pub(super) const MAX_QUERIES: usize = 8;

/// What shall be read.
pub(super) struct Query {
    pub(super) file: PathBuf,
    pub(super) lock_timeout: Duration,
    pub(super) statement: String,
    pub(super) parameters: Vec<SqlValue>,
    /// One of [`MAX_QUERIES`], until the thread has ended.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Asks for at most so many rows.
pub(super) struct Request {
    pub(super) max: u32,
    pub(super) answer: oneshot::Sender<Result<Option<SinkBatch>, SqlError>>,
}

/// The way to the thread that reads. The query ends when this is dropped.
struct SqliteCursor {
    requests: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
}

/// Begins `query` on a thread of its own, as reading blocks between one batch and the next.
pub(super) async fn open(query: Query) -> Result<Arc<dyn SqlCursor>, SqlError> {
    let (opened, opening) = oneshot::channel();
    let (requests, asked) = mpsc::channel(1);
    let stop = Arc::<AtomicBool>::default();
    let cursor = SqliteCursor {
        requests,
        stop: Arc::clone(&stop),
    };
    thread::Builder::new()
        .name("sqlite-query".to_owned())
        .spawn(move || query::run(query, &stop, opened, asked))
        .map_err(|error| SqlError::Unavailable(format!("no thread for the query: {error}")))?;
    opening.await.map_err(|_| ended())??;
    Ok(Arc::new(cursor))
}

impl SqlCursor for SqliteCursor {
    fn next(&self, max: u32) -> SqlFuture<'_, Option<SinkBatch>> {
        Box::pin(async move {
            let mut call = Call {
                stop: &self.stop,
                answered: false,
            };
            let (answer, answered) = oneshot::channel();
            let sent = self.requests.send(Request { max, answer }).await;
            sent.map_err(|_| ended())?;
            let batch = answered.await.map_err(|_| ended())?;
            call.answered = true;
            batch
        })
    }
}

fn ended() -> SqlError {
    SqlError::Unavailable(
        "the query failed before or was cut off; run it again from its start".to_owned(),
    )
}

impl Drop for SqliteCursor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// A call that ends without an answer ends the query: nobody knows which rows it had.
struct Call<'a> {
    stop: &'a AtomicBool,
    answered: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.stop.store(true, Ordering::SeqCst);
        }
    }
}
