//! How a producer puts records together, and what a refused record is. A broker takes or refuses a
//! batch as a whole: one record over the topic's `max.message.bytes`, or one without a key where the
//! topic is compacted, and none of its neighbours is written. A batch's refusal is no verdict on a record
//! until the record was refused alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rdkafka::Message;

/// How many records a produce request may put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Batching {
    /// As many as `batch.size` allows.
    #[default]
    Wide,
    /// As many as fit into what the topic takes, in bytes before compression; a larger one goes alone.
    UpTo(usize),
    /// One.
    Single,
}

/// Before the first record of a batch (Kafka's record format, magic 2).
const BATCH_HEADER_BYTES: usize = 61;
/// Attributes, and the deltas of time and offset, of the first record of a batch.
const FIRST_RECORD_BYTES: usize = 3;

impl Batching {
    /// Puts librdkafka's keys for it over what is there.
    pub(crate) fn apply(self, settings: &mut BTreeMap<String, String>) {
        match self {
            Self::Wide => {}
            Self::UpTo(bytes) => {
                let configured = settings.get("batch.size").and_then(|v| v.parse().ok());
                let bytes = configured.map_or(bytes, |size: usize| size.min(bytes));
                settings.insert("batch.size".to_owned(), bytes.max(1).to_string());
            }
            Self::Single => {
                settings.insert("batch.num.messages".to_owned(), "1".to_owned());
            }
        }
    }
}

/// The size of a batch that holds nothing but this record, uncompressed: what a broker compares with
/// `max.message.bytes`.
pub(crate) fn alone_bytes(message: &impl Message) -> usize {
    use rdkafka::message::Headers;
    let part = |bytes: Option<usize>| bytes.map_or(1, |len| varint_bytes(len) + len);
    let mut headers = varint_bytes(0);
    if let Some(all) = message.headers() {
        headers = varint_bytes(all.count());
        headers += all
            .iter()
            .map(|header| part(Some(header.key.len())) + part(header.value.map(<[u8]>::len)))
            .sum::<usize>();
    }
    let record = FIRST_RECORD_BYTES
        + part(message.key().map(<[u8]>::len))
        + part(message.payload().map(<[u8]>::len))
        + headers;
    BATCH_HEADER_BYTES + varint_bytes(record) + record
}

/// Of a length in Kafka's records: a signed number in groups of seven bits.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - (length << 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).unwrap_or(1).max(1)
}

/// What a record is known by when its source sends it again.
pub fn record_digest(topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, key, value).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_batch_is_made_smaller_and_never_larger() {
        let size = |configured: Option<&str>, batching: Batching| {
            let pair = configured.map(|v| ("batch.size".to_owned(), v.to_owned()));
            let mut settings: BTreeMap<_, _> = pair.into_iter().collect();
            batching.apply(&mut settings);
            settings
        };
        assert_eq!(size(None, Batching::UpTo(2048))["batch.size"], "2048");
        assert_eq!(
            size(Some("1000"), Batching::UpTo(2048))["batch.size"],
            "1000"
        );
        assert_eq!(
            size(Some("9000"), Batching::UpTo(2048))["batch.size"],
            "2048"
        );
        assert_eq!(size(None, Batching::Single)["batch.num.messages"], "1");
        assert!(size(None, Batching::Wide).is_empty());
    }

    #[test]
    fn lengths_take_seven_bits_a_byte_and_one_for_the_sign() {
        let bytes = [0, 63, 64, 8191, 8192].map(varint_bytes);
        assert_eq!(bytes, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn records_that_differ_have_other_digests() {
        let some = record_digest("t", Some(b"a"), Some(b"b"));
        assert_eq!(some, record_digest("t", Some(b"a"), Some(b"b")));
        for other in [
            record_digest("u", Some(b"a"), Some(b"b")),
            record_digest("t", Some(b"ab"), Some(b"")),
            record_digest("t", Some(b"ab"), None),
            record_digest("t", None, Some(b"b")),
        ] {
            assert_ne!(some, other);
        }
    }
}
