//! The config and status topics on their way to the herder, and what the config topic holds last
//! under each key: a commit whose answer was lost is looked up there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_kafka::{StateRecord, TailSink};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::place_of;
use crate::event::ClusterEvent;
use crate::{config_record, status_record};

/// The last record of each key: its offset and its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastRecords(Arc<Mutex<HashMap<Vec<u8>, Last>>>);

type Last = (i64, Option<Vec<u8>>);

impl LastRecords {
    fn set(&self, record: &StateRecord) {
        let key = record.key.clone().unwrap_or_default();
        let last = (record.offset, record.value.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, last);
    }

    /// Where this was last written under the key, if that was not before `offset`.
    pub(crate) fn find(&self, key: &[u8], value: Option<&[u8]>, offset: i64) -> Option<i64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, last) = all.get(key)?;
        (*at >= offset && last.as_deref() == value).then_some(*at)
    }

    /// The offset after the last record that was read.
    pub(crate) fn end(&self) -> i64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values()
            .map(|(offset, _)| offset + 1)
            .max()
            .unwrap_or(0)
    }
}

/// Takes the config topic.
pub(crate) struct ConfigSink {
    pub(crate) events: mpsc::UnboundedSender<ClusterEvent>,
    pub(crate) last: LastRecords,
    /// Offsets only grow, unless the topic is another one.
    pub(crate) next_offset: i64,
}

impl TailSink for ConfigSink {
    fn record(&mut self, record: StateRecord) {
        if record.offset < self.next_offset {
            // What this worker knows is of a topic that is no more. Going on, it would neither take
            // what is written now nor lose what is not there.
            let reason = format!(
                "the config topic was deleted and created anew (offset {} came after {}): start the worker again, \
                 and it takes the topic as it is now",
                record.offset,
                self.next_offset - 1
            );
            let _ = self.events.send(ClusterEvent::Failed(reason));
            return;
        }
        self.next_offset = record.offset + 1;
        self.last.set(&record);
        let Some(key) = key_of(&record, "config") else {
            return;
        };
        match config_record::decode(key, record.value.as_deref()) {
            Ok(Some(decoded)) => {
                let place = place_of(record.offset);
                let _ = self.events.send(ClusterEvent::Log(place, decoded));
            }
            Ok(None) => {}
            Err(reason) => tracing::error!(
                offset = record.offset,
                key,
                "leave out a record of the config topic, as if it had not been written: {reason}"
            ),
        }
    }

    fn end(&mut self, reached: oneshot::Sender<()>) {
        let _ = self.events.send(ClusterEvent::End(reached));
    }
}

/// Takes the status topic.
pub(crate) struct StatusSink(pub(crate) mpsc::UnboundedSender<ClusterEvent>);

impl TailSink for StatusSink {
    fn record(&mut self, record: StateRecord) {
        let Some(key) = key_of(&record, "status") else {
            return;
        };
        match status_record::decode(key, record.value.as_deref()) {
            Ok(Some(decoded)) => drop(self.0.send(ClusterEvent::Status(decoded))),
            Ok(None) => {}
            Err(reason) => tracing::warn!(
                offset = record.offset,
                partition = record.partition,
                key,
                "leave out a record of the status topic: {reason}"
            ),
        }
    }

    fn end(&mut self, reached: oneshot::Sender<()>) {
        let _ = self.0.send(ClusterEvent::End(reached));
    }
}

fn key_of<'a>(record: &'a StateRecord, topic: &str) -> Option<&'a str> {
    let key = record.key.as_deref().map(std::str::from_utf8);
    match key {
        Some(Ok(key)) => Some(key),
        _ => {
            tracing::error!(
                offset = record.offset,
                "leave out a record of the {topic} topic: its key is not text"
            );
            None
        }
    }
}
