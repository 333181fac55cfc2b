//! Values in PostgreSQL's binary form as texts that it reads back.

use std::fmt::Write as _;

use super::{
    iso::{self, DAY_MICROS, EPOCH_DAYS},
    types::Kind,
};

/// The text of a value of `kind`; none if it is none of that kind, or of a kind without one.
pub(super) fn of(kind: &Kind, bytes: &[u8]) -> Option<String> {
    Some(match kind {
        Kind::Bool => (bytes == [1]).to_string(),
        Kind::Int2 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Kind::Int4 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Kind::Int8 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Kind::Float4 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Kind::Float8 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Kind::Numeric => numeric(bytes)?,
        Kind::Text | Kind::Json => String::from_utf8(bytes.to_vec()).ok()?,
        Kind::Jsonb => String::from_utf8(bytes.strip_prefix(&[1])?.to_vec()).ok()?,
        Kind::Bytea => hexadecimal("\\x", bytes)?,
        Kind::Uuid => uuid(bytes)?,
        Kind::Date => iso::date(day(bytes)?),
        Kind::Time => iso::time(i64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Timestamp | Kind::Timestamptz => iso::timestamp(instant(bytes)?),
        Kind::Array(..) | Kind::Other => return None,
    })
}

/// Days since 1970; none for the infinities.
pub(super) fn day(bytes: &[u8]) -> Option<i64> {
    let day = i32::from_be_bytes(bytes.try_into().ok()?);
    (day != i32::MAX && day != i32::MIN).then_some(i64::from(day) + EPOCH_DAYS)
}

/// Microseconds since 1970; none for the infinities.
pub(super) fn instant(bytes: &[u8]) -> Option<i64> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    if micros == i64::MAX || micros == i64::MIN {
        return None;
    }
    micros.checked_add(EPOCH_DAYS * DAY_MICROS)
}

/// Plain digits of a numeric, or `NaN`, `Infinity`, `-Infinity`.
pub(super) fn numeric(bytes: &[u8]) -> Option<String> {
    let mut parts = bytes
        .chunks_exact(2)
        .filter_map(|part| Some(u16::from_be_bytes(part.try_into().ok()?)));
    let count = parts.next()?;
    let weight = parts.next()?.cast_signed();
    let sign = parts.next()?;
    let scale = usize::from(parts.next()?);
    match sign {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let groups: Vec<u16> = parts.take(usize::from(count)).collect();
    let group = |place: i32| {
        let index = usize::try_from(i32::from(weight) - place).ok();
        index
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::new();
    if sign == 0x4000 {
        text.push('-');
    }
    write!(text, "{}", group(i32::from(weight).max(0))).ok()?;
    for place in (0..i32::from(weight)).rev() {
        write!(text, "{:04}", group(place)).ok()?;
    }
    if scale > 0 {
        text.push('.');
        let point = text.len();
        let mut place = -1;
        while text.len() - point < scale {
            write!(text, "{:04}", group(place)).ok()?;
            place -= 1;
        }
        text.truncate(point + scale);
    }
    Some(text)
}

pub(super) fn uuid(bytes: &[u8]) -> Option<String> {
    let digits = hexadecimal("", bytes)?;
    let part = |from: usize, to: usize| digits.get(from..to);
    Some(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8)?,
        part(8, 12)?,
        part(12, 16)?,
        part(16, 20)?,
        part(20, 32)?
    ))
}

fn hexadecimal(prefix: &str, bytes: &[u8]) -> Option<String> {
    let mut text = prefix.to_owned();
    for byte in bytes {
        write!(text, "{byte:02x}").ok()?;
    }
    Some(text)
}
