//! The bytes of plugins in the plugins topic, in pieces that every broker takes.

use sha2::{Digest, Sha256};
use tidegate_kafka::{Kafka, KafkaError, StateProducer, StateWrite};

/// A broker takes 1 MiB a record unless told otherwise.
const CHUNK_BYTES: usize = 512 << 10;

/// Writes a component; answers the offsets of its pieces when all are acked.
pub(crate) async fn write(
    producer: &StateProducer,
    topic: &str,
    digest: &str,
    component: &[u8],
) -> Result<Vec<i64>, KafkaError> {
    let chunks = component.chunks(CHUNK_BYTES).enumerate();
    let writes = chunks.map(|(index, chunk)| StateWrite {
        topic: topic.to_owned(),
        partition: Some(0),
        key: key(digest, index),
        value: Some(chunk.to_vec()),
    });
    let offsets = producer.write(writes.collect()).await?;
    Ok(offsets.into_iter().map(|(_, offset)| offset).collect())
}

/// Forgets a component.
pub(crate) async fn delete(
    producer: &StateProducer,
    topic: &str,
    digest: &str,
    pieces: usize,
) -> Result<(), KafkaError> {
    let writes = (0..pieces).map(|index| StateWrite {
        topic: topic.to_owned(),
        partition: Some(0),
        key: key(digest, index),
        value: None,
    });
    producer.write(writes.collect()).await.map(drop)
}

/// Reads a component; none if pieces are missing or are not what the digest says.
pub(crate) async fn read(
    kafka: &Kafka,
    topic: &str,
    digest: &str,
    offsets: &[i64],
) -> Result<Option<Vec<u8>>, KafkaError> {
    let pieces = kafka.records_at(topic, 0, offsets.to_vec()).await?;
    let component: Option<Vec<Vec<u8>>> = pieces
        .into_iter()
        .enumerate()
        .map(|(index, piece)| {
            let piece = piece.filter(|piece| piece.key == Some(key(digest, index)))?;
            piece.value
        })
        .collect();
    Ok(component
        .map(|pieces| pieces.concat())
        .filter(|bytes| is_digest(digest, bytes)))
}

pub(crate) fn is_digest(digest: &str, bytes: &[u8]) -> bool {
    let found = Sha256::digest(bytes);
    let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
    found == digest
}

fn key(digest: &str, index: usize) -> Vec<u8> {
    format!("{digest}/{index}").into_bytes()
}
