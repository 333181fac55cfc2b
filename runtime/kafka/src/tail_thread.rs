//! The thread of a [`TopicTail`](crate::TopicTail): polls, hands over, and knows how far it is.
//!
//! "The end" of a partition is the high watermark, asked for by a client that counts open
//! transactions too. It is reached when the record before it was delivered, or when the consumer
//! said that it stands there. The consumer reads only up to the last stable offset, so an open
//! transaction keeps it from saying so: the end waits, and does not lie.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::cluster::{KafkaError, client_config};
use crate::hidden::Hidden;
use crate::quiet::QuietLog;
use crate::topic_tail::{Shared, StateRecord, TailSink, Waiter};

/// How long to sleep at most; whatever happens wakes the thread before.
const IDLE: Duration = Duration::from_millis(100);

/// How long to wait for one answer of Kafka; bounds how late a stop is noticed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a transaction may stay open before it is looked whether anybody has to wait for it: longer
/// than those of sources take that write their positions.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Records handed over before requests are looked at again.
const RECORDS_AT_ONCE: usize = 1000;

/// There is something to do.
pub(crate) struct Wake;

/// librdkafka's settings.
type Settings = BTreeMap<String, String>;

/// Partitions, and an offset in each.
type Offsets = BTreeMap<i32, i64>;

pub(crate) struct TailThread {
    topic: String,
    consumer: BaseConsumer<TailContext>,
    ends: BaseConsumer<TailContext>,
    sink: Box<dyn TailSink>,
    shared: Arc<Shared>,
    woken: Receiver<Wake>,
    /// Up to where each partition has been handed over; none before the first sign of it.
    done: BTreeMap<i32, Option<i64>>,
    run: Option<Run>,
    hidden: Hidden,
    /// Some partition may have to be read from its beginning again.
    is_gone: bool,
}

/// One reading to the end.
struct Run {
    ends: Offsets,
    waiting: Vec<Waiter>,
    /// When to look next at what open transactions hide.
    look_at: Instant,
}

impl TailThread {
    pub(crate) fn start(
        topic: &str,
        sink: Box<dyn TailSink>,
        shared: Arc<Shared>,
        (wake, woken): (SyncSender<Wake>, Receiver<Wake>),
        committed_reader: &Settings,
        end_reader: &Settings,
        hidden_reader: Settings,
    ) -> Result<(), KafkaError> {
        let mut consumer = client(committed_reader)?;
        consumer.set_nonempty_callback(move || drop(wake.try_send(Wake)));
        let tail = Self {
            topic: topic.to_owned(),
            consumer,
            ends: client(end_reader)?,
            sink,
            shared,
            woken,
            done: BTreeMap::new(),
            run: None,
            hidden: Hidden::new(topic, hidden_reader),
            is_gone: false,
        };
        let thread = std::thread::Builder::new().name(format!("tail-{topic}"));
        let started = thread.spawn(move || tail.follow());
        started.map(drop).map_err(|e| client_error(&e))
    }

    fn follow(mut self) {
        while !self.shared.is_stopped() {
            let is_drained = self.drain();
            if let Err(error) = self.work() {
                let log = &self.consumer.context().log;
                log.error(&error, &format!("follow topic {}", self.topic));
            }
            if is_drained {
                let _ = self.woken.recv_timeout(IDLE);
            }
        }
    }

    fn work(&mut self) -> Result<(), RdKafkaError> {
        if self.done.is_empty() {
            self.begin()?;
        }
        if self.is_gone {
            self.start_over_where_gone()?;
        }
        self.serve()
    }

    /// Starts to read all partitions from their beginning, once they are there.
    fn begin(&mut self) -> Result<(), RdKafkaError> {
        let metadata = self
            .ends
            .fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(|t| t.partitions());
        let done: BTreeMap<i32, Option<i64>> = partitions.map(|p| (p.id(), None)).collect();
        if done.is_empty() {
            let code = RDKafkaErrorCode::UnknownTopicOrPartition;
            return Err(RdKafkaError::MetadataFetch(code));
        }
        self.assign(&done)?;
        self.done = done;
        Ok(())
    }

