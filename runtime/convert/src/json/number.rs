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

/// The whole number that the text is, whatever its spelling: `1e3`, `2.0`. None: it has a fraction, or
/// more than 64 bits.
pub(crate) fn exact_long(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let cut = i64::try_from(digits.len() - significant.len()).ok()?;
    let shift = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(cut)?;
    // More than 19 digits are more than 64 bits.
    let zeros = usize::try_from(shift).ok().filter(|zeros| *zeros < 20)?;
    format!("{sign}{significant}{}", "0".repeat(zeros))
        .parse()
        .ok()
}

/// Whether an `f64` holds the text, but for digits that it rounds.
pub(crate) fn is_finite(text: &str) -> bool {
    text.parse().is_ok_and(f64::is_finite)
}

/// Whether a value without a schema can be what the number is, an int64 or a float64.
pub(crate) fn fits(text: &str) -> bool {
    match is_integral(text) {
        // The longest ones that are sure to fit need no closer look.
        true => text.len() <= 18 || text.parse::<i64>().is_ok() || exact_long(text).is_some(),
        false => text.len() <= 18 && !text.contains(['e', 'E']) || is_finite(text),
    }
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
    fn exact_values_are_whole_and_have_64_bits() {
        for (text, value) in [
            ("5", Some(5)),
            ("007", Some(7)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775808.000", Some(i64::MIN)),
            ("92233720368547758070e-1", Some(i64::MAX)),
            ("00000000000000000000000001", Some(1)),
            ("2.0", Some(2)),
            ("1e3", Some(1000)),
            ("1.5e1", Some(15)),
            ("1200e-2", Some(12)),
            ("9223372036854775808", None),
            ("18446744073709551615", None),
            ("7.9", None),
            ("0.5", None),
            ("1e-400", None),
            ("1e400", None),
            ("1e2147483647", None),
        ] {
            assert_eq!(exact_long(text), value, "{text}");
        }
        for (text, fits_it) in [
            ("18446744073709551615", false),
            ("-9223372036854775808", true),
            ("1e400", false),
            ("1e308", true),
            ("0.1", true),
            ("-1e-400", true),
        ] {
            assert_eq!(fits(text), fits_it, "{text}");
        }
    }

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
