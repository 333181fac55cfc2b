//! The table `tidegate_offsets`: how far each consumer group is, in the database that its sink
//! writes to, and who owns its partitions now (D4, D8).

use deadpool_postgres::Client;
use tidegate_sandbox::{
    LedgerError, LedgerOwner, LedgerPartition, LedgerPosition, LedgerStart, SqlError,
    TopicPartition,
};
use tokio_postgres::Row;

use super::{error::Fault, table};
use crate::database::LedgerMark;

pub(super) const NAME: &str = "tidegate_offsets";
const CREATE: &str = "\
    CREATE TABLE IF NOT EXISTS tidegate_offsets (consumer_group text NOT NULL, \
    topic text NOT NULL, partition int NOT NULL, cluster_id text NOT NULL, \
    topic_id text NOT NULL, next_offset bigint, fence bigint NOT NULL, \
    updated timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer_group, topic, partition))";

/// Rows are locked in the order of the key, so that two owners who open the same partitions do
/// not wait for each other. A row of another cluster or topic is left alone, and not answered;
/// one of another embedded cluster begins anew, and one that stores nothing yet is of any topic.
/// The first fence is a time and not 1: if somebody
/// deletes the row, an owner of the deleted one must not find its fence in the next.
const OPEN: &str = "\
    INSERT INTO tidegate_offsets AS o \
        (consumer_group, topic, partition, cluster_id, topic_id, next_offset, fence) \
    SELECT $1::text, v.topic, v.partition, $2::text, v.topic_id, v.next_offset, \
        (extract(epoch FROM pg_catalog.statement_timestamp()) * 1000)::int8 \
    FROM unnest($3::text[], $4::int4[], $5::text[], $6::int8[]) \
        AS v(topic, partition, topic_id, next_offset) \
    ORDER BY v.topic, v.partition \
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET \
        fence = o.fence + 1, updated = now(), \
        cluster_id = excluded.cluster_id, topic_id = excluded.topic_id, \
        next_offset = CASE WHEN o.cluster_id = excluded.cluster_id \
            THEN coalesce(excluded.next_offset, o.next_offset) ELSE excluded.next_offset END \
    WHERE (o.cluster_id = excluded.cluster_id \
            AND (o.topic_id = excluded.topic_id OR o.next_offset IS NULL)) \
        OR ($7::bool AND o.cluster_id <> excluded.cluster_id \
            AND starts_with(o.cluster_id, 'embedded-') \
            AND starts_with(excluded.cluster_id, 'embedded-')) \
    RETURNING o.topic, o.partition, o.fence, o.next_offset";

/// What a person orders counts, whatever was stored.
const REWRITE: &str = "\
    INSERT INTO tidegate_offsets AS o \
        (consumer_group, topic, partition, cluster_id, topic_id, next_offset, fence) \
    SELECT $1::text, v.topic, v.partition, $2::text, v.topic_id, v.next_offset, \
        (extract(epoch FROM pg_catalog.statement_timestamp()) * 1000)::int8 \
    FROM unnest($3::text[], $4::int4[], $5::text[], $6::int8[]) \
        AS v(topic, partition, topic_id, next_offset) \
    ORDER BY v.topic, v.partition \
    ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET \
        fence = o.fence + 1, updated = now(), cluster_id = excluded.cluster_id, \
        topic_id = excluded.topic_id, next_offset = excluded.next_offset \
    RETURNING o.topic, o.partition, o.fence, o.next_offset";

const COMMIT: &str = "\
    UPDATE tidegate_offsets AS o SET next_offset = v.next_offset, updated = now() \
    FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[]) \
        AS v(topic, partition, first_offset, next_offset, fence) \
    WHERE o.consumer_group = $1 AND o.topic = v.topic AND o.partition = v.partition \
        AND o.fence = v.fence \
        AND (o.next_offset IS NULL OR o.next_offset <= v.first_offset) \
    RETURNING o.topic, o.partition, o.fence, o.next_offset";

const POSITIONS: &str = "\
    SELECT topic, partition, fence, next_offset FROM tidegate_offsets \
    WHERE consumer_group = $1 AND cluster_id = $2 ORDER BY topic, partition";

const STORED: &str = "\
    SELECT o.topic, o.partition, o.cluster_id, o.topic_id FROM tidegate_offsets AS o \
    JOIN unnest($2::text[], $3::int4[]) AS v(topic, partition) USING (topic, partition) \
    WHERE o.consumer_group = $1 ORDER BY o.topic, o.partition";

