//! Two requests that librdkafka has and its Rust wrapper has not: the ids of topics, and forgetting
//! single offsets of a group.
#![allow(
    unsafe_code,
    reason = "calls into librdkafka that its wrapper lacks; proof at each block"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

const NO_ERROR: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;

/// The ids that Kafka gave these topics when they were created (KIP-516); topics that do not exist
/// are left out. Blocks up to `timeout`.
///
/// # Errors
/// librdkafka's words.
pub(crate) fn topic_ids<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let names: Vec<CString> = topics
        .iter()
        .map(|topic| CString::new(topic.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| "a topic name holds a NUL character".to_owned())?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let op = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let event = request(client, op, timeout, |rk, options, queue| {
        // Proof: `pointers` holds `len` pointers to NUL-terminated strings, both alive until the end
        // of the function; librdkafka copies them. `rk`, `options` and `queue` are alive, see
        // `request`. The collection is destroyed once, after the call that copies it.
        unsafe {
            let collection = native::rd_kafka_TopicCollection_of_topic_names(
                pointers.as_mut_ptr(),
                pointers.len(),
            );
            native::rd_kafka_DescribeTopics(rk, collection, options, queue);
            native::rd_kafka_TopicCollection_destroy(collection);
        }
    })?;
    let mut ids = BTreeMap::new();
    // Proof: the event is alive and owns all that is read here; every pointer is checked for null,
    // the array has `count` elements by librdkafka's contract, and strings are copied before the
    // event goes.
    unsafe {
        let result = native::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err("the answer describes no topics".to_owned());
        }
        let mut count = 0;
        let all = native::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for index in 0..count {
            let topic = *all.add(index);
            if native::rd_kafka_error_code(native::rd_kafka_TopicDescription_error(topic))
                != NO_ERROR
            {
                continue;
            }
            let name = text(native::rd_kafka_TopicDescription_name(topic));
            let id = native::rd_kafka_TopicDescription_topic_id(topic);
            if !id.is_null() {
                ids.insert(name, text(native::rd_kafka_Uuid_base64str(id)));
            }
        }
    }
    Ok(ids)
}

/// Forgets what a group without members committed for these partitions. Blocks up to `timeout`.
///
/// # Errors
/// The broker's words, also if the group has members.
pub(crate) fn delete_group_offsets(
    client: &BaseConsumer,
    group: &str,
    partitions: &TopicPartitionList,
    timeout: Duration,
) -> Result<(), String> {
    let group =
        CString::new(group).map_err(|_| "the group name holds a NUL character".to_owned())?;
    let op = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS;
    let event = request(client, op, timeout, |rk, options, queue| {
        // Proof: `group` is NUL-terminated and `partitions` a live list; both are copied by `_new`.
        // The one-element array lives through the call; what `_new` made is destroyed once, after.
        unsafe {
            let mut wanted =
                native::rd_kafka_DeleteConsumerGroupOffsets_new(group.as_ptr(), partitions.ptr());
            native::rd_kafka_DeleteConsumerGroupOffsets(rk, &mut wanted, 1, options, queue);
            native::rd_kafka_DeleteConsumerGroupOffsets_destroy(wanted);
        }
    })?;
    // Proof: as in `topic_ids`; the partition list belongs to the event, its elements are an array
    // of `cnt` structs.
    unsafe {
        let result = native::rd_kafka_event_DeleteConsumerGroupOffsets_result(event.0);
        if result.is_null() {
            return Err("the answer names no group".to_owned());
        }
        let mut count = 0;
        let groups = native::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &mut count);
        for index in 0..count {
            let of_group = *groups.add(index);
            let error = native::rd_kafka_group_result_error(of_group);
            if !error.is_null() {
                return Err(text(native::rd_kafka_error_string(error)));
            }
            let list = native::rd_kafka_group_result_partitions(of_group);
            let elements = usize::try_from((*list).cnt).unwrap_or_default();
            for element in 0..elements {
                let error = (*(*list).elems.add(element)).err;
                // With a topic its offsets go.
                let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
                if error != NO_ERROR && error != gone {
                    return Err(text(native::rd_kafka_err2str(error)));
                }
            }
        }
    }
    Ok(())
}

/// An event of ours, destroyed with it.
struct Event(*mut native::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // Proof: made by rd_kafka_queue_poll, not null, destroyed here only.
        unsafe { native::rd_kafka_event_destroy(self.0) }
    }
}

/// Sends one admin request and waits for its answer.
fn request<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    op: native::rd_kafka_admin_op_t,
    timeout: Duration,
    send: impl FnOnce(
        *mut native::rd_kafka_t,
        *mut native::rd_kafka_AdminOptions_t,
        *mut native::rd_kafka_queue_t,
    ),
) -> Result<Event, String> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // Proof: `client` outlives the call, so `rk` is alive. Queue and options are made here and
    // destroyed once on every path, after the request that uses them: librdkafka copies the options
    // and keeps its own reference to the queue for an answer that comes too late. The buffer for
    // error texts has the size that is told.
    let event = unsafe {
        let rk = client.client().native_ptr();
        let queue = native::rd_kafka_queue_new(rk);
        let options = native::rd_kafka_AdminOptions_new(rk, op);
        let mut reason = [0; 256];
        native::rd_kafka_AdminOptions_set_request_timeout(
            options,
            timeout_ms,
            reason.as_mut_ptr(),
            reason.len(),
        );
        send(rk, options, queue);
        let event = native::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1_000));
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_queue_destroy(queue);
        event
    };
    if event.is_null() {
        return Err(format!("no answer within {timeout_ms} ms"));
    }
    let event = Event(event);
    // Proof: the event is alive, and its text is copied.
    unsafe {
        if native::rd_kafka_event_error(event.0) != NO_ERROR {
            return Err(text(native::rd_kafka_event_error_string(event.0)));
        }
    }
    Ok(event)
}

/// A copy of a C string, which may be null.
///
/// # Safety
/// `string` is null or NUL-terminated and alive.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // Proof: the caller's promise.
    let string = unsafe { CStr::from_ptr(string) };
    string.to_string_lossy().into_owned()
}
