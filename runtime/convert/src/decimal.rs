//! Decimals of any size, with Java's `BigDecimal` texts: Connect's Decimal is one.

use std::fmt;

use num_bigint::{BigInt, Sign};

/// `unscaled` × 10^-`scale`. Equal only with the same scale, as `BigDecimal` is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal {
    unscaled: BigInt,
    scale: i32,
}

impl Decimal {
    /// `unscaled` × 10^-`scale`.
    pub fn new(unscaled: BigInt, scale: i32) -> Self {
        Self { unscaled, scale }
    }

    /// From the big-endian two's complement of the unscaled value, as Connect's Decimal has it.
    /// `None` if there are no bytes.
    pub fn from_bytes(bytes: &[u8], scale: i32) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self::new(BigInt::from_signed_bytes_be(bytes), scale))
    }

    /// Parses `BigDecimal`'s number texts: sign, digits, point, exponent. `None` if it is none, or
    /// if the scale leaves 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.len() + fraction.len() == 0 || !all_digits(digits) || !all_digits(fraction) {
            return None;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self::new(format!("{whole}{fraction}").parse().ok()?, scale))
    }

    /// The digits without the point.
    pub fn unscaled(&self) -> &BigInt {
        &self.unscaled
    }

    /// Digits behind the point; negative for trailing zeros that are not written.
    pub fn scale(&self) -> i32 {
        self.scale
    }

    /// Big-endian two's complement of the unscaled value, as short as can be.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.unscaled.to_signed_bytes_be()
    }

    /// Digits without an exponent (`BigDecimal.toPlainString`). `None` where that would take more
    /// than `max_bytes`: a short exponent can stand for gigabytes of zeros.
    pub fn to_plain(&self, max_bytes: usize) -> Option<String> {
        let digits = self.unscaled.magnitude().to_string();
        let sign = if self.unscaled.sign() == Sign::Minus {
            "-"
        } else {
            ""
        };
        let shift = usize::try_from(self.scale.unsigned_abs()).ok()?;
        if shift.saturating_add(digits.len()) > max_bytes {
            return None;
        }
        if self.scale <= 0 {
            let zeros = if digits == "0" { 0 } else { shift };
            return Some(format!("{sign}{digits}{}", "0".repeat(zeros)));
        }
        let padded = format!("{digits:0>width$}", width = shift + 1);
        let (whole, fraction) = padded.split_at_checked(padded.len() - shift)?;
        Some(format!("{sign}{whole}.{fraction}"))
    }

    /// The same number with `scale` digits behind the point; `None` if digits would be lost.
    pub fn rescaled(&self, scale: i32) -> Option<Self> {
        if self.scale == scale {
            return Some(self.clone());
        }
        let more = i64::from(scale) - i64::from(self.scale);
        // Bounded like numbers in text are, for the same reason.
        let power = u32::try_from(more.unsigned_abs())
            .ok()
            .filter(|power| *power <= 10_000)?;
        let power = BigInt::from(10).pow(power);
        if more > 0 {
            return Some(Self::new(&self.unscaled * power, scale));
        }
        let quotient = &self.unscaled / &power;
        (&quotient * power == self.unscaled).then(|| Self::new(quotient, scale))
    }
}

/// `BigDecimal.toString`: an exponent only for negative scales and for more than five zeros
/// behind the point.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.magnitude().to_string();
        let exponent = digits.len() as i64 - 1 - i64::from(self.scale);
        if self.scale >= 0 && exponent >= -6 {
            // The scale is at most six more than there are digits, so this is short.
            return f.write_str(&self.to_plain(usize::MAX).unwrap_or_default());
        }
        if self.unscaled.sign() == Sign::Minus {
            f.write_str("-")?;
        }
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        f.write_str(first)?;
        if !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        if exponent != 0 {
            write!(f, "E{exponent:+}")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_big_decimal() {
        for text in [
            "0", "-1.50", "12", "1E+3", "1E-7", "0.000001", "-1.25E-9", "0.00", "0E-7",
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "-",
            ".",
            "1e",
            "e5",
            "1.2.3",
            "1e99999999999",
            "--1",
            "1_0",
            "+-1",
        ] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn plain_texts_have_no_exponent_and_a_bound() {
        let plain = |text: &str| Decimal::parse(text).unwrap().to_plain(100);
        assert_eq!(plain("1E+3").unwrap(), "1000");
        assert_eq!(plain("-5E-3").unwrap(), "-0.005");
        assert_eq!(plain("0E+9").unwrap(), "0");
        assert_eq!(plain("1E+1000000000"), None);
    }

    #[test]
    fn rescaling_loses_nothing() {
        let decimal = Decimal::parse("1.50").unwrap();
        assert_eq!(decimal.rescaled(4).unwrap().to_string(), "1.5000");
        assert_eq!(decimal.rescaled(1).unwrap().to_string(), "1.5");
        assert_eq!(decimal.rescaled(0), None);
        assert_eq!(decimal.rescaled(i32::MAX), None);
    }

    #[test]
    fn bytes_are_twos_complement() {
        let decimal = Decimal::from_bytes(&[0xc2, 0xc2], 2).unwrap();
        assert_eq!(decimal.to_string(), "-156.78");
        assert_eq!(decimal.to_bytes(), [0xc2, 0xc2]);
        assert_eq!(Decimal::from_bytes(&[], 2), None);
    }
}