/// Takes the partitions over and commits that. If it fails, the transaction may still be open.
pub(super) async fn open(
    client: &Client,
    owner: &LedgerOwner,
    partitions: &[LedgerPartition],
) -> Result<Vec<LedgerStart>, LedgerError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let lists = Lists::of(partitions);
    let resets: Vec<_> = partitions
        .iter()
        .map(|partition| partition.reset_to)
        .collect();
    begin(client).await?;
    let statement = prepared(client, OPEN).await?;
    let rows = client
        .query(
            &statement,
            &[
                &owner.group,
                &owner.cluster_id,
                &lists.topics,
                &lists.partitions,
                &lists.topic_ids,
                &resets,
                &owner.embedded,
            ],
        )
        .await
        .map_err(rolled_back)?;
    let opened = positions(&rows).map_err(rolled_back)?;
    if let Some(starts) = starts(&opened, partitions.iter().map(|p| &p.at)) {
        end(client).await?;
        return Ok(starts);
    }
    // The rows that were left alone are as they were, and the others are this owner's by now.
    let foreign = foreign(client, owner, partitions, &lists).await?;
    client
        .batch_execute("ROLLBACK")
        .await
        .map_err(rolled_back)?;
    Err(foreign)
}

/// Stores what a person ordered and commits that. If it fails, the transaction may still be open.
pub(super) async fn rewrite(
    client: &Client,
    owner: &LedgerOwner,
    partitions: &[(LedgerPartition, Option<i64>)],
) -> Result<Vec<LedgerStart>, LedgerError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let lists = Lists::of(partitions.iter().map(|(partition, _)| partition));
    let offsets: Vec<_> = partitions.iter().map(|(_, offset)| *offset).collect();
    begin(client).await?;
    let statement = prepared(client, REWRITE).await?;
    let rows = client
        .query(
            &statement,
            &[
                &owner.group,
                &owner.cluster_id,
                &lists.topics,
                &lists.partitions,
                &lists.topic_ids,
                &offsets,
            ],
        )
        .await
        .map_err(rolled_back)?;
    let written = positions(&rows).map_err(rolled_back)?;
    let starts = starts(&written, partitions.iter().map(|(p, _)| &p.at)).ok_or_else(|| {
        LedgerError::RolledBack(SqlError::Rejected {
            code: "P0001".to_owned(),
            message: format!("a trigger of table {NAME} kept rows back; drop it"),
        })
    })?;
    end(client).await?;
    Ok(starts)
}

/// Stores the marks as part of the transaction at hand, its last statement before COMMIT. That
/// every row reports back also shows that the transaction was not lost: COMMIT itself would
/// answer no error then.
pub(super) async fn store(
    client: &Client,
    owner: &LedgerOwner,
    marks: &[LedgerMark],
) -> Result<(), LedgerError> {
    if marks.is_empty() {
        return Ok(());
    }
    let spans = || marks.iter().map(|mark| &mark.span);
    let topics: Vec<_> = spans().map(|span| span.at.topic.as_str()).collect();
    let partitions: Vec<_> = spans().map(|span| span.at.partition).collect();
    let firsts: Vec<_> = spans().map(|span| span.first_offset).collect();
    let offsets: Vec<_> = spans().map(|span| span.next_offset).collect();
    let fences: Vec<_> = marks.iter().map(|mark| mark.fence).collect();
    let statement = prepared(client, COMMIT).await?;
    let rows = client
        .query(
            &statement,
            &[
                &owner.group,
                &topics,
                &partitions,
                &firsts,
                &offsets,
                &fences,
            ],
        )
        .await
        .map_err(rolled_back)?;
    if rows.len() == marks.len() {
        return Ok(());
    }
    let stored = positions(&rows).map_err(rolled_back)?;
    Err(not_stored(client, owner, marks, &stored).await)
}

/// Why some of the marks are not among the rows that were stored.
async fn not_stored(
    client: &Client,
    owner: &LedgerOwner,
    marks: &[LedgerMark],
    stored: &[LedgerPosition],
) -> LedgerError {
    let present = match read(client, owner).await {
        Ok(present) => present,
        Err(error) => return LedgerError::RolledBack(error),
    };
    let left_out = marks
        .iter()
        .filter(|mark| !stored.iter().any(|row| row.at == mark.span.at));
    for mark in left_out {
        let row = present
            .iter()
            .find(|row| row.at == mark.span.at && row.fence == mark.fence);
        if let Some(next_offset) = row.and_then(|row| row.next_offset) {
            return mark.overlaps(&owner.group, next_offset);
        }
    }
    LedgerError::Fenced(format!(
        "{} of {} positions of group {} are still this task's in {NAME}; the others were opened by \
         another task since, or their rows deleted",
        stored.len(),
        marks.len(),
        owner.group
    ))
}

/// What is stored for the group; nothing where there is no table yet.
pub(super) async fn read(
    client: &Client,
    owner: &LedgerOwner,
) -> Result<Vec<LedgerPosition>, SqlError> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(POSITIONS, &[&owner.group, &owner.cluster_id])
        .await;
    Ok(rows
        .and_then(|rows| positions(&rows))
        .map_err(Fault::from)?)
}

