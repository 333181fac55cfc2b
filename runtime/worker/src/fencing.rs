//! Shutting out whoever holds the transactional ids of an exactly-once source (KIP-618).

use tidegate_kafka::Kafka;

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
