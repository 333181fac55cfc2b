//! Everything that can happen: in a process, which it does not while the process is stopped, or
//! outside, in Kafka, targets, and among those who hurt the cluster.

use std::collections::BTreeSet;

use tidegate_model::config_log::ConfigRecord;
use tidegate_model::herder::Planned;
use tidegate_model::names::TaskId;

use super::status_topic::StatusRecord;

/// A process, by number; a restart makes another one.
pub(super) type ProcessId = usize;

/// A start of a task in a process.
pub(super) type TaskKey = (TaskId, u64);

pub(super) enum Happening {
    In(ProcessId, Inside),
    Out(Outside),
}

/// What a process hears or is about to do.
#[derive(Debug, Clone)]
pub(super) enum Inside {
    /// The config log has more for it.
    LogNews,
    /// The status topic has more for it under this key.
    StatusNews(String),
    /// The membership's thread polls.
    Poll,
    /// The lease is due to be renewed; whether this is the one that comes back by itself.
    Renew(bool),
    /// The group's coordinator answered a renewal.
    Renewed {
        member: u64,
        sent_ms: u64,
        ends: u64,
        outcome: Renewal,
    },
    /// Half the rebalance time-out has passed for shards that are going.
    GoingLimit(u64),
    /// The coordinator's loop looks at the lease.
    Look,
    /// The ends of the state topics are known.
    Ends(Ends, AfterRead),
    /// Reading or taking over failed, and the pause after that is over.
    Failed(AfterRead),
    /// The log has this process as its writer.
    WriterReady(u32, AfterRead),
    /// An append is looked at: does this process lead, and is its lease valid?
    AppendCheck,
    /// An append leaves the process.
    AppendSend(u32),
    /// The records of an append are acked, the transaction is open.
    AppendWritten(u32, u64),
    /// The transaction's end was answered.
    AppendEnded(AppendOutcome),
    /// A plugin answered.
    Planned(Planned),
    /// Transactional ids are fenced, or not.
    Fenced {
        connector: String,
        generation: u64,
        outcome: Result<(), String>,
    },
    /// The herder's loop wakes up by itself.
    Tick(u64),
    /// The publisher's loop looks at the lease before it writes.
    PublishCheck,
    /// Records of the status topic leave the process.
    PublishSend,
    /// The write of status records was answered: whether they are written.
    Published(bool),
    /// The user asks.
    Request(usize),
    /// The process is to end in order.
    Terminate,
    /// Something about a task.
    Task(TaskKey, TaskStep),
}

/// What becomes of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Granted,
    Rebalancing,
    Unknown,
}

/// How far the state topics were when somebody asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) log: usize,
    /// None: only the log has to be read.
    pub(super) status: Option<usize>,
}

/// What to do when the state topics have been read to their ends.
#[derive(Debug, Clone)]
pub(super) enum AfterRead {
    /// Join the group.
    Open,
    /// Run tasks on these shards.
    Gain(BTreeSet<u32>),
    /// Lead, as this writer.
    Lead(u32),
    /// See whether the append is there.
    LookUp,
    /// See whether the task is still to run.
    Recheck(TaskKey),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppendOutcome {
    /// Committed, the last record at this place.
    Done(u64),
    Failed,
    Fenced,
    Unknown,
}

/// A partition of what a connector reads or writes.
pub(super) type Piece = u32;

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskStep {
    /// The instance is there and begins.
    Begin,
    /// Kafka gave it the transactional id, in this epoch.
    Initialised(u32),
    /// It may read its offsets.
    ReadOffsets,
    /// It knows where to begin.
    Opened(Piece, Start),
    /// It does the next thing.
    Round,
    /// What it checked the lease for leaves the process.
    Send(Effect),
    /// The effect was answered.
    Answered(Effect, Answer),
    /// It has ended, as asked.
    Stopped,
}

/// Where a piece begins, and by which right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) next: u64,
    pub(super) fence: u32,
}

/// What a task does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A record is produced.
    Produce(Piece, u64),
    /// An offset is committed, alone.
    Commit(Piece, u64),
    /// Records and their offset are committed as one (D8).
    Transact { piece: Piece, from: u64, to: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// Somebody else has the right now.
    Refused,
    /// Nobody knows.
    Lost,
}

/// What happens outside of processes.
pub(super) enum Outside {
    /// A process of a worker begins.
    Boot(usize),
    /// A process that was stopped goes on.
    Resume(ProcessId),
    Join(ProcessId),
    Heartbeat {
        process: ProcessId,
        member: u64,
        sent_ms: u64,
        ends: u64,
        has_shards: bool,
    },
    Revoked(u64, BTreeSet<u32>),
    Leave(u64),
    /// A member's session may be over.
    Session(u64),
    /// A member may have kept a rebalance waiting for too long.
    Rebalance(u64),
    AskEnds(ProcessId, bool, AfterRead),
    InitWriter(ProcessId, AfterRead),
    LogWrite {
        process: ProcessId,
        epoch: u32,
        records: Vec<ConfigRecord>,
    },
    LogCommit {
        process: ProcessId,
        epoch: u32,
        last: u64,
    },
    /// A transaction of the log may be open for too long.
    TransactionLimit(u64),
    StatusWrite(ProcessId, Vec<StatusRecord>, bool),
    Fence {
        process: ProcessId,
        connector: String,
        generation: u64,
        ids: u32,
    },
    InitTask(ProcessId, TaskKey),
    Open(ProcessId, TaskKey, Piece),
    Apply {
        process: ProcessId,
        task: TaskKey,
        effect: Effect,
        right: u32,
    },
    /// Something goes wrong.
    Fault,
    /// The user does something.
    User,
    /// Kafka compacts.
    Compact,
    /// From here on nothing goes wrong.
    Heal,
    /// Everything should run by now: look.
    Settled,
}
