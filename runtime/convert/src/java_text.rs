//! What Java's `toString` gives: the texts of StringConverter and of numbers in JSON.

use crate::{calendar, value::Value};

/// `Double.toString` (since JDK 19, the shortest digits that give the number back).
pub(crate) fn float64(number: f64) -> String {
    if !number.is_finite() {
        return not_finite(number.is_nan(), number > 0.0);
    }
    // Java writes two digits at least and takes the nearest such number; where one would do,
    // that can be another digit than the single one (4.9E-324, not 5.0E-324).
    let two = format!("{number:.1e}");
    let same = two.parse::<f64>().is_ok_and(|parsed| parsed == number);
    layout(if same { two } else { format!("{number:e}") })
}

/// `Float.toString`, likewise.
pub(crate) fn float32(number: f32) -> String {
    if !number.is_finite() {
        return not_finite(number.is_nan(), number > 0.0);
    }
    let two = format!("{number:.1e}");
    let same = two.parse::<f32>().is_ok_and(|parsed| parsed == number);
    layout(if same { two } else { format!("{number:e}") })
}

fn not_finite(nan: bool, positive: bool) -> String {
    let text = if nan {
        "NaN"
    } else if positive {
        "Infinity"
    } else {
        "-Infinity"
    };
    text.to_owned()
}

/// From `d.ddde5` to Java's layout: plain from 10^-3 to below 10^7, otherwise `d.dddE5`.
fn layout(scientific: String) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let (first, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    if first == "0" {
        return format!("{sign}0.0");
    }
    match exponent {
        -3..=-1 => {
            let zeros = "0".repeat(usize::try_from(-1 - exponent).unwrap_or_default());
            let fraction = if fraction == "0" { "" } else { fraction };
            format!("{sign}0.{zeros}{first}{fraction}")
        }
        0..=6 => {
            let places = usize::try_from(exponent).unwrap_or_default();
            let digits = format!("{fraction:0<width$}", width = places + 1);
            let (whole, rest) = digits.split_at_checked(places).unwrap_or((&digits, "0"));
            format!("{sign}{first}{whole}.{rest}")
        }
        _ => format!("{sign}{first}.{fraction}E{exponent}"),
    }
}

/// `String.valueOf` of a value. Two cases are not Java's: bytes are taken as UTF-8, where Java
/// writes an object's address, and dates are in UTC, where Java uses its own time zone.
pub(crate) fn text(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int8(number) => out.push_str(&number.to_string()),
        Value::Int16(number) => out.push_str(&number.to_string()),
        Value::Int32(number) => out.push_str(&number.to_string()),
        Value::Int64(number) => out.push_str(&number.to_string()),
        Value::Float32(number) => out.push_str(&float32(*number)),
        Value::Float64(number) => out.push_str(&float64(*number)),
        Value::String(string) => out.push_str(string),
        Value::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        Value::Decimal(decimal) => out.push_str(&decimal.to_string()),
        Value::Date(millis) => out.push_str(&calendar::java_date(*millis)),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                text(out, item);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                text(out, key);
                out.push('=');
                text(out, item);
            }
            out.push('}');
        }
        Value::Struct(fields) => {
            out.push_str("Struct{");
            let named = fields.schema().fields.iter().zip(fields.values());
            // Connect's Struct.toString leaves fields without a value out.
            for (index, (field, item)) in named.filter(|(_, item)| !item.is_null()).enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&field.name);
                out.push('=');
                text(out, item);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_javas() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (5.0, "5.0"),
            (-2.75, "-2.75"),
            (1e20, "1.0E20"),
            (1e-4, "1.0E-4"),
            (0.001, "0.001"),
            (0.0125, "0.0125"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (123_456.789, "123456.789"),
            (1_234_567.0, "1234567.0"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (2.5e-323, "2.5E-323"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float64(number), text);
        }
        assert_eq!(float32(0.1), "0.1");
        assert_eq!(float32(f32::from_bits(1)), "1.4E-45");
        assert_eq!(float32(7.272_211e31), "7.272211E31");
        assert_eq!(float32(f32::NAN), "NaN");
    }

    #[test]
    fn collections_are_javas() {
        let value = Value::Map(vec![
            (Value::String("a".into()), Value::Int64(1)),
            (
                Value::String("b".into()),
                Value::Array(vec![Value::String("x".into()), Value::Null]),
            ),
        ]);
        let mut out = String::new();
        text(&mut out, &value);
        assert_eq!(out, "{a=1, b=[x, null]}");
    }
}
