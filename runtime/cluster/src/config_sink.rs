//! The config and status topics on their way to the herder, and what the config topic holds last
//! under each key: a commit whose answer was lost is looked up there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_kafka::{StateRecord, TailSink};
use tokio::sync::{mpsc, oneshot};

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

    /// Whether this is what was last written under the key, and not before `offset`.
    pub(crate) fn is_last(&self, key: &[u8], value: Option<&[u8]>, offset: i64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key)
            .is_some_and(|(at, last)| *at >= offset && last.as_deref() == value)
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
}

impl TailSink for ConfigSink {
    fn record(&mut self, record: StateRecord) {
        self.last.set(&record);
        let Some(key) = key_of(&record, "config") else {
            return;
        };
        match config_record::decode(key, record.value.as_deref()) {
            // Places begin with 1: 0 means that there is none.
            Ok(Some(decoded)) => {
                let place = u64::try_from(record.offset).unwrap_or(0) + 1;
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