    fn assign(&self, starts: &BTreeMap<i32, Option<i64>>) -> Result<(), RdKafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in starts {
            let start = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, start)?;
        }
        self.consumer.assign(&list)
    }

    /// Hands over what has come in; answers whether that was all.
    fn drain(&mut self) -> bool {
        for _ in 0..RECORDS_AT_ONCE {
            match self.consumer.poll(Duration::ZERO) {
                None => return true,
                Some(Ok(message)) => {
                    let record = state_record(&message);
                    let next = record.offset.saturating_add(1);
                    self.done.insert(record.partition, Some(next));
                    self.sink.record(record);
                }
                Some(Err(RdKafkaError::PartitionEOF(partition))) => {
                    if let Some(end) = self.consumer.context().take_end() {
                        self.done.insert(partition, Some(end));
                    }
                }
                // Of anything else librdkafka recovers by itself; its context has written it down.
                Some(Err(error)) => {
                    self.is_gone |=
                        error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset);
                }
            }
        }
        false
    }

    /// Answers those who wait for the end, if it is reached.
    fn serve(&mut self) -> Result<(), RdKafkaError> {
        if self.run.is_none() {
            self.run = self.new_run()?;
        }
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        run.waiting.retain(|waiter| !waiter.reached.is_closed());
        let is_reached = |(partition, end): (&i32, &i64)| {
            self.done.get(partition).copied().flatten() >= Some(*end)
        };
        if run.waiting.is_empty() || run.ends.iter().all(is_reached) {
            let run = self.run.take();
            for waiter in run.into_iter().flat_map(|run| run.waiting) {
                self.sink.end(waiter.reached);
            }
            self.shared.set_open(Offsets::new());
        } else if run.look_at <= Instant::now() {
            run.look_at = Instant::now() + LOOK_EVERY;
            self.pass_open_transactions()?;
        }
        Ok(())
    }

    /// Answers those who have nothing in and behind the transactions that keep the end from being
    /// reached.
    fn pass_open_transactions(&mut self) -> Result<(), RdKafkaError> {
        let stable = self.offsets_of(&self.consumer, Offset::End)?;
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        let mut open = Offsets::new();
        let mut is_known = true;
        for (partition, end) in &run.ends {
            let (done, stable) = (self.done.get(partition), stable.get(partition));
            match (done.copied().flatten(), stable) {
                (Some(done), _) if done >= *end => {}
                // All that can be read of it has been handed over.
                (Some(done), Some(stable)) if done >= *stable => {
                    is_known &= self.hidden.look(*partition, *stable, *end)?;
                    open.insert(*partition, *stable);
                }
                _ => is_known = false,
            }
        }
        if is_known {
            let waiting = std::mem::take(&mut run.waiting);
            for waiter in waiting {
                let may_pass = waiter
                    .owns
                    .as_ref()
                    .is_some_and(|owns| !open.keys().any(|p| self.hidden.has(*p, owns)));
                if may_pass {
                    tracing::warn!(
                        topic = self.topic, partitions = ?open,
                        "transactions stay open since these offsets; nothing behind them is of the \
                         connector that starts, so it does not wait for them"
                    );
                    self.sink.end(waiter.reached);
                } else {
                    run.waiting.push(waiter);
                }
            }
        }
        self.shared.set_open(open);
        Ok(())
    }

    fn new_run(&mut self) -> Result<Option<Run>, RdKafkaError> {
        let waiting = self.shared.take_waiting();
        if waiting.is_empty() {
            return Ok(None);
        }
        let ends = match self.offsets(Offset::End) {
            Ok(ends) => ends,
            Err(error) => {
                self.shared.wait(waiting);
                return Err(error);
            }
        };
        let is_behind = |(partition, end): (&i32, &i64)| {
            self.done.get(partition).copied().flatten() > Some(*end)
        };
        if ends.iter().any(is_behind) {
            self.shared.wait(waiting);
            self.is_gone = true;
            return Ok(None);
        }
        let look_at = Instant::now() + PATIENCE;
        Ok(Some(Run {
            ends,
            waiting,
            look_at,
        }))
    }

    /// Where all partitions begin or end.
    fn offsets(&self, which: Offset) -> Result<Offsets, RdKafkaError> {
        self.offsets_of(&self.ends, which)
    }

    /// The same as a client sees it that may read no further than the last stable offset, or may.
    fn offsets_of(
        &self,
        client: &BaseConsumer<TailContext>,
        which: Offset,
    ) -> Result<Offsets, RdKafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in self.done.keys() {
            list.add_partition_offset(&self.topic, *partition, which)?;
        }
        let answer = client.offsets_for_times(list, ANSWER_TIMEOUT)?;
        let mut offsets = Offsets::new();
        for element in answer.elements() {
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => offsets.insert(element.partition(), offset),
                _ => {
                    return Err(RdKafkaError::OffsetFetch(
                        RDKafkaErrorCode::LeaderNotAvailable,
                    ));
                }
            };
        }
        Ok(offsets)
    }

    /// Somebody deleted records or the whole topic: reads from the beginning where the place to go
    /// on is no more, and goes on elsewhere.
    fn start_over_where_gone(&mut self) -> Result<(), RdKafkaError> {
        let (begins, ends) = (self.offsets(Offset::Beginning)?, self.offsets(Offset::End)?);
        for (partition, done) in &mut self.done {
            let (begin, end) = (begins.get(partition), ends.get(partition));
            if let (Some(at), Some(begin), Some(end)) = (*done, begin, end)
                && !(*begin..=*end).contains(&at)
            {
                tracing::error!(
                    "{}-{partition} was read up to {at}, but now begins at {begin} and ends at {end}: \
                     records were deleted, or the topic was created anew, and state may be lost; it \
                     is read again from its beginning",
                    self.topic
                );
                *done = None;
            }
        }
        self.assign(&self.done)?;
        self.is_gone = false;
        Ok(())
    }
}

