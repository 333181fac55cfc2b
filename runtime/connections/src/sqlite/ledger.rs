//! Where a task's consumed offsets are kept: in the file itself, so that rows and offsets are one
//! transaction (D8).

use rusqlite::{OptionalExtension, Row, named_params};
use tidegate_model::failpoint;
use tidegate_sandbox::{
    LedgerError, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart, SqlError,
    TopicPartition,
};

use super::{authorizer::LEDGER_TABLE, foreign, link::Db};
use crate::database::LedgerMark;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS main.tidegate_offsets (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    \"partition\" INTEGER NOT NULL,
    cluster_id TEXT NOT NULL,
    topic_id TEXT NOT NULL,
    next_offset INTEGER,
    fence INTEGER NOT NULL,
    updated TEXT NOT NULL,
    PRIMARY KEY (consumer_group, topic, \"partition\"))";

/// The first fence is a time and not 1: if somebody deletes the row, an owner of the deleted one
/// must not find its fence in the next.
const TAKE: &str = "INSERT INTO main.tidegate_offsets
    (consumer_group, topic, \"partition\", cluster_id, topic_id, next_offset, fence, updated)
    VALUES (:group, :topic, :partition, :cluster, :topic_id, :next_offset,
        CAST(unixepoch('subsec') * 1000 AS INTEGER), strftime('%Y-%m-%dT%H:%M:%fZ'))
    ON CONFLICT DO UPDATE SET
        cluster_id = excluded.cluster_id, topic_id = excluded.topic_id,
        next_offset = excluded.next_offset, fence = fence + 1, updated = excluded.updated
    RETURNING fence";

const FIND: &str = "SELECT cluster_id, topic_id, next_offset FROM main.tidegate_offsets
    WHERE consumer_group = :group AND topic = :topic AND \"partition\" = :partition";

const MARK: &str = "UPDATE main.tidegate_offsets
    SET next_offset = :next_offset, updated = strftime('%Y-%m-%dT%H:%M:%fZ')
    WHERE consumer_group = :group AND topic = :topic AND \"partition\" = :partition
        AND cluster_id = :cluster AND fence = :fence
        AND (next_offset IS NULL OR next_offset <= :first_offset)";

const UNDER: &str = "SELECT next_offset FROM main.tidegate_offsets
    WHERE consumer_group = :group AND topic = :topic AND \"partition\" = :partition
        AND cluster_id = :cluster AND fence = :fence";

const LIST: &str = "SELECT topic, \"partition\", next_offset, fence FROM main.tidegate_offsets
    WHERE consumer_group = :group AND cluster_id = :cluster ORDER BY 1, 2";

/// What becomes of a stored position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Position {
    /// It stays.
    Kept,
    /// It becomes this; none: as if nothing had been stored.
    Set(Option<i64>),
}

/// A stored row.
pub(super) struct Stored {
    pub(super) cluster_id: String,
    pub(super) topic_id: String,
    pub(super) next_offset: Option<i64>,
}

/// Makes `owner` the one whose commits count, durably (D4).
pub(super) fn take_over(
    db: &Db,
    owner: &LedgerOwner,
    partitions: &[(LedgerPartition, Position)],
) -> Result<Vec<LedgerStart>, LedgerError> {
    if db.in_transaction() {
        return Err(LedgerError::RolledBack(SqlError::Denied(
            "offsets are opened between puts; commit the put or roll it back before".to_owned(),
        )));
    }
    db.begin().map_err(LedgerError::RolledBack)?;
    let taken = db.host(CREATE).map_err(LedgerError::RolledBack);
    let taken = taken.and_then(|()| {
        let all = partitions.iter();
        db.as_host(|| all.map(|(at, to)| take(db, owner, at, *to)).collect())
    });
    end(db, taken)
}

fn take(
    db: &Db,
    owner: &LedgerOwner,
    partition: &LedgerPartition,
    position: Position,
) -> Result<LedgerStart, LedgerError> {
    let stored = find(db, owner, &partition.at).map_err(|error| rolled_back(db, &error))?;
    let next_offset = match (position, stored) {
        // What a person orders counts, whatever was stored.
        (Position::Set(next_offset), _) => next_offset,
        (Position::Kept, None) => None,
        (Position::Kept, Some(stored)) => foreign::check(owner, partition, &stored)?
            .then_some(stored.next_offset)
            .flatten(),
    };
    let fence = db.connection.prepare_cached(TAKE).and_then(|mut take| {
        let parameters = named_params! {
            ":group": owner.group,
            ":topic": partition.at.topic,
            ":partition": partition.at.partition,
            ":cluster": owner.cluster_id,
            ":topic_id": partition.topic_id,
            ":next_offset": next_offset,
        };
        take.query_one(parameters, |row| row.get(0))
    });
    Ok(LedgerStart {
        fence: fence.map_err(|error| rolled_back(db, &error))?,
        next_offset,
    })
}

fn find(db: &Db, owner: &LedgerOwner, at: &TopicPartition) -> rusqlite::Result<Option<Stored>> {
    let parameters = named_params! {
        ":group": owner.group, ":topic": at.topic, ":partition": at.partition,
    };
    let stored = |row: &Row<'_>| {
        Ok(Stored {
            cluster_id: row.get(0)?,
            topic_id: row.get(1)?,
            next_offset: row.get(2)?,
        })
    };
    let mut find = db.connection.prepare_cached(FIND)?;
    find.query_one(parameters, stored).optional()
}

/// Commits what the put wrote and `marks` with it; both or neither.
pub(super) fn commit(
    db: &Db,
    owner: &LedgerOwner,
    marks: &[LedgerMark],
) -> Result<(), LedgerError> {
    if !db.in_transaction() {
        if marks.is_empty() {
            return Ok(());
        }
        db.begin().map_err(LedgerError::RolledBack)?;
    }
    // Last, so that nothing comes between the check of the fence and COMMIT.
    let marked = db.as_host(|| marks.iter().try_for_each(|mark| set(db, owner, mark)));
    failpoint::reached("offsets-written");
    end(db, marked)
}

fn set(db: &Db, owner: &LedgerOwner, mark: &LedgerMark) -> Result<(), LedgerError> {
    let span = &mark.span;
    let rows = db.connection.prepare_cached(MARK).and_then(|mut set| {
        set.execute(named_params! {
            ":group": owner.group,
            ":topic": span.at.topic,
            ":partition": span.at.partition,
            ":cluster": owner.cluster_id,
            ":fence": mark.fence,
            ":first_offset": span.first_offset,
            ":next_offset": span.next_offset,
        })
    });
    match rows {
        Ok(1) => Ok(()),
        Ok(_) => Err(match under(db, owner, mark) {
            Ok(Some(stored)) => mark.overlaps(&owner.group, stored),
            Ok(None) => LedgerError::Fenced(format!(
                "{LEDGER_TABLE} has another fence than {} for {} of group {}, or no row for it",
                mark.fence, span.at, owner.group
            )),
            Err(error) => rolled_back(db, &error),
        }),
        Err(error) => Err(rolled_back(db, &error)),
    }
}

/// What is stored under the fence of the mark.
fn under(db: &Db, owner: &LedgerOwner, mark: &LedgerMark) -> rusqlite::Result<Option<i64>> {
    let parameters = named_params! {
        ":group": owner.group,
        ":topic": mark.span.at.topic,
        ":partition": mark.span.at.partition,
        ":cluster": owner.cluster_id,
        ":fence": mark.fence,
    };
    let mut under = db.connection.prepare_cached(UNDER)?;
    let stored = under.query_one(parameters, |row| row.get(0)).optional()?;
    Ok(stored.flatten())
}

/// Ends the transaction: with COMMIT, or if `work` failed, without.
fn end<T>(db: &Db, work: Result<T, LedgerError>) -> Result<T, LedgerError> {
    let failed = match work {
        Ok(answer) => match db.host("COMMIT") {
            Ok(()) => return Ok(answer),
            Err(error) if db.in_transaction() => LedgerError::RolledBack(error),
            // SQLite has ended the transaction, but perhaps behind the record that commits it.
            Err(error) => LedgerError::Unknown(error.to_string()),
        },
        Err(error) => error,
    };
    // If even that fails, the caller finds the transaction open.
    let _ = db.rollback();
    Err(failed)
}

/// What is stored for the group of `owner` in its cluster; nothing if there is no table.
pub(super) fn positions(db: &Db, owner: &LedgerOwner) -> Result<Vec<LedgerPosition>, SqlError> {
    let list = || -> rusqlite::Result<Vec<LedgerPosition>> {
        if !db.connection.table_exists(Some("main"), LEDGER_TABLE)? {
            return Ok(Vec::new());
        }
        let position = |row: &Row<'_>| {
            Ok(LedgerPosition {
                at: TopicPartition {
                    topic: row.get(0)?,
                    partition: row.get(1)?,
                },
                next_offset: row.get(2)?,
                fence: row.get(3)?,
            })
        };
        let parameters = named_params! {":group": owner.group, ":cluster": owner.cluster_id};
        let mut list = db.connection.prepare_cached(LIST)?;
        list.query_map(parameters, position)?.collect()
    };
    list().map_err(|error| db.failed(&error))
}

fn rolled_back(db: &Db, error: &rusqlite::Error) -> LedgerError {
    LedgerError::RolledBack(db.failed(error))
}
