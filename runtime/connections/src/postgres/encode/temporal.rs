//! Dates, times and timestamps: of Connect's logical types, of Debezium's, and as ISO 8601.

use tidegate_convert::{Logical, Schema, Value};

use super::{
    super::{
        iso::{self, DAY_MICROS, EPOCH_DAYS},
        types::Kind,
    },
    Encoded, Misfit, misfit, put,
};

/// A point or a span of time.
enum Moment {
    /// Days since 1970.
    Day(i64),
    /// Microseconds since midnight.
    OfDay(i64),
    /// Microseconds since 1970.
    Instant(i64),
    /// Before or after all others.
    Infinity { is_past: bool },
}

pub(super) fn encode(
    kind: &Kind,
    out: &mut Vec<u8>,
    schema: Option<&Schema>,
    value: &Value,
) -> Encoded {
    let moment = match value {
        Value::String(text) => parse(kind, text)?,
        Value::Date(millis) => of_date(schema.and_then(Schema::logical), *millis)?,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            of_number(schema, super::number::integer(value)?)?
        }
        _ => return misfit("it takes dates, times or texts such as 2026-01-31T13:14:15Z"),
    };
    put_moment(kind, out, &moment)
}

/// Appends microseconds since 1970.
pub(in super::super) fn instant(kind: &Kind, out: &mut Vec<u8>, micros: i64) -> Encoded {
    match kind {
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
            put_moment(kind, out, &Moment::Instant(micros))
        }
        _ => misfit("it takes no timestamps"),
    }
}

fn put_moment(kind: &Kind, out: &mut Vec<u8>, moment: &Moment) -> Encoded {
    match (kind, moment) {
        (Kind::Time, Moment::Infinity { .. }) => misfit("it takes times of day, and no infinity"),
        (Kind::Date, Moment::Infinity { is_past }) => {
            let day = if *is_past { i32::MIN } else { i32::MAX };
            put(out, day.to_be_bytes());
            Ok(())
        }
        (_, Moment::Infinity { is_past }) => {
            let micros = if *is_past { i64::MIN } else { i64::MAX };
            put(out, micros.to_be_bytes());
            Ok(())
        }
        (Kind::Date, Moment::Day(day)) => put_day(out, *day),
        (Kind::Date, Moment::Instant(micros)) if micros.rem_euclid(DAY_MICROS) == 0 => {
            put_day(out, micros.div_euclid(DAY_MICROS))
        }
        (Kind::Date, _) => misfit("it takes dates, and this has a time of day"),
        (Kind::Time, Moment::OfDay(micros)) if (0..=DAY_MICROS).contains(micros) => {
            put(out, micros.to_be_bytes());
            Ok(())
        }
        (Kind::Time, Moment::OfDay(_)) => misfit("it is longer than a day"),
        (Kind::Time, _) => misfit("it takes times of day, and this has a date"),
        (_, Moment::Instant(micros)) => put_instant(out, Some(*micros)),
        (_, Moment::Day(day)) => put_instant(out, day.checked_mul(DAY_MICROS)),
        (_, Moment::OfDay(_)) => misfit("it takes a date too"),
    }
}

fn put_day(out: &mut Vec<u8>, day: i64) -> Encoded {
    // The ends mean infinity.
    match day.checked_sub(EPOCH_DAYS).map(i32::try_from) {
        Some(Ok(day)) if day != i32::MAX && day != i32::MIN => {
            put(out, day.to_be_bytes());
            Ok(())
        }
        _ => out_of_range(),
    }
}

fn put_instant(out: &mut Vec<u8>, micros: Option<i64>) -> Encoded {
    match micros.and_then(|micros| micros.checked_sub(EPOCH_DAYS * DAY_MICROS)) {
        Some(micros) if micros != i64::MIN && micros != i64::MAX => {
            put(out, micros.to_be_bytes());
            Ok(())
        }
        _ => out_of_range(),
    }
}

fn out_of_range<T>() -> Result<T, Misfit> {
    misfit("it is out of its range")
}

fn of_date(logical: Option<Logical>, millis: i64) -> Result<Moment, Misfit> {
    let micros = millis.checked_mul(1_000);
    let micros = micros.map_or_else(out_of_range, Ok)?;
    Ok(match logical {
        Some(Logical::Date) => Moment::Day(micros.div_euclid(DAY_MICROS)),
        Some(Logical::Time) => Moment::OfDay(micros),
        _ => Moment::Instant(micros),
    })
}

/// A number means what its schema's name says; without one it could be anything.
fn of_number(schema: Option<&Schema>, number: i64) -> Result<Moment, Misfit> {
    let times = |factor: i64| number.checked_mul(factor).map_or_else(out_of_range, Ok);
    let nanos = || match number.rem_euclid(1_000) {
        0 => Ok(number.div_euclid(1_000)),
        _ => misfit("it has nanoseconds, and the type microseconds"),
    };
    if let Some(logical) = schema.and_then(Schema::logical) {
        return match logical {
            Logical::Date => Ok(Moment::Day(number)),
            Logical::Time => times(1_000).map(Moment::OfDay),
            Logical::Timestamp => times(1_000).map(Moment::Instant),
            Logical::Decimal => misfit("it takes no numbers"),
        };
    }
    match schema.and_then(|schema| schema.name.as_deref()) {
        Some("io.debezium.time.Date") => Ok(Moment::Day(number)),
        Some("io.debezium.time.Time") => times(1_000).map(Moment::OfDay),
        Some("io.debezium.time.MicroTime") => Ok(Moment::OfDay(number)),
        Some("io.debezium.time.NanoTime") => nanos().map(Moment::OfDay),
        Some("io.debezium.time.Timestamp") => times(1_000).map(Moment::Instant),
        Some("io.debezium.time.MicroTimestamp") => Ok(Moment::Instant(number)),
        Some("io.debezium.time.NanoTimestamp") => nanos().map(Moment::Instant),
        _ => misfit(
            "a number is no point in time without a schema that says its unit; use Connect's \
             Timestamp (TimestampConverter makes it) or a text in ISO 8601",
        ),
    }
}

fn parse(kind: &Kind, text: &str) -> Result<Moment, Misfit> {
    let text = text.trim();
    let is_infinity = |word: &str| text.eq_ignore_ascii_case(word);
    if ["infinity", "+infinity", "inf", "+inf"]
        .into_iter()
        .any(is_infinity)
    {
        return Ok(Moment::Infinity { is_past: false });
    }
    if ["-infinity", "-inf"].into_iter().any(is_infinity) {
        return Ok(Moment::Infinity { is_past: true });
    }
    let parsed = match kind {
        Kind::Time => iso::parse_time(text).map(Moment::OfDay),
        _ => iso::parse_date(text)
            .map(Moment::Day)
            .or_else(|| iso::parse_timestamp(text).map(Moment::Instant)),
    };
    let example = match kind {
        Kind::Date => "2026-01-31",
        Kind::Time => "13:14:15.123456",
        _ => "2026-01-31T13:14:15.123456Z",
    };
    let wanted = || Misfit::new(&format!("it takes texts such as {example}"));
    parsed.ok_or_else(wanted)
}
