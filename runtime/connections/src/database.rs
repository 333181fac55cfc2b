//! What a dialect implements: the guest's calls, and the ledger beside them.

use tidegate_sandbox::{
    LedgerError, LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerSpan,
    LedgerStart, SqlConnection, SqlFuture,
};

/// What a commit stores of an opened partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerMark {
    /// What was put of it.
    pub(crate) span: LedgerSpan,
    /// What opening it answered.
    pub(crate) fence: i64,
}

impl LedgerMark {
    /// Why the mark is not stored, if not for the fence: this offset is stored already.
    pub(crate) fn overlaps(&self, group: &str, stored: i64) -> LedgerError {
        let LedgerSpan {
            at,
            first_offset,
            next_offset,
        } = &self.span;
        LedgerError::Overlap(format!(
            "group {group} has {at} stored up to offset {stored} in tidegate_offsets, and was to store \
             the records from {first_offset} up to {next_offset}: the consumer went back, as it does when a \
             leader was elected that lacks records (unclean.leader.election.enable) or somebody reset its \
             position; nothing was written. Restart the task to go on at {stored}, or stop the connector and \
             set the offset at which to go on (PATCH /connectors/NAME/offsets)"
        ))
    }
}

/// One database of one task. Its transaction begins with the first write and ends with `commit` or
/// `rollback`; the session sees to it that writes come in a put only, and only here if it is the
/// ledger. The future of any call may be dropped half-way: then the transaction is doomed, and
/// `commit` has to fail.
pub(crate) trait Database: SqlConnection {
    /// As in [`tidegate_sandbox::SqlSession::open_ledger`]. Makes the table `tidegate_offsets` if
    /// there is none.
    fn open_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<LedgerPartition>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>>;
    /// Stores `marks` where the fence is still theirs and their spans begin at or behind what is
    /// stored, as the last statement before COMMIT; any
    /// other count of rows rolls everything back. Without writes and marks it does nothing.
    fn commit(&self, owner: LedgerOwner, marks: Vec<LedgerMark>) -> LedgerFuture<'_, ()>;
    /// Takes back what the current put wrote.
    fn rollback(&self) -> SqlFuture<'_, ()>;
    /// As in [`tidegate_sandbox::SqlSession::ledger_positions`]. Makes no table.
    fn ledger_positions(&self, owner: LedgerOwner) -> SqlFuture<'_, Vec<LedgerPosition>>;
    /// As in [`tidegate_sandbox::SqlSession::rewrite_ledger`].
    fn rewrite_ledger(
        &self,
        owner: LedgerOwner,
        partitions: Vec<(LedgerPartition, Option<i64>)>,
    ) -> LedgerFuture<'_, Vec<LedgerStart>>;
}
