//! Transactional ids of exactly-once sources, and shutting out whoever holds them (KIP-618).

use tidegate_kafka::Kafka;

/// The transactional id of a task, as in Kafka Connect: ACLs for it are written by prefix.
pub(crate) fn transactional_id(group: &str, connector: &str, task: u32) -> String {
    format!("{group}-{connector}-{task}")
}

/// Ends every transaction that is open under these ids, and lets none be begun by who had them.
pub(crate) async fn fence(kafka: &Kafka, connector: &str, ids: Vec<String>) -> Result<(), String> {
    let count = ids.len();
    match kafka.fence(ids).await {
        Ok(()) => {
            tracing::info!(
                connector,
                ids = count,
                "fenced the tasks of earlier generations"
            );
            Ok(())
        }
        Err(error) => {
            let trace = format!("fence the tasks of earlier generations: {error}");
            tracing::error!(connector, "{trace}");
            Err(trace)
        }
    }
}