pub(crate) fn client(settings: &Settings) -> Result<BaseConsumer<TailContext>, KafkaError> {
    client_config(settings)
        .create_with_context(TailContext::default())
        .map_err(|e| client_error(&e))
}

fn client_error(reason: &impl ToString) -> KafkaError {
    KafkaError::Client {
        client: "reader of a state topic",
        reason: reason.to_string(),
    }
}

fn state_record(message: &BorrowedMessage<'_>) -> StateRecord {
    StateRecord {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
    }
}

/// Logs quietly, and catches where a partition ends: the Rust wrapper's error names the partition
/// alone, but librdkafka's text, which the wrapper shows here first, on the polling thread, has the
/// offset.
#[derive(Default)]
pub(crate) struct TailContext {
    log: QuietLog,
    end: Mutex<Option<i64>>,
}

impl TailContext {
    fn take_end(&self) -> Option<i64> {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl ConsumerContext for TailContext {}

impl ClientContext for TailContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.line(level, facility, message);
    }

    fn error(&self, error: RdKafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            let end = offset_in(reason);
            if end.is_none() {
                tracing::error!("librdkafka does not tell where a partition ends: {reason}");
            }
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        } else {
            self.log.error(&error, reason);
        }
    }
}

/// "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 43)": 42. The version
/// of librdkafka is pinned; should its words change, reading to the end fails, loudly.
fn offset_in(reason: &str) -> Option<i64> {
    let (_, after) = reason.split_once("at offset ")?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_an_end_is_found() {
        let text = "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 43)";
        assert_eq!(offset_in(text), Some(42));
        assert_eq!(offset_in("no more"), None);
    }
}
