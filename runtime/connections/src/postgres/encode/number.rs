//! Integers and floats.

use tidegate_convert::{Decimal, Value};

use super::{Misfit, misfit};

/// Bits that a float64 holds of an integer, and a float32.
const EXACT_BITS_64: u32 = 53;
const EXACT_BITS_32: u32 = 24;

/// A whole number in the range of `T`.
pub(super) fn ranged<T: TryFrom<i64>>(value: &Value) -> Result<T, Misfit> {
    let number = integer(value)?;
    T::try_from(number).map_err(|_| Misfit::new(&format!("{number} is out of its range")))
}

/// A whole number, however it is written.
pub(super) fn integer(value: &Value) -> Result<i64, Misfit> {
    let not_whole = || Misfit::new("it takes whole numbers of 64 bits");
    match value {
        Value::Int8(number) => Ok(i64::from(*number)),
        Value::Int16(number) => Ok(i64::from(*number)),
        Value::Int32(number) => Ok(i64::from(*number)),
        Value::Int64(number) => Ok(*number),
        Value::Float32(number) => whole(f64::from(*number)).ok_or_else(not_whole),
        Value::Float64(number) => whole(*number).ok_or_else(not_whole),
        Value::Decimal(decimal) => from_decimal(decimal).ok_or_else(not_whole),
        Value::String(text) => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => Decimal::parse(text.trim())
                .and_then(|decimal| from_decimal(&decimal))
                .ok_or_else(not_whole),
        },
        _ => Err(not_whole()),
    }
}

fn whole(number: f64) -> Option<i64> {
    // 2^63 itself is one too many.
    let fits = number.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&number);
    fits.then_some(number as i64)
}

fn from_decimal(decimal: &Decimal) -> Option<i64> {
    i64::try_from(decimal.rescaled(0)?.unscaled()).ok()
}

pub(super) fn float8(value: &Value) -> Result<f64, Misfit> {
    match value {
        Value::Float64(number) => Ok(*number),
        Value::Float32(number) => Ok(f64::from(*number)),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            Ok(exact(integer(value)?, EXACT_BITS_64)? as f64)
        }
        Value::Decimal(decimal) => finite(decimal.to_string().parse().ok()),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            text => finite(Decimal::parse(text.trim()).and_then(|_| text.trim().parse().ok())),
        },
        _ => misfit("it takes numbers"),
    }
}

/// Of a float64, the nearest float32.
pub(super) fn float4(value: &Value) -> Result<f32, Misfit> {
    match value {
        Value::Float32(number) => Ok(*number),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            Ok(exact(integer(value)?, EXACT_BITS_32)? as f32)
        }
        other => {
            let wide = float8(other)?;
            let narrow = wide as f32;
            match narrow.is_infinite() && wide.is_finite() {
                true => misfit("it is too large"),
                false => Ok(narrow),
            }
        }
    }
}

fn finite(number: Option<f64>) -> Result<f64, Misfit> {
    match number {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => misfit("it is too large"),
        None => misfit("it takes numbers"),
    }
}

/// The number, if its bits between the first and the last that is set are not too many.
fn exact(number: i64, bits: u32) -> Result<i64, Misfit> {
    let size = number.unsigned_abs();
    let used = size
        .checked_ilog2()
        .map_or(0, |top| top + 1 - size.trailing_zeros());
    match used <= bits {
        true => Ok(number),
        false => misfit(&format!(
            "{number} would be rounded; use a numeric or an int8 column"
        )),
    }
}
