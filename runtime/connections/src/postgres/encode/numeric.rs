//! numeric: groups of four decimal digits.

use std::io::Write as _;

use tidegate_convert::{Decimal, Value};

use super::{Encoded, Misfit, misfit, number, put};

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
/// PostgreSQL's own.
const MAX_SCALE: i64 = 16_383;
/// Digits before the point, PostgreSQL's own.
const MAX_WHOLE_DIGITS: i64 = 131_072;
/// Making digits of more bits takes too long, and they have no place anyway.
const MAX_BITS: u64 = 500_000;

pub(super) fn encode(out: &mut Vec<u8>, value: &Value) -> Encoded {
    match value {
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            let number = number::integer(value)?;
            small(out, number < 0, u128::from(number.unsigned_abs()), 0)
        }
        Value::Decimal(number) => decimal(out, number),
        Value::Float32(number) if number.is_nan() => nan(out),
        Value::Float64(number) if number.is_nan() => nan(out),
        // The shortest digits that mean the same float, as everywhere else.
        Value::Float32(number) => text(out, &number.to_string()),
        Value::Float64(number) => text(out, &number.to_string()),
        Value::String(digits) if digits == "NaN" => nan(out),
        Value::String(digits) => text(out, digits.trim()),
        _ => misfit("it takes numbers"),
    }
}

fn nan(out: &mut Vec<u8>) -> Encoded {
    for part in [0, 0, NAN, 0] {
        put(out, part.to_be_bytes());
    }
    Ok(())
}

fn text(out: &mut Vec<u8>, digits: &str) -> Encoded {
    match Decimal::parse(digits) {
        Some(number) => decimal(out, &number),
        None => misfit("it takes finite numbers, and NaN"),
    }
}

fn decimal(out: &mut Vec<u8>, number: &Decimal) -> Encoded {
    let unscaled = number.unscaled();
    let negative = unscaled.sign() == num_bigint::Sign::Minus;
    match u128::try_from(unscaled.magnitude()) {
        Ok(size) => small(out, negative, size, number.scale()),
        Err(_) if unscaled.bits() > MAX_BITS => too_long(),
        Err(_) => {
            let digits = unscaled.magnitude().to_string();
            groups(out, negative, digits.as_bytes(), number.scale())
        }
    }
}

fn small(out: &mut Vec<u8>, negative: bool, size: u128, scale: i32) -> Encoded {
    let mut digits = [0; 40];
    let mut rest = digits.as_mut_slice();
    // 39 digits at most.
    let _ = write!(rest, "{size}");
    let unused = rest.len();
    let used = digits.len() - unused;
    let digits = digits.get(..used).unwrap_or_default();
    groups(out, negative, digits, scale)
}

fn too_long() -> Encoded {
    misfit("it has more digits than a numeric can have")
}

/// `digits` with the point before the last `scale` of them.
fn groups(out: &mut Vec<u8>, negative: bool, digits: &[u8], scale: i32) -> Encoded {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = digits.get(zeros..).unwrap_or_default();
    let shown_scale = i64::from(scale).max(0);
    // The power of ten of the first digit.
    let top = digits.len() as i64 - 1 - i64::from(scale);
    if shown_scale > MAX_SCALE || (!digits.is_empty() && top >= MAX_WHOLE_DIGITS) {
        return too_long();
    }
    let start = out.len();
    for part in [0_u16; 4] {
        put(out, part.to_be_bytes());
    }
    let first = (top.rem_euclid(4) + 1) as usize;
    let (head, tail) = digits.split_at(first.min(digits.len()));
    let mut count: u16 = 0;
    let mut kept: u16 = 0;
    let mut kept_bytes = out.len();
    for (group, width) in std::iter::once((head, first)).chain(tail.chunks(4).map(|g| (g, 4))) {
        let digit = |place: usize| group.get(place).map_or(0, |digit| u16::from(digit - b'0'));
        let number = (0..width).fold(0, |number, place| number * 10 + digit(place));
        put(out, number.to_be_bytes());
        count += 1;
        if number > 0 {
            kept = count;
            kept_bytes = out.len();
        }
    }
    // Groups of nothing but zeros at the end are not written.
    out.truncate(kept_bytes);
    let weight = if kept == 0 { 0 } else { top.div_euclid(4) };
    let sign = if negative && kept > 0 { NEGATIVE } else { 0 };
    let weight = i16::try_from(weight).map_err(|_| Misfit::new("its exponent is too large"))?;
    let scale = u16::try_from(shown_scale).map_err(|_| Misfit::new("its scale is too large"))?;
    let head = [kept, weight.cast_unsigned(), sign, scale];
    if let Some(place) = out.get_mut(start..start + 8) {
        for (bytes, part) in place.chunks_mut(2).zip(head) {
            bytes.copy_from_slice(&part.to_be_bytes());
        }
    }
    Ok(())
}
