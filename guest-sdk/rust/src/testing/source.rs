//! A source task under test.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bindings::records::Columns;
use crate::columns::Cursor;
use crate::export::glue::{self, Slot};
use crate::testing::{Content, TestRecord, context};
use crate::{Failure, Limits, Offset, Partition, Poll, RawConfig, Result, SourceTask};

/// A source task that a test polls. Like a runtime without failures it commits each position as
/// soon as it gets it.
pub struct SourceTest<T> {
    slot: Slot<T>,
    config: RawConfig,
    committed: BTreeMap<String, String>,
    limits: Limits,
}

/// What one `poll` answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polled {
    /// The records.
    pub records: Vec<TestRecord>,
    /// The positions.
    pub checkpoints: Vec<TestCheckpoint>,
    /// Why records were refused that are in no row.
    pub refused: Vec<String>,
    /// Whether the positions shall be stored as soon as the records are acked.
    pub store_soon: bool,
    /// How long the task wants to rest, if it had nothing.
    pub rest: Option<Duration>,
    /// Whether there will never be more.
    pub finished: bool,
}

/// A position that covers the first `rows` records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCheckpoint {
    /// How many records it covers.
    pub rows: usize,
    /// Of which partition.
    pub partition: Partition,
    /// How far.
    pub offset: Offset,
}

impl Polled {
    /// The values as strings.
    pub fn values(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| record.value.to_text())
            .collect()
    }
}

impl<T: SourceTask> SourceTest<T> {
    /// Starts a task that has no positions.
    pub fn start(config: impl Into<RawConfig>) -> Result<Self> {
        Self::start_at(config, &[])
    }

    /// Starts a task after these positions.
    pub fn start_at(
        config: impl Into<RawConfig>,
        positions: &[(Partition, Offset)],
    ) -> Result<Self> {
        let committed = positions
            .iter()
            .map(|(p, o)| (p.to_json(), o.to_json()))
            .collect();
        let limits = Limits {
            max_records: 2000,
            max_bytes: 1 << 20,
        };
        let test = Self {
            slot: Slot::new(),
            config: config.into(),
            committed,
            limits,
        };
        test.run()?;
        Ok(test)
    }

    fn run(&self) -> Result<()> {
        let config = self.config.clone().into_wire();
        Ok(glue::start_source(
            &self.slot,
            config,
            &context(),
            &self.positions(),
        )?)
    }

    /// Polls with these limits from now on; 2000 records and 1 MiB if never called.
    pub fn limit(&mut self, max_records: usize, max_bytes: usize) {
        self.limits = Limits {
            max_records,
            max_bytes,
        };
    }

    /// One `poll`, and `committed` with its positions.
    pub fn poll(&mut self) -> Result<Polled> {
        let wire = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let limits = (wire(self.limits.max_records), wire(self.limits.max_bytes));
        let polled = match glue::poll(&self.slot, limits.0, limits.1)? {
            Poll::Idle(rest) | Poll::Waiting(rest) => Polled {
                rest: Some(rest),
                ..Polled::default()
            },
            Poll::Finished => Polled {
                finished: true,
                ..Polled::default()
            },
            Poll::Records(records) => {
                let (refused, store_soon) = (records.refused.clone(), records.store_soon);
                let (columns, checkpoints) = records.finish();
                let records = to_records(&columns);
                let mut polled = Polled {
                    records,
                    refused,
                    store_soon,
                    ..Polled::default()
                };
                for checkpoint in checkpoints {
                    if checkpoint.rows > polled.records.len() {
                        let rows = polled.records.len();
                        let message =
                            format!("a checkpoint covers {} of {rows} records", checkpoint.rows);
                        return Err(Failure::fatal(message));
                    }
                    polled.checkpoints.push(TestCheckpoint {
                        rows: checkpoint.rows,
                        partition: Partition::from_json(&checkpoint.partition)?,
                        offset: Offset::from_json(&checkpoint.offset)?,
                    });
                    self.committed
                        .insert(checkpoint.partition, checkpoint.offset);
                }
                polled
            }
        };
        if !polled.checkpoints.is_empty() {
            glue::committed(&self.slot, &self.positions())?;
        }
        Ok(polled)
    }

