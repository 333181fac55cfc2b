//! The one writer of the config log: a transactional producer, whose opening fences the writer
//! before it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use crate::cluster::Kafka;
use crate::state_producer::{AckedProducer, StateWrite, acked_producer, send, state_settings};

/// Between two tries of a transaction call that may be repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Why nothing was written, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogWriteError {
    /// Another writer has taken over. If that happened while a commit was under way, its outcome is
    /// the new writer's to find out. This writer is of no more use.
    #[error("another worker writes the log now: {0}")]
    Fenced(String),
    /// The commit was sent, or the abort was not answered: nobody knows what is visible. This writer
    /// is of no more use; open another one, read the log to its end and see.
    #[error("it is unknown whether the log was written: {0}")]
    Unknown(String),
    /// Nothing of it is visible.
    #[error("the log was not written: {0}")]
    Failed(String),
}

/// The writer. Dropping it leaves what it has open to the next writer to end.
pub struct LogWriter(Arc<Transactions>);

struct Transactions {
    transactional_id: String,
    /// How long one transaction may take; the broker ends it after that.
    limit: Duration,
    /// One transaction at a time, and none after the first error of which this is not known to have
    /// left everything in order.
    producer: Mutex<Result<AckedProducer, LogWriteError>>,
}

impl LogWriter {
    /// Initialises transactions under `transactional_id`, which fences whoever had it before and
    /// ends the transaction that was open. Takes at most `timeout`.
    ///
    /// # Errors
    /// [`LogWriteError::Failed`], or [`LogWriteError::Fenced`] if another writer came at the same time.
    pub async fn open(
        kafka: &Kafka,
        transactional_id: &str,
        transaction_timeout: Duration,
        timeout: Duration,
    ) -> Result<Self, LogWriteError> {
        let failed = |error: crate::KafkaError| LogWriteError::Failed(error.to_string());
        let mut settings = state_settings(kafka, transaction_timeout).map_err(failed)?;
        // librdkafka refuses one that is longer than a transaction, and chooses well by itself.
        settings.remove("socket.timeout.ms");
        for (key, value) in [
            ("transactional.id", transactional_id.to_owned()),
            (
                "transaction.timeout.ms",
                transaction_timeout.as_millis().to_string(),
            ),
        ] {
            settings.insert(key.to_owned(), value);
        }
        let producer = acked_producer(&settings).map_err(failed)?;
        let transactional_id = transactional_id.to_owned();
        blocking(move || {
            init(&producer, timeout)
                .map_err(|error| named(&transactional_id, refusal(&producer, &error)))?;
            Ok(Self(Arc::new(Transactions {
                transactional_id,
                limit: transaction_timeout,
                producer: Mutex::new(Ok(producer)),
            })))
        })
        .await
    }

    /// Writes records in one transaction; answers partition and offset of each.
    ///
    /// # Errors
    /// [`LogWriteError`]; after any other than `Failed` the writer is of no more use.
    pub async fn append(&self, records: Vec<StateWrite>) -> Result<Vec<(i32, i64)>, LogWriteError> {
        let transactions = Arc::clone(&self.0);
        blocking(move || transactions.append(&records)).await
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Ending a producer waits for its threads, which an async caller must not.
        let transactions = Arc::clone(&self.0);
        std::thread::spawn(move || drop(transactions));
    }
}

impl Transactions {
    fn append(&self, records: &[StateWrite]) -> Result<Vec<(i32, i64)>, LogWriteError> {
        let mut state = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        let producer = state.as_ref().map_err(Clone::clone)?;
        let done = self
            .transaction(producer, records)
            .map_err(|error| named(&self.transactional_id, error));
        if let Err(error @ (LogWriteError::Fenced(_) | LogWriteError::Unknown(_))) = &done {
            *state = Err(error.clone());
        }
        done
    }

