//! From Kafka's bytes to the batches that puts hold: converted, without the rows that cannot be
//! (D3), cut where the value schema changes.

use std::sync::Arc;

use tidegate_kafka::RecordBatch;
use tidegate_sandbox::SinkBatch;

use crate::pipeline::{BadRow, Converters, bad_rows};

/// What came of one batch from Kafka.
pub(crate) struct Converted {
    /// In order; none if every row is bad.
    pub(crate) batches: Vec<Arc<SinkBatch>>,
    /// Rows of the Kafka batch that no converter takes.
    pub(crate) bad: Vec<BadRow>,
}

/// Takes keys, values and headers out of `records`; where the rows came from stays.
pub(crate) fn convert(converters: &Converters, records: &mut RecordBatch) -> Converted {
    let (keys, key_errors) = converters
        .key
        .decode_column(std::mem::take(&mut records.keys));
    let (values, value_errors) = converters
        .value
        .decode_column(std::mem::take(&mut records.values));
    let bad = bad_rows(key_errors, value_errors);
    let mut whole = SinkBatch {
        topic: records.topic.clone(),
        partitions: records.partitions.clone(),
        offsets: records.offsets.clone(),
        timestamps: std::mem::take(&mut records.timestamps),
        keys,
        values,
        headers: records.headers.take(),
    };
    if !bad.is_empty() {
        let is_bad = |row: usize| bad.binary_search_by(|b| (b.row as usize).cmp(&row)).is_ok();
        whole = whole.filtered(|row| !is_bad(row));
    }
    let runs = whole.values.schema_runs();
    let batches = match runs.as_slice() {
        [] => Vec::new(),
        [_] => vec![Arc::new(whole)],
        runs => runs
            .iter()
            .map(|run| Arc::new(whole.filtered(|row| run.contains(&row))))
            .collect(),
    };
    Converted { batches, bad }
}