async fn exists(client: &Client) -> Result<bool, Fault> {
    let found = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    Ok(client.query_one(found, &[&NAME]).await?.try_get(0)?)
}

/// Makes the ledger where there is none, and commits that. If it fails, the transaction may still be
/// open.
pub(super) async fn make(client: &Client) -> Result<(), SqlError> {
    if exists(client).await? {
        return Ok(());
    }
    let made = async {
        client
            .batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            .await?;
        table::lock(client, NAME).await?;
        client.batch_execute(CREATE).await?;
        client.batch_execute("COMMIT").await?;
        Ok::<_, Fault>(())
    };
    made.await.map_err(|fault| match SqlError::from(fault) {
        SqlError::Rejected { code, message } => SqlError::Rejected {
            code,
            message: format!(
                "the table that keeps the offsets could not be made: {message}; have an \
                 administrator run: {CREATE}; GRANT SELECT, INSERT, UPDATE ON {NAME} TO the user \
                 of the connection"
            ),
        },
        error => error,
    })
}

async fn begin(client: &Client) -> Result<(), LedgerError> {
    let begin = client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
    begin.await.map_err(rolled_back)
}

/// What is lost with its answer here harms nobody: the next open takes a greater fence.
async fn end(client: &Client) -> Result<(), LedgerError> {
    client.batch_execute("COMMIT").await.map_err(rolled_back)
}

async fn prepared(client: &Client, sql: &str) -> Result<tokio_postgres::Statement, LedgerError> {
    client.prepare_cached(sql).await.map_err(rolled_back)
}

fn rolled_back(error: tokio_postgres::Error) -> LedgerError {
    LedgerError::RolledBack(Fault::from(error).into())
}

/// Partitions as the parallel arrays that statements take.
struct Lists<'a> {
    topics: Vec<&'a str>,
    partitions: Vec<i32>,
    topic_ids: Vec<&'a str>,
}

impl<'a> Lists<'a> {
    fn of(partitions: impl IntoIterator<Item = &'a LedgerPartition>) -> Self {
        let mut lists = Self {
            topics: Vec::new(),
            partitions: Vec::new(),
            topic_ids: Vec::new(),
        };
        for partition in partitions {
            lists.topics.push(&partition.at.topic);
            lists.partitions.push(partition.at.partition);
            lists.topic_ids.push(&partition.topic_id);
        }
        lists
    }
}

fn positions(rows: &[Row]) -> Result<Vec<LedgerPosition>, tokio_postgres::Error> {
    let position = |row: &Row| {
        Ok(LedgerPosition {
            at: TopicPartition {
                topic: row.try_get(0)?,
                partition: row.try_get(1)?,
            },
            fence: row.try_get(2)?,
            next_offset: row.try_get(3)?,
        })
    };
    rows.iter().map(position).collect()
}

/// One start a partition, in order; none if one is missing.
fn starts<'a>(
    rows: &[LedgerPosition],
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Option<Vec<LedgerStart>> {
    let start = |at: &TopicPartition| {
        let row = rows.iter().find(|row| row.at == *at)?;
        Some(LedgerStart {
            fence: row.fence,
            next_offset: row.next_offset,
        })
    };
    partitions.map(start).collect()
}

/// Whose the rows are that were not answered.
async fn foreign(
    client: &Client,
    owner: &LedgerOwner,
    partitions: &[LedgerPartition],
    lists: &Lists<'_>,
) -> Result<LedgerError, LedgerError> {
    let stored = client
        .query(STORED, &[&owner.group, &lists.topics, &lists.partitions])
        .await
        .map_err(rolled_back)?;
    for row in &stored {
        let column = |index: usize| row.try_get::<_, String>(index).map_err(rolled_back);
        let (topic, cluster_id, topic_id) = (column(0)?, column(2)?, column(3)?);
        let number: i32 = row.try_get(1).map_err(rolled_back)?;
        let Some(present) = partitions
            .iter()
            .find(|p| p.at.topic == topic && p.at.partition == number)
        else {
            continue;
        };
        if cluster_id == owner.cluster_id && topic_id == present.topic_id {
            continue;
        }
        return Ok(LedgerError::Foreign(format!(
            "table {NAME} has a position of {}, group {}, that is of another Kafka cluster or of \
             a topic that was deleted and created anew: it was stored for cluster {cluster_id} and \
             topic id {topic_id}, and present are cluster {} and topic id {}; use another \
             connector name, or, if what was stored shall count no more, stop the connector and \
             run DELETE FROM {NAME} WHERE consumer_group = {} AND topic = {}",
            present.at,
            owner.group,
            owner.cluster_id,
            present.topic_id,
            literal(&owner.group),
            literal(&topic),
        )));
    }
    Ok(LedgerError::RolledBack(SqlError::Unavailable(format!(
        "rows of table {NAME} changed while they were opened; try again"
    ))))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
