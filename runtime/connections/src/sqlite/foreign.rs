//! Positions of another Kafka cluster or of another topic of the same name.

use tidegate_sandbox::{LedgerError, LedgerOwner, LedgerPartition};

use super::{authorizer::LEDGER_TABLE, ledger::Stored};

/// How ids of embedded clusters begin; each lives as long as its process.
const EMBEDDED: &str = "embedded-";

/// Whether the stored position means something for `partition`; no: it is of an embedded cluster
/// that is gone.
///
/// # Errors
/// If it belongs to somebody else.
pub(super) fn check(
    owner: &LedgerOwner,
    partition: &LedgerPartition,
    stored: &Stored,
) -> Result<bool, LedgerError> {
    let at = &partition.at;
    if stored.cluster_id != owner.cluster_id {
        if owner.embedded
            && owner.cluster_id.starts_with(EMBEDDED)
            && stored.cluster_id.starts_with(EMBEDDED)
        {
            return Ok(false);
        }
        return Err(refused(
            owner,
            &format!(
                "the offset of {at} is of Kafka cluster {}, and this is cluster {}",
                stored.cluster_id, owner.cluster_id
            ),
            &format!("cluster_id = {}", literal(&stored.cluster_id)),
        ));
    }
    // Nothing was stored of that topic yet, or somebody reset it.
    if stored.topic_id != partition.topic_id && stored.next_offset.is_some() {
        return Err(refused(
            owner,
            &format!(
                "the offset of {at} is of the topic with id {}, which was deleted; the topic of \
                 that name has id {} now",
                stored.topic_id, partition.topic_id
            ),
            &format!("topic_id = {}", literal(&stored.topic_id)),
        ));
    }
    Ok(true)
}

fn refused(owner: &LedgerOwner, problem: &str, rows: &str) -> LedgerError {
    let group = literal(&owner.group);
    LedgerError::Foreign(format!(
        "{problem}; give the connector another name, or, if it shall begin anew, stop it and run \
         DELETE FROM {LEDGER_TABLE} WHERE consumer_group = {group} AND {rows}"
    ))
}

/// Text for SQL that a person copies.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
