//! What a cluster tells the herder's driver, in order.

use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;

use tidegate_model::config_log::ConfigRecord;
use tokio::sync::oneshot;

use crate::status_record::StatusRecord;

/// News of the cluster.
#[derive(Debug)]
pub enum ClusterEvent {
    /// A record of the config log and its place.
    Log(u64, ConfigRecord),
    /// A record of the status topic.
    Status(StatusRecord),
    /// Everything that was in a state topic when somebody asked has been told; to be answered.
    End(oneshot::Sender<()>),
    /// These shards are this worker's, under a valid lease, and the state topics were read to their
    /// ends since.
    Gained(BTreeSet<u32>),
    /// These shards are going: to be answered, if somebody waits, when their tasks have ended.
    Going {
        /// Which.
        shards: BTreeSet<u32>,
        /// Who waits; none if they are gone already.
        done: Option<SyncSender<()>>,
    },
    /// Whether this worker alone can append to the log, which was read to its end since.
    Leading(bool),
    /// The worker cannot be a member any more; its process has to end.
    Failed(String),
}
