//! Members of the JSON objects in state topics.

use serde_json::Value;

/// A member that has to be a string.
pub(crate) fn text(value: &Value, field: &str) -> Result<String, String> {
    let found = value.get(field).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| format!("the field {field:?} is missing or not a string"))
}

/// A member that has to be a whole number.
pub(crate) fn number<T: TryFrom<u64>>(value: &Value, field: &str) -> Result<T, String> {
    let found = value.get(field).and_then(Value::as_u64);
    found
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| format!("the field {field:?} is missing or not a whole number in range"))
}

/// A member that is true or false; absent: false.
pub(crate) fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// `NAME-NUMBER`: a task in a key. Names may have dashes, numbers have none.
pub(crate) fn task(key: &str) -> Result<tidegate_model::names::TaskId, String> {
    let parts = key.rsplit_once('-');
    parts
        .and_then(|(name, n)| Some(tidegate_model::names::TaskId::new(name, n.parse().ok()?)))
        .ok_or_else(|| format!("{key:?} names no task"))
}
