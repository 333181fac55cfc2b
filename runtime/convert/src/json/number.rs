//! What Jackson's number nodes answer when asked for a Java type.

use num_bigint::{BigInt, Sign};

/// Whether the text is a Jackson `IntNode`, `LongNode` or `BigIntegerNode`.
pub(crate) fn is_integral(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Whether the text is an `IntNode`: integral and within 32 bits.
pub(crate) fn as_int(text: &str) -> Option<i32> {
    text.parse().ok()
}

/// `longValue()`: the fraction is cut off, and of a number that is too large the low 64 bits
/// remain. `intValue()` is the low half of it.
pub(crate) fn long_value(text: &str) -> i64 {
    text.parse()
        .unwrap_or_else(|_| big_long_value(text).unwrap_or_default())
}

fn big_long_value(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let shift = exponent - fraction.len() as i64;
    let integer: BigInt = if shift >= 64 {
        // 10^64 and up are multiples of 2^64.
        return Some(0);
    } else if shift >= 0 {
        digits.parse::<BigInt>().ok()? * BigInt::from(10).pow(u32::try_from(shift).ok()?)
    } else {
        let keep = digits.len().checked_sub(usize::try_from(-shift).ok()?)?;
        digits.get(..keep)?.parse().ok()?
    };
    let low = integer
        .iter_u64_digits()
        .next()
        .unwrap_or_default()
        .cast_signed();
    Some(if integer.sign() == Sign::Minus {
        low.wrapping_neg()
    } else {
        low
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_those_of_java() {
        for (text, value) in [
            ("5", 5),
            ("-0", 0),
            ("007", 7),
            ("9223372036854775808", i64::MIN),
            ("-9223372036854775809", i64::MAX),
            ("18446744073709551617", 1),
            ("1.99", 1),
            ("-1.99", -1),
            ("0.5", 0),
            ("-0.5", 0),
            ("1e3", 1000),
            ("12345e-3", 12),
            ("1e-400", 0),
            ("1e400", 0),
            ("1e19", 1_000_000_000_000_000_000_i64.wrapping_mul(10)),
        ] {
            assert_eq!(long_value(text), value, "{text}");
        }
    }
}
