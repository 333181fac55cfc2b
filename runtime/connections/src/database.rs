//! What a dialect implements: the guest's calls, and the ledger beside them.

use tidegate_sandbox::{
    LedgerFuture, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart, SqlConnection,
    SqlFuture, TopicPartition,
};

/// The position of an opened partition that a commit stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerMark {
    /// The partition.
    pub(crate) at: TopicPartition,
    /// What opening it answered.
    pub(crate) fence: i64,
    /// The next offset.
    pub(crate) next_offset: i64,
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
    /// Stores `marks` where the fence is still theirs, as the last statement before COMMIT; any
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