    /// Polls until the task wants to rest or is finished, and answers all of it as one.
    pub fn drain(&mut self) -> Result<Polled> {
        let mut all = Polled::default();
        loop {
            let polled = self.poll()?;
            let rows = all.records.len();
            all.records.extend(polled.records);
            all.refused.extend(polled.refused);
            all.store_soon |= polled.store_soon;
            all.checkpoints
                .extend(
                    polled
                        .checkpoints
                        .into_iter()
                        .map(|checkpoint| TestCheckpoint {
                            rows: checkpoint.rows + rows,
                            ..checkpoint
                        }),
                );
            if polled.rest.is_some() || polled.finished {
                return Ok(Polled {
                    rest: polled.rest,
                    finished: polled.finished,
                    ..all
                });
            }
        }
    }

    /// Ends the task without `stop`, as a crash would, and starts it after the last positions.
    pub fn crash(&mut self) -> Result<()> {
        drop(self.slot.take());
        self.run()
    }

    /// The last position of `partition`.
    pub fn position(&self, partition: &Partition) -> Result<Option<Offset>> {
        self.committed
            .get(&partition.to_json())
            .map(|offset| Offset::from_json(offset))
            .transpose()
    }

    /// The last call.
    pub fn stop(self) {
        glue::stop_source(&self.slot);
    }

    fn positions(&self) -> Vec<(String, String)> {
        self.committed
            .iter()
            .map(|(p, o)| (p.clone(), o.clone()))
            .collect()
    }
}

fn to_records(columns: &Columns) -> Vec<TestRecord> {
    let (mut keys, mut values) = (Cursor::new(&columns.keys), Cursor::new(&columns.values));
    let headers = columns.headers.as_ref();
    let mut header_keys = headers.map(|headers| Cursor::new(&headers.keys));
    let mut header_values = headers.map(|headers| Cursor::new(&headers.values));
    let bytes =
        |bytes: Option<&[u8]>| bytes.map_or(Content::Null, |b| Content::Bytes(b.to_owned()));
    let rows = usize::try_from(columns.rows).unwrap_or(0);
    let mut records = Vec::with_capacity(rows);
    for row in 0..rows {
        let topic = usize::from(columns.topic.get(row).copied().unwrap_or(0));
        let schema = match columns.value_schema.get(row) {
            Some(index) => usize::from(*index),
            None if columns.value_schema.is_empty() => 0,
            None => usize::MAX,
        };
        let mut record = TestRecord {
            topic: columns.topics.get(topic).cloned().unwrap_or_default(),
            partition: columns.partitions.get(row).copied().filter(|p| *p >= 0),
            timestamp: columns
                .timestamps
                .get(row)
                .copied()
                .filter(|millis| *millis >= 0),
            key: bytes(keys.step()),
            value: bytes(values.step()),
            headers: Vec::new(),
            key_schema: columns
                .key_schema
                .get(row)
                .and_then(|index| columns.schemas.get(usize::from(*index)))
                .cloned(),
            value_schema: columns.schemas.get(schema).cloned(),
        };
        let count = headers
            .and_then(|headers| headers.counts.get(row))
            .copied()
            .unwrap_or(0);
        for _ in 0..count {
            let key = header_keys
                .as_mut()
                .and_then(Cursor::step)
                .unwrap_or_default();
            let value = header_values.as_mut().and_then(Cursor::step);
            let key = String::from_utf8_lossy(key).into_owned();
            record.headers.push((key, value.map(<[u8]>::to_owned)));
        }
        records.push(record);
    }
    records
}
