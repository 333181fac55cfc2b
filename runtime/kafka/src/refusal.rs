//! What a producer's error says of one record: whether it alone is at fault, its batch, or neither.

use rdkafka::Message;
use rdkafka::error::{KafkaError as RdKafkaError, RDKafkaErrorCode};

use crate::acks::{FailureKind, RecordFailure};
use crate::batching::{Batching, alone_bytes, record_digest};

/// Of a record that a broker did not take, or that librdkafka gave up.
pub(crate) fn refusal(
    error: &RdKafkaError,
    message: &impl Message,
    batching: Batching,
) -> RecordFailure {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    let kind = match code {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => match batching {
            Batching::Single => FailureKind::Record,
            // Batches are no larger than this, so a larger record went alone. Any other was refused
            // since the topic takes less by now.
            Batching::UpTo(bytes) if alone_bytes(message) > bytes => FailureKind::Record,
            Batching::UpTo(_) | Batching::Wide => FailureKind::LargeBatch,
        },
        Some(
            Code::InvalidRecord
            | Code::InvalidDifferentRecord
            | Code::InvalidTimestamp
            | Code::InvalidMessage
            | Code::InvalidMessageSize,
        ) if batching != Batching::Single => FailureKind::InvalidBatch,
        _ => kind(error),
    };
    let reason = match (code, batching) {
        (Some(Code::MessageSizeTooLarge), Batching::UpTo(limit)) => format!(
            "topic {} takes up to {limit} bytes and this record has {}: raise max.message.bytes of the \
             topic",
            message.topic(),
            alone_bytes(message)
        ),
        (Some(Code::MessageSizeTooLarge), Batching::Single) => format!(
            "topic {} does not take a record of {} bytes: raise max.message.bytes of the topic",
            message.topic(),
            alone_bytes(message)
        ),
        (Some(Code::InvalidRecord), _) => format!(
            "topic {} does not take this record: {error} (a record without a key cannot be in a \
             compacted topic)",
            message.topic()
        ),
        (Some(Code::UnknownTopic | Code::UnknownTopicOrPartition), _) => missing(message.topic()),
        _ => format!("topic {}: {error}", message.topic()),
    };
    let digest = (kind == FailureKind::Record)
        .then(|| record_digest(message.topic(), message.key(), message.payload()));
    RecordFailure {
        topic: message.topic().to_owned(),
        reason,
        kind,
        digest,
    }
}

/// Of a record that librdkafka did not even queue; that is about this record alone.
pub(crate) fn local_refusal(
    error: &RdKafkaError,
    topic: &str,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> RecordFailure {
    let kind = kind(error);
    let reason = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => format!(
            "a record of {} bytes for topic {topic} is larger than the producer sends: raise \
             producer.override.max.request.size of the connector, or producer.max.request.size of the \
             worker, and max.message.bytes of the topic",
            key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
        ),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            missing(topic)
        }
        _ => format!("topic {topic}: {error}"),
    };
    RecordFailure {
        topic: topic.to_owned(),
        reason,
        kind,
        digest: (kind == FailureKind::Record).then(|| record_digest(topic, key, value)),
    }
}

fn missing(topic: &str) -> String {
    format!(
        "topic {topic} does not exist: create it (kafka-topics.sh --create --topic {topic}), or let the connector \
         do so with topic.creation.default.partitions and topic.creation.default.replication.factor"
    )
}

fn kind(error: &RdKafkaError) -> FailureKind {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::UnknownPartition
            | Code::InvalidTimestamp
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidTopic
            | Code::InvalidRecord,
        ) => FailureKind::Record,
        Some(
            Code::TopicAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed,
        ) => FailureKind::Permanent,
        // What librdkafka answers in a transaction that can only be aborted.
        Some(Code::State | Code::PurgeQueue | Code::PurgeInflight) => FailureKind::Doomed,
        _ => FailureKind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    fn message(bytes: usize) -> OwnedMessage {
        let value = Some(vec![b'x'; bytes]);
        OwnedMessage::new(value, None, "t".into(), Timestamp::NotAvailable, 0, 0, None)
    }

    fn kind_of(code: RDKafkaErrorCode, bytes: usize, batching: Batching) -> FailureKind {
        let error = RdKafkaError::MessageProduction(code);
        refusal(&error, &message(bytes), batching).kind
    }

    #[test]
    fn only_a_record_that_was_sent_alone_is_at_fault() {
        use FailureKind::{InvalidBatch, LargeBatch, Record};
        let large = RDKafkaErrorCode::MessageSizeTooLarge;
        assert_eq!(kind_of(large, 5000, Batching::Wide), LargeBatch);
        assert_eq!(kind_of(large, 5000, Batching::UpTo(1000)), Record);
        assert_eq!(kind_of(large, 10, Batching::UpTo(1000)), LargeBatch);
        assert_eq!(kind_of(large, 10, Batching::Single), Record);
        let invalid = RDKafkaErrorCode::InvalidRecord;
        assert_eq!(kind_of(invalid, 10, Batching::Wide), InvalidBatch);
        assert_eq!(kind_of(invalid, 10, Batching::UpTo(1000)), InvalidBatch);
        assert_eq!(kind_of(invalid, 10, Batching::Single), Record);
        let other = RDKafkaErrorCode::InvalidDifferentRecord;
        assert_eq!(kind_of(other, 10, Batching::Wide), InvalidBatch);
    }
}