    fn transaction(
        &self,
        producer: &AckedProducer,
        records: &[StateWrite],
    ) -> Result<Vec<(i32, i64)>, LogWriteError> {
        producer
            .begin_transaction()
            .map_err(|error| refusal(producer, &error))?;
        match write(producer, records) {
            Ok(written) => {
                commit(producer, self.limit)?;
                Ok(written)
            }
            Err(error) => Err(abort(producer, &error, self.limit)),
        }
    }
}

fn init(producer: &AckedProducer, timeout: Duration) -> Result<(), RdKafkaError> {
    let deadline = Instant::now() + timeout;
    until(deadline, |left| producer.init_transactions(left))
}

/// Writes records and waits for their acks, which takes no longer than their delivery time-out.
/// Waiting here and not in librdkafka's flush, whose wrapper sleeps for 100 ms.
fn write(
    producer: &AckedProducer,
    records: &[StateWrite],
) -> Result<Vec<(i32, i64)>, RdKafkaError> {
    let acks: Vec<_> = records
        .iter()
        .map(|record| send(producer, record))
        .collect::<Result<_, _>>()?;
    acks.into_iter()
        .map(|ack| ack.blocking_recv().unwrap_or(Err(RdKafkaError::Canceled)))
        .collect()
}

fn commit(producer: &AckedProducer, limit: Duration) -> Result<(), LogWriteError> {
    let deadline = Instant::now() + limit;
    let Err(error) = until(deadline, |left| producer.commit_transaction(left)) else {
        return Ok(());
    };
    match &error {
        RdKafkaError::Transaction(known) if known.txn_requires_abort() => {
            Err(abort(producer, &error, limit))
        }
        _ => match refusal(producer, &error) {
            LogWriteError::Failed(reason) => Err(LogWriteError::Unknown(reason)),
            known => Err(known),
        },
    }
}

/// Ends the transaction without a trace, and answers what that makes of the error.
fn abort(producer: &AckedProducer, error: &RdKafkaError, limit: Duration) -> LogWriteError {
    let deadline = Instant::now() + limit;
    match until(deadline, |left| producer.abort_transaction(left)) {
        Ok(()) => LogWriteError::Failed(error.to_string()),
        Err(second) => match refusal(producer, &second) {
            LogWriteError::Failed(reason) => {
                LogWriteError::Unknown(format!("{error}, and then the abort failed: {reason}"))
            }
            known => known,
        },
    }
}

/// Repeats a transaction call while librdkafka says that this goes on with it.
fn until(
    deadline: Instant,
    call: impl Fn(Duration) -> Result<(), RdKafkaError>,
) -> Result<(), RdKafkaError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left) {
            Err(RdKafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() + RETRY_PAUSE < deadline =>
            {
                std::thread::sleep(RETRY_PAUSE);
            }
            done => return done,
        }
    }
}

/// Whether an error means that somebody else has the transactional id now. The first fatal error
/// tells; those after it only say that there was one.
fn refusal(producer: &AckedProducer, error: &RdKafkaError) -> LogWriteError {
    let (code, reason) = match producer.client().fatal_error() {
        Some((code, reason)) => (Some(code), reason),
        None => (error.rdkafka_error_code(), error.to_string()),
    };
    match code {
        Some(
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch,
        ) => LogWriteError::Fenced(reason),
        _ => LogWriteError::Failed(reason),
    }
}

fn named(transactional_id: &str, error: LogWriteError) -> LogWriteError {
    let name = |reason: String| format!("transactional.id {transactional_id}: {reason}");
    match error {
        LogWriteError::Fenced(reason) => LogWriteError::Fenced(name(reason)),
        LogWriteError::Unknown(reason) => LogWriteError::Unknown(name(reason)),
        LogWriteError::Failed(reason) => LogWriteError::Failed(name(reason)),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogWriteError> + Send + 'static,
) -> Result<T, LogWriteError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LogWriteError::Unknown(error.to_string())))
}
